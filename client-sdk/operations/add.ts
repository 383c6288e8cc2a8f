/**
 * Add at the client: the same bytes to every member, complete when the mode's quorum acknowledged.
 *
 * Source: Figures 4 to 6, "Operation Add(m) at client"; section 4.2 for what an epoch's end means to a pending Add.
 * Departs from it: messages of one turn of the event loop are one store; acknowledgements are cumulative; what the closing set
 * does not hold is added again in the next epoch, in the old order and before anything newer, as a new Add under a new id.
 */
import { crc32 } from 'node:zlib'
import { type Configuration, type Decision, type Member, operationQuorum } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import {
  type Address,
  type MessageId,
  type PublisherId,
  previousEpoch,
  type ServerName,
  sequence,
  type TopicName,
} from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Clock } from '../../proto/machine/ports.ts'
import { endOf } from '../../proto/message-set.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { EpochFollower, Follower } from '../follower.ts'
import type { Servers } from '../servers.ts'
import { type Outgoing, OutgoingDraft, type Waiter } from './outgoing.ts'

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

const resendTicks = 20
/** A member that has not begun the epoch is asked again this often, should it not tell. */
const absentTicks = 5
const pauseTicks = 3
const ownOutcomesMax = 10_000

/** One member, as this publisher sees it. */
interface MemberView {
  readonly name: ServerName
  readonly member: Member
  acked: number
  /** It said that it has not begun this epoch; it tells when it has. */
  absent: boolean
  silentTicks: number
  ticksSinceResend: number
}

export class Publisher implements EpochFollower {
  readonly isPublisher = true
  readonly id: PublisherId
  readonly #follower: Follower
  readonly #servers: Servers
  readonly #clock: Clock
  readonly #limits: AddLimits
  readonly #draft = new OutgoingDraft()
  /** Not sent in this epoch yet. */
  #queue: Outgoing[] = []
  /** Sent in this epoch, oldest first: not acknowledged by all members. The first `#durable` of them by the quorum. */
  #sent: Outgoing[] = []
  #durableCount = 0
  #members: MemberView[] = []
  #configuration: Configuration | null = null
  /** A member said that the epoch is being ended: nothing new is sent until the next one. */
  #wedged = false
  #nextSequence = 1
  #durableEnd = 0
  #pendingBytes = 0
  #windowBytes = 0
  #retainedBytes = 0
  #lastTime = 0
  #failure: EpochcastError | null = null
  /** Messages that were published, and those of them that have an outcome; outcomes come in order. */
  #publishedCount = 0
  #settledCount = 0
  #idle: { readonly upTo: number; told(): void }[] = []

  constructor(id: PublisherId, follower: Follower, servers: Servers, clock: Clock, limits: AddLimits) {
    this.id = id
    this.#follower = follower
    this.#servers = servers
    this.#clock = clock
    this.#limits = limits
  }

  get topic(): TopicName {
    return this.#follower.topic
  }

