/** One publisher in one epoch: what it sent, who acknowledged it, what is sent again. */
import { type Configuration, type Member, operationQuorum } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { type Address, type PublisherId, type ServerName, serverIdOf } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Ring, Timer } from '../../proto/machine/timers.ts'
import { type Sync, weakness } from '../../proto/sync.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { Servers } from '../servers.ts'
import { MemberSilence, never, resendTicks, type SilentMember } from './member-silence.ts'
import type { Outgoing } from './outgoing.ts'

/** What one publisher may have under way. */
export interface AddLimits {
  /** Body bytes of one store; a larger message is a store of its own. */
  readonly batchBytesMax: number
  /** Body bytes sent and not acknowledged; more waits in the queue. */
  readonly windowBytesMax: number
  /** Body bytes waiting and under way; a publish beyond fails with `EC_QUEUE_FULL`. */
  readonly pendingBytesMax: number
  /** Body bytes kept, after their quorum acknowledged, for members that are behind. */
  readonly retainedBytesMax: number
}

export const addLimits: AddLimits = {
  batchBytesMax: 64 * 1024,
  windowBytesMax: 8 * 1024 * 1024,
  pendingBytesMax: 256 * 1024 * 1024,
  retainedBytesMax: 4 * 1024 * 1024,
}

const pauseTicks = 3
/** How often a member with a full disk is asked whether it has room again. */
const roomTicks = 50

/** One member, as this publisher sees it. */
interface MemberView extends SilentMember {
  readonly member: Member
  /** Last sequence that it acknowledged, and what it means by that. */
  acked: number
  sync: Sync
  /** Tick from which on it may be greeted again. */
  greetableAt: number
}

/** Where members are, which of them are connected, and whose disks are full. */
type Reach = Pick<Servers, 'addressOf' | 'isUp' | 'full'>

type WindowTimer = 'add-silence' | 'add-greeting' | 'add-wedged' | 'add-room'

/** What a window needs of its publisher. */
export interface WindowPorts {
  readonly timers: {
    readonly now: number
    timer(name: WindowTimer, key: string, ring: Ring): Timer
  }
  /** Whether more is to be sent here, as soon as there is room. */
  isWaiting(): boolean
  /** Nothing can become durable here for now: the topic may have moved. */
  stuck(out: Effect[]): void
}

export class EpochWindow {
  readonly configuration: Configuration
  readonly #publisher: PublisherId
  readonly #servers: Reach
  readonly #limits: AddLimits
  readonly #members: MemberView[]
  /** Oldest first: not acknowledged by all members. The first `#durableCount` of them are, by the quorum. */
  #sent: Outgoing[] = []
  #durableCount = 0
  #nextSequence = 1
  #windowBytes = 0
  #retainedBytes = 0
  readonly #ports: WindowPorts
  readonly #silence: MemberSilence<MemberView>
  readonly #greeting: Timer
  readonly #wedged: Timer
  /** Set while a member's disk is full. */
  readonly #room: Timer
  readonly #unlisten: () => void
  /** A member said that the epoch is being ended: nothing new is sent in it. */
  isWedged = false
  /** Last sequence that the quorum acknowledged. */
  durableEnd = 0