  /** Messages without an outcome. */
  get pendingCount(): number {
    let count = this.#draft.count
    for (const outgoing of this.#queue) count += outgoing.count
    for (let at = this.#durableCount; at < this.#sent.length; at++) count += this.#sent[at]?.count ?? 0
    return count
  }

  get pendingBytes(): number {
    return this.#pendingBytes + this.#draft.bytes
  }

  /** Takes a message into this turn's store. The payload is copied. */
  publish(payload: Uint8Array, waiter: Waiter): void {
    if (this.#failure !== null) {
      waiter.reject(this.#failure)
      return
    }
    if (this.pendingBytes + payload.length > this.#limits.pendingBytesMax) {
      waiter.reject(new EpochcastError('EC_QUEUE_FULL', `${this.pendingBytes} bytes wait to be acknowledged`))
      return
    }
    if (this.#draft.count > 0 && this.#draft.bytes + payload.length > this.#limits.batchBytesMax) this.#closeDraft()
    this.#draft.add(payload, waiter)
    this.#publishedCount++
  }

  /** Gives up waiting for a message; whether it was stored stays open, and it is not added again. */
  abandon(waiter: Waiter, error: (id: string | null) => EpochcastError): void {
    this.#closeDraft()
    for (const outgoing of [...this.#queue, ...this.#sent]) {
      const index = outgoing.waiters.indexOf(waiter)
      if (index < 0) continue
      outgoing.waiters[index] = null
      waiter.reject(error(outgoing.assigned ? outgoing.idOf(index) : null))
      // Not on its way: it is left out before it goes.
      this.#queue = this.#queue.flatMap((waiting) =>
        waiting === outgoing ? this.#rewritten(outgoing, () => true) : [waiting],
      )
      this.#wakeIdle()
      return
    }
  }

  begun(configuration: Configuration, out: Effect[]): void {
    this.#failure = null
    this.#enter(configuration)
    this.#pump(out)
  }

  /** The epoch ended: what the closing set holds is done, the rest begins anew. */
  moved(decision: Decision, out: Effect[]): void {
    const end = endOf(decision.closing, this.id)
    const own = { included: [] as MessageId[], dropped: [] as MessageId[] }
    const again: Outgoing[] = []
    for (let at = this.#durableCount; at < this.#sent.length; at++) {
      const outgoing = this.#sent[at]
      if (outgoing === undefined) continue
      const isIncluded = outgoing.last <= end
      this.#noteIds(outgoing, isIncluded ? own.included : own.dropped)
      if (isIncluded) this.#settle(outgoing, 'included', out)
      else again.push(...this.#forNextEpoch(outgoing))
    }
    this.#follower.noteOwn(previousEpoch(decision.next.epoch), own)
    // A run that was in the queue may have been sent in an epoch before; it is judged by that one, not by this.
    this.#queue = [...again, ...this.#queue]
    this.#enter(decision.next)
    this.#pump(out)
    this.#wakeIdle()
  }

  failed(error: EpochcastError): void {
    this.#closeDraft()
    for (const outgoing of this.#queue) outgoing.rejectAll(() => error)
    this.#queue = []
    this.#pendingBytes = 0
    this.#settledCount = this.#publishedCount
    this.#wakeIdle()
  }

  /** The client closes: every message that is still pending ends here. */
  close(error: (id: string | null) => EpochcastError): void {
    this.#closeDraft()
    for (const outgoing of [...this.#sent, ...this.#queue]) outgoing.rejectAll((id) => error(id === '' ? null : id))
    this.#sent = []
    this.#queue = []
    this.#durableCount = 0
    this.#pendingBytes = 0
    this.#failure = error(null)
    this.#settledCount = this.#publishedCount
    this.#wakeIdle()
  }

  /** The end of a turn: what was published in it leaves. */
  settle(out: Effect[]): void {
    this.#closeDraft()
    if (this.#queue.length === 0) return
    if (this.#configuration === null) this.#follower.locate(true, undefined, out)
    else this.#pump(out)
  }

  /** Calls back once everything that is pending now has an outcome. */
  whenIdle(told: () => void): void {
    if (this.#settledCount >= this.#publishedCount) told()
    else this.#idle.push({ upTo: this.#publishedCount, told })
  }

  stored(from: ServerName, message: MessageOf<'stored'>, out: Effect[]): void {
    const member = this.#memberOf(from, message.epoch)
    if (member === undefined || message.end <= member.acked) return
    member.acked = message.end
    member.silentTicks = 0
    if (member.absent) this.#present(member, out)
    this.#acknowledge(out)
    this.#pump(out)
  }

  expected(from: ServerName, message: MessageOf<'expected'>, out: Effect[]): void {
    const member = this.#memberOf(from, message.epoch)
    if (member === undefined || member.ticksSinceResend < pauseTicks) return
    // What it lacks is not kept here any more: it gets that from its peers.
    const kept = this.#sent.find((outgoing) => outgoing.last >= message.next)
    if (kept === undefined || kept.first > message.next) return
    this.#resend(member, message.next - 1, Number.POSITIVE_INFINITY, out)
  }

  refused(from: ServerName, message: MessageOf<'refused'>, out: Effect[]): void {
    const member = this.#memberOf(from, message.epoch)
    if (member === undefined) return
    switch (message.refusal) {
      case 'wedged':
        this.#wedged = true
        return
      case 'not-yet':
        member.absent = true
        return
      case 'bad-batch':
      case 'too-many-publishers':
      case 'disk-full':
        return
      default:
        this.#follower.suspect(out)
    }
  }

  opened(from: ServerName, message: MessageOf<'opened'>, out: Effect[]): void {
    const member = this.#memberOf(from, message.epoch)
    if (member !== undefined) this.#present(member, out)
  }

  peerUp(address: Address, out: Effect[]): void {
    for (const member of this.#members) {
      if (this.#servers.addressOf(member.member) === address && this.#sent.length > 0)
        this.#resend(member, member.acked, Number.POSITIVE_INFINITY, out)
    }
  }

  tick(out: Effect[]): void {
    if (this.#configuration === null || this.#sent.length === 0) return
    let silent = 0
    for (const member of this.#members) {
      member.ticksSinceResend++
      if (member.acked + 1 >= this.#nextSequence) continue
      const patience = member.absent ? absentTicks : resendTicks
      if (++member.silentTicks < patience) continue
      silent++
      if (member.ticksSinceResend >= patience) this.#resend(member, member.acked, 1, out)
    }
    const waits = this.#durableCount < this.#sent.length
    if (waits && silent > this.#members.length - operationQuorum(this.#configuration)) this.#follower.suspect(out)
  }

  /** The member takes stores of this epoch: it gets what it lacks. */
  #present(member: MemberView, out: Effect[]): void {
    member.absent = false
    this.#resend(member, member.acked, Number.POSITIVE_INFINITY, out)
  }

  #enter(configuration: Configuration): void {
    this.#configuration = configuration
    this.#wedged = false
    this.#sent = []
    this.#durableCount = 0
    this.#nextSequence = 1
    this.#durableEnd = 0
    this.#windowBytes = 0
    this.#retainedBytes = 0
    this.#members = configuration.members.map((member) => ({
      name: member.name,
      member,
      acked: 0,
      absent: false,
      silentTicks: 0,
      ticksSinceResend: 0,
    }))
  }

  #pump(out: Effect[]): void {
    const configuration = this.#configuration
    if (configuration === null || this.#wedged) return
    let sent = 0
    for (const outgoing of this.#queue) {
      if (this.#windowBytes >= this.#limits.windowBytesMax) break
      sent++
      outgoing.assign(configuration.epoch, this.id, this.#nextSequence)
      this.#nextSequence = outgoing.last + 1
      this.#windowBytes += outgoing.body.length
      this.#sent.push(outgoing)
      const to = this.#members.filter((view) => !view.absent).map((view) => this.#servers.addressOf(view.member))
      this.#send(outgoing, configuration, to, out)
    }
    if (sent > 0) this.#queue = this.#queue.slice(sent)
  }

  #send(outgoing: Outgoing, configuration: Configuration, to: readonly Address[], out: Effect[]): void {
    const { topic, epoch } = configuration
    const { first, last, check, time, body } = outgoing
    if (to.length > 0)
      send(out, to, { kind: 'batch', topic, epoch, publisher: this.id, first, last, time, check, body })
  }

  #resend(member: MemberView, after: number, countMax: number, out: Effect[]): void {
    if (this.#configuration === null) return
    member.ticksSinceResend = 0
    let count = 0
    for (const outgoing of this.#sent) {
      if (outgoing.last <= after) continue
      if (count++ >= countMax) break
      this.#send(outgoing, this.#configuration, [this.#servers.addressOf(member.member)], out)
    }
  }

  /** The quorum's cumulative acknowledgement: the quorum-th largest. */
  #acknowledge(out: Effect[]): void {
    if (this.#configuration === null) return
    const ends = this.#members.map((member) => member.acked).sort((a, b) => b - a)
    const durable = ends[operationQuorum(this.#configuration) - 1] ?? 0
    if (durable > this.#durableEnd) {
      this.#durableEnd = durable
      this.#follower.known.set(this.id, { end: durable, digest: 0 })
      while (this.#durableCount < this.#sent.length) {
        const outgoing = this.#sent[this.#durableCount]
        if (outgoing === undefined || outgoing.last > durable) break
        this.#settle(outgoing, 'durable', out)
        this.#windowBytes -= outgoing.body.length
        this.#retainedBytes += outgoing.body.length
        this.#durableCount++
      }
      this.#wakeIdle()
    }
    this.#forget(ends[ends.length - 1] ?? 0)
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

  #settle(outgoing: Outgoing, status: 'durable' | 'included', out: Effect[]): void {
    outgoing.conclude(status)
    this.#settledCount += outgoing.count
    this.#pendingBytes -= outgoing.body.length
    out.push({ kind: 'settle', target: outgoing })
  }

  /** A dropped run, without the messages that nobody waits for any more and those whose caller wants to know. */
  #forNextEpoch(outgoing: Outgoing): Outgoing[] {
    if (!outgoing.needsRewriting) return [outgoing]
    for (let index = 0; index < outgoing.waiters.length; index++) {
      const waiter = outgoing.waiters[index]
      if (!waiter?.settleAtEpochEnd || outgoing.epoch === null) continue
      waiter.resolve({ id: outgoing.idOf(index), epoch: outgoing.epoch, status: 'dropped' })
    }
    return this.#rewritten(outgoing, (waiter) => !waiter.settleAtEpochEnd)
  }

  #rewritten(outgoing: Outgoing, isWanted: (waiter: Waiter) => boolean): Outgoing[] {
    const draft = new OutgoingDraft()
    for (const { payload, waiter } of outgoing.remaining()) if (isWanted(waiter)) draft.add(payload, waiter)
    this.#pendingBytes -= outgoing.body.length
    this.#settledCount += outgoing.count - draft.count
    if (draft.count === 0) return []
    const rewritten = draft.take(crc32, outgoing.time)
    this.#pendingBytes += rewritten.body.length
    return [rewritten]
  }

  #closeDraft(): void {
    if (this.#draft.count === 0) return
    this.#lastTime = Math.max(this.#lastTime, this.#clock.nowMs())
    const outgoing = this.#draft.take(crc32, this.#lastTime)
    this.#pendingBytes += outgoing.body.length
    this.#queue.push(outgoing)
  }

  #noteIds(outgoing: Outgoing, into: MessageId[]): void {
    if (outgoing.epoch === null) return
    for (let number = outgoing.first; number <= outgoing.last && into.length < ownOutcomesMax; number++) {
      into.push({ epoch: outgoing.epoch, publisher: this.id, sequence: sequence(number) })
    }
  }

  #memberOf(name: ServerName, epoch: number): MemberView | undefined {
    if (this.#configuration?.epoch !== epoch) return undefined
    return this.#members.find((member) => member.name === name)
  }

  #wakeIdle(): void {
    const done = this.#idle.filter((waiting) => waiting.upTo <= this.#settledCount)
    if (done.length === 0) return
    this.#idle = this.#idle.filter((waiting) => waiting.upTo > this.#settledCount)
    for (const { told } of done) told()
  }
}