  constructor(
    configuration: Configuration,
    publisher: PublisherId,
    servers: Reach,
    limits: AddLimits,
    ports: WindowPorts,
  ) {
    this.configuration = configuration
    this.#publisher = publisher
    this.#servers = servers
    this.#limits = limits
    this.#ports = ports
    const { now } = ports.timers
    const fresh = { acked: 0, sync: 'always' as Sync, absent: false, silentSince: now, resentAt: now, greetableAt: now }
    this.#members = configuration.members.map((member) => ({ member, ...fresh }))
    const timer = (name: WindowTimer, ring: Ring) => ports.timers.timer(name, configuration.topic, ring)
    this.#silence = new MemberSilence(this.#members, ports.timers, (ring) => timer('add-silence', ring), {
      excusedTicks: (view) => this.#excusedTicks(view),
      again: (view, out) => this.#again(view, out),
      silent: (count, out) => this.#isStuck(count, out),
    })
    this.#greeting = timer('add-greeting', (out) => this.#greet(out))
    this.#wedged = timer('add-wedged', (out) => this.#onWedged(out))
    this.#room = timer('add-room', (out) => this.#askForRoom(out))
    this.#unlisten = servers.full.listen((name) => this.#fullChanged(name))
    if (!servers.full.isEmpty) this.#room.set(roomTicks)
  }

  /** Its epoch is over, or its publisher: nothing is sent any more. */
  close(): void {
    for (const timer of [this.#silence, this.#greeting, this.#wedged, this.#room]) timer.stop()
    this.#unlisten()
  }

  /**
   * Whether a run that is added now leaves this client: otherwise it would count as sent, with an id, while it waits here for a
   * connection, and a caller that gives up could not be told that it was never sent.
   */
  get hasRoom(): boolean {
    return this.isOpen && !this.isShort && this.#takers().length > 0
  }

  /** Whether this epoch takes more at all. */
  get isOpen(): boolean {
    return !this.isWedged && this.#windowBytes < this.#limits.windowBytesMax
  }

  /** So many disks are full that no quorum is left. */
  get isShort(): boolean {
    if (this.#servers.full.isEmpty) return false
    const others = this.#members.filter((view) => !this.#isFull(view))
    return others.length < operationQuorum(this.configuration)
  }

  /**
   * `EC_DISK_FULL` while so many disks are full that no quorum is left: nothing new is sent then, so that what has not left
   * can be refused for good. What has left stays open: a member's refusal says nothing of the others.
   */
  get shortage(): EpochcastError | null {
    if (!this.isShort) return null
    const full = this.#members.filter((view) => this.#isFull(view))
    const ids = full.map(({ member }) => serverIdOf(member.name)).join(', ')
    const { topic } = this.configuration
    return new EpochcastError('EC_DISK_FULL', `${topic}: no space left on the disk of ${ids}`, {
      hint: `free space there, or move the topic to other servers: epochcast reconfig ${topic} --members …`,
    })
  }

  get pendingCount(): number {
    return this.#sent.length - this.#durableCount
  }

  /** Sent, and not acknowledged by the quorum. */
  pending(): readonly Outgoing[] {
    return this.#sent.slice(this.#durableCount)
  }

  /**
   * Connects to the members that are not: by a greeting, because a connection is made by sending something, and a store that
   * waits for one would have left.
   */
  reach(out: Effect[]): void {
    const { now } = this.#ports.timers
    for (const view of this.#members) {
      const address = this.#addressOf(view)
      if (now < view.greetableAt || this.#servers.isUp(address)) continue
      view.greetableAt = now + pauseTicks
      send(out, address, { kind: 'introduce' })
    }
  }

  /** More is to be sent, and there is no room for it. */
  wait(out: Effect[]): void {
    this.reach(out)
    const isCutOff = this.#members.some((view) => !this.#servers.isUp(this.#addressOf(view)))
    if (isCutOff) this.#greeting.setIfStopped(pauseTicks)
    this.#silence.expect()
  }

  /** Sends a run to all members that are connected and take stores; the others get it once they are, and do. */
  add(outgoing: Outgoing, out: Effect[]): void {
    const to = this.#takers()
    this.#silence.expect()
    for (const view of this.#members) if (this.#hasAll(view)) view.silentSince = this.#ports.timers.now
    outgoing.assign(this.configuration.epoch, this.#publisher, this.#nextSequence)
    this.#nextSequence = outgoing.last + 1
    this.#windowBytes += outgoing.body.length
    this.#sent.push(outgoing)
    this.#send(outgoing, to, out)
    this.reach(out)
  }

  /** @returns the runs that became durable */
  stored(from: ServerName, message: MessageOf<'stored'>, out: Effect[]): readonly Outgoing[] {
    const view = this.#viewOf(from, message.epoch)
    if (view === undefined || message.end <= view.acked) return []
    view.acked = message.end
    view.sync = message.sync ?? 'always'
    view.silentSince = this.#ports.timers.now
    if (view.absent || this.#isFull(view)) this.#present(view, out)
    return this.#acknowledge()
  }

  expected(from: ServerName, message: MessageOf<'expected'>, out: Effect[]): void {
    const view = this.#viewOf(from, message.epoch)
    if (view === undefined || this.#ports.timers.now - view.resentAt < pauseTicks) return
    const kept = this.#sent.find((outgoing) => outgoing.last >= message.next)
    // What it lacks may not be kept here any more: it gets that from its peers.
    if (kept !== undefined && kept.first <= message.next) this.#resend(view, message.next - 1, out)
  }

  /** @returns false when the refusal is a reason to look for the topic elsewhere */
  refused(from: ServerName, message: MessageOf<'refused'>): boolean {
    const view = this.#viewOf(from, message.epoch)
    if (view === undefined) return true
    switch (message.refusal) {
      case 'wedged':
        this.isWedged = true
        this.#wedged.setIfStopped(resendTicks)
        return true
      case 'not-yet':
        view.absent = true
        this.#silence.lookSoon()
        return true
      case 'disk-full':
        this.#servers.full.note(from, true)
        view.silentSince = this.#ports.timers.now
        return true
      // Another member may take it, or the epoch may be rolled: it is sent again by and by.
      case 'too-many-publishers':
      case 'bad-batch':
        view.resentAt = this.#ports.timers.now
        return true
      // A late answer to the question where the topic is, which says nothing of this epoch.
      case 'no-decider':
        return true
      default:
        return false
    }
  }

  opened(from: ServerName, message: MessageOf<'opened'>, out: Effect[]): void {
    const view = this.#viewOf(from, message.epoch)
    if (view !== undefined) this.#present(view, out)
  }

  /** A member whose disk was full answers. */
  room(from: ServerName, message: MessageOf<'room'>, out: Effect[]): void {
    const view = this.#viewOf(from, message.epoch)
    if (view === undefined || !this.#isFull(view)) return
    view.silentSince = this.#ports.timers.now
    if (message.isThere) this.#present(view, out)
    else this.#servers.full.note(from, true)
  }

  peerUp(address: Address, out: Effect[]): void {
    for (const view of this.#members) {
      if (this.#addressOf(view) === address) this.#resend(view, view.acked, out)
    }
  }

  peerDown(address: Address): void {
    for (const view of this.#members) {
      if (this.#addressOf(view) === address && this.#hasAll(view)) view.silentSince = this.#ports.timers.now
    }
  }

  #isFull(view: MemberView): boolean {
    return this.#servers.full.has(view.member.name)
  }

  #hasAll(view: MemberView): boolean {
    return view.acked + 1 >= this.#nextSequence
  }

  /** @returns whether so many silent members keep everything from becoming durable: the topic may have moved */
  #isStuck(silentCount: number, out: Effect[]): boolean {
    const waits = this.#ports.isWaiting() || this.#durableCount < this.#sent.length
    if (!waits || silentCount <= this.#members.length - operationQuorum(this.configuration)) return false
    this.#ports.stuck(out)
    return true
  }

  /** For how many ticks a member's silence does not count: endless for one that owes nothing. */
  #excusedTicks(view: MemberView): number {
    const isUp = this.#servers.isUp(this.#addressOf(view))
    const owesNothing = this.#hasAll(view) || this.#sent.length === 0
    if (owesNothing && (isUp || !this.#ports.isWaiting())) return never
    // It is asked for room; once it does not answer that, it counts as full no longer.
    return isUp ? this.#servers.full.ticksLeft(view.member.name) : 0
  }

  #again(view: MemberView, out: Effect[]): void {
    if (this.#servers.isUp(this.#addressOf(view))) {
      this.#resend(view, view.acked, out, 1)
      return
    }
    view.resentAt = this.#ports.timers.now
    this.reach(out)
  }

  #greet(out: Effect[]): void {
    if (this.#ports.isWaiting() && !this.hasRoom) this.wait(out)
  }

  /** The news that the epoch has ended may have been lost. */
  #onWedged(out: Effect[]): void {
    this.#wedged.set(resendTicks)
    this.#ports.stuck(out)
  }

  /** One more server is full, or one less. */
  #fullChanged(name: ServerName): void {
    const view = this.#members.find(({ member }) => member.name === name)
    if (view === undefined) return
    view.silentSince = this.#ports.timers.now
    if (this.#isFull(view)) this.#room.setIfStopped(roomTicks)
    else this.#silence.lookSoon()
  }

  #askForRoom(out: Effect[]): void {
    const { topic, epoch } = this.configuration
    const full = this.#members.filter((view) => this.#isFull(view))
    const to = full.map((view) => this.#addressOf(view))
    if (to.length === 0) return
    this.#room.set(roomTicks)
    send(out, to, { kind: 'ask-room', topic, epoch })
  }

  #viewOf(name: ServerName, epoch: number): MemberView | undefined {
    if (this.configuration.epoch !== epoch) return undefined
    return this.#members.find((view) => view.member.name === name)
  }

  #addressOf({ member }: MemberView): Address {
    return this.#servers.addressOf(member)
  }

  /** Members that are connected, have room and take stores. Where none has begun the epoch one run is sent all the same, to find out. */
  #takers(): Address[] {
    const takers: Address[] = []
    const absent: Address[] = []
    for (const view of this.#members) {
      const address = this.#addressOf(view)
      if (this.#servers.isUp(address) && !this.#isFull(view)) (view.absent ? absent : takers).push(address)
    }
    return takers.length === 0 && this.pendingCount === 0 ? absent : takers
  }

  /** The member takes stores of this epoch: it gets what it lacks. */
  #present(view: MemberView, out: Effect[]): void {
    view.absent = false
    this.#servers.full.note(view.member.name, false)
    this.#resend(view, view.acked, out)
  }

  #send(outgoing: Outgoing, to: readonly Address[], out: Effect[]): void {
    const { topic, epoch } = this.configuration
    const { first, last, check, time, body, stamp } = outgoing
    const publisher = this.#publisher
    if (to.length === 0) return
    const batch = { kind: 'batch', topic, epoch, publisher, first, last, time, check, body } as const
    send(out, to, stamp === null ? batch : { ...batch, ...stamp })
  }

  #resend(view: MemberView, after: number, out: Effect[], countMax: number = Number.POSITIVE_INFINITY): void {
    view.resentAt = this.#ports.timers.now
    let count = 0
    for (const outgoing of this.#sent) {
      if (outgoing.last <= after) continue
      if (count++ >= countMax) break
      this.#send(outgoing, [this.#addressOf(view)], out)
    }
  }

  /** The quorum's cumulative acknowledgement: the quorum-th largest. */
  #acknowledge(): readonly Outgoing[] {
    const ends = this.#members.map((view) => view.acked).sort((a, b) => b - a)
    const durable = ends[operationQuorum(this.configuration) - 1] ?? 0
    const done: Outgoing[] = []
    if (durable > this.durableEnd) {
      const sync = this.#syncOf(durable)
      this.durableEnd = durable
      for (; this.#durableCount < this.#sent.length; this.#durableCount++) {
        const outgoing = this.#sent[this.#durableCount]
        if (outgoing === undefined || outgoing.last > durable) break
        outgoing.acknowledged(sync)
        done.push(outgoing)
        this.#windowBytes -= outgoing.body.length
        this.#retainedBytes += outgoing.body.length
      }
    }
    this.#forget(ends[ends.length - 1] ?? 0)
    return done
  }

  /** What the acknowledgements up to `end` mean together: the weakest among the strongest quorum. */
  #syncOf(end: number): Sync {
    const syncs = this.#members.filter((view) => view.acked >= end).map((view) => view.sync)
    if (syncs.every((sync) => sync === 'always')) return 'always'
    syncs.sort((a, b) => weakness(a) - weakness(b))
    return syncs[operationQuorum(this.configuration) - 1] ?? 'memory'
  }

  /** Drops what all members have, and what is durable beyond what is kept for members that are behind. */
  #forget(everywhere: number): void {
    let gone = 0
    let freed = 0
    for (; gone < this.#durableCount; gone++) {
      const outgoing = this.#sent[gone]
      if (outgoing === undefined) break
      if (outgoing.last > everywhere && this.#retainedBytes - freed <= this.#limits.retainedBytesMax) break
      freed += outgoing.body.length
    }
    // Moving the rest up costs its length: done for many at once, or when it is free.
    if (gone < this.#sent.length && gone < 64) return
    this.#retainedBytes -= freed
    this.#sent = this.#sent.slice(gone)
    this.#durableCount -= gone
  }
}
