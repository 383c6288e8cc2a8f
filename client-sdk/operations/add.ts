/**
 * Add at the client: the same bytes to every member, complete when the mode's quorum acknowledged.
 *
 * Source: Figures 4 to 6, "Operation Add(m) at client"; section 4.2 for what an epoch's end means to a pending Add.
 * Departs from it: messages of one turn of the event loop are one store; acknowledgements are cumulative; what the closing set
 * does not hold is added again in the next epoch, in the old order and before anything newer, as a new Add under a new id.
 */
import { crc32 } from 'node:zlib'
import { type Configuration, type Decision, isStamped } from '../../proto/configuration.ts'
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
import type { Effect } from '../../proto/machine/contract.ts'
import { endOf } from '../../proto/message-set.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { Stamping } from '../causal-past.ts'
import type { EpochFollower, Follower } from '../follower.ts'
import type { Servers } from '../servers.ts'
import type { ClientTimers } from '../timers.ts'
import { type AddLimits, EpochWindow } from './epoch-window.ts'
import { FlushTally } from './flush.ts'
import { type Outgoing, OutgoingDraft } from './outgoing.ts'
import { Many, neverSent, type One, unknownOutcome, type Waiter } from './waiters.ts'

const ownOutcomeIdsMax = 10_000

export class Publisher implements EpochFollower, Stamping {
  readonly isPublisher = true
  readonly id: PublisherId
  readonly #follower: Follower
  readonly #servers: Servers
  readonly #limits: AddLimits
  readonly #timers: ClientTimers
  readonly #draft = new OutgoingDraft()
  /** Not sent in this epoch yet. */
  #queue: Outgoing[] = []
  #window: EpochWindow | null = null
  #pendingBytes = 0
  /** The epoch's order keeps causes first; not known before the topic is. */
  #mayBeStamped = true
  /** When the first message of the draft was published, among all of this client. */
  #draftTicket = 0
  #draftOrdinal = 0
  #failure: EpochcastError | null = null
  #isClosed = false
  /** Messages that were published, and those of them that have an outcome; outcomes come in order. */
  #publishedCount = 0
  #settledCount = 0
  #flushes: FlushTally[] = []
  /** A run in the queue holds messages that were withdrawn. */
  #isQueueStale = false

  constructor(id: PublisherId, follower: Follower, servers: Servers, limits: AddLimits) {
    this.id = id
    this.#follower = follower
    this.#servers = servers
    this.#limits = limits
    this.#timers = follower.timersOf(this)
  }

  get topic(): TopicName {
    return this.#follower.topic
  }

  /** Bytes of bodies without an outcome. */
  get pendingBytes(): number {
    return this.#pendingBytes + this.#draft.bytes
  }

  /** Why nothing new is sent now: too many disks are full. */
  get shortage(): EpochcastError | null {
    return this.#window?.shortage ?? null
  }

  /** Takes a message into this turn's store. The payload is copied. */
  publish(payload: Uint8Array, waiter: Waiter, header?: Uint8Array): void {
    if (this.#failure !== null) {
      waiter.reject(this.#failure)
      return
    }
    const { shortage } = this
    if (shortage !== null) {
      waiter.reject(shortage)
      return
    }
    if (this.pendingBytes + payload.length > this.#limits.pendingBytesMax) {
      waiter.reject(queueFull(this.pendingBytes))
      return
    }
    const ticket = this.#nextTicket()
    this.#makeRoom(payload)
    this.#noteDraft(ticket)
    this.#draft.add(payload, header)
    this.#draft.wait(waiter)
    this.#publishedCount++
  }

  /** Takes many messages, all or none. Their payloads are copied. */
  publishMany(payloads: readonly Uint8Array[], many: Many, header?: Uint8Array): void {
    const bytes = payloads.reduce((sum, payload) => sum + payload.length, 0)
    const { pendingBytesMax } = this.#limits
    const failure = this.#failure ?? this.shortage
    if (failure !== null) many.failed(failure)
    else if (bytes > pendingBytesMax) many.failed(tooMany(bytes, pendingBytesMax))
    else if (this.pendingBytes + bytes > pendingBytesMax) many.failed(queueFull(this.pendingBytes))
    else this.#takeMany(payloads, many, header)
  }

  /** The caller gives up, and is told whether what it published had left this client. */
  giveUp(waiter: One | Many, cause: EpochcastError): void {
    const left = waiter instanceof Many ? waiter.withdraw(this) : this.withdraw(waiter)
    const error = left === null ? neverSent(cause) : unknownOutcome(left, cause, this.shortage)
    if (waiter instanceof Many) waiter.failed(error)
    else waiter.reject(error)
  }

  /**
   * Ends the wait of a caller that gives up. What has not left this client is withdrawn and will never be sent; what has left goes on without being
   * added again. Left means: handed to the connection of at least one member, in the epoch that is open.
   * @returns the id of the first message that left, as far as it has no outcome; null where none did
   */
  withdraw(waiter: Waiter): string | null {
    this.closeDraft()
    for (const outgoing of this.#window?.pending() ?? []) {
      const index = outgoing.abandon(waiter)
      if (index >= 0) return outgoing.idOf(index)
    }
    // What remains of the run is written anew before it goes, once for all that give up in one turn.
    if (this.#queue.some((outgoing) => outgoing.abandon(waiter) >= 0)) this.#isQueueStale = true
    return null
  }

  begun(configuration: Configuration, out: Effect[]): void {
    this.#failure = null
    this.#enter(configuration, out)
    this.#pump(out)
  }

  /** The epoch ended: what the closing set holds is done, the rest begins anew. */
  moved(decision: Decision, out: Effect[]): void {
    const end = endOf(decision.closing, this.id)
    const own = { included: [] as MessageId[], dropped: [] as MessageId[] }
    const again: Outgoing[] = []
    for (const outgoing of this.#window?.pending() ?? []) {
      const isIncluded = outgoing.last <= end
      this.#noteIds(outgoing, isIncluded ? own.included : own.dropped)
      if (isIncluded) this.#settle(outgoing, 'included', out)
      else again.push(...this.#forNextEpoch(outgoing))
    }
    this.#follower.noteOwn(previousEpoch(decision.next.epoch), own)
    // A run that was in the queue may have been sent in an epoch before; it is judged by that one, not by this.
    this.#queue = [...again, ...this.#queue]
    this.#enter(decision.next, out)
    this.#pump(out)
    this.#wakeIdle()
  }

  failed(error: EpochcastError): void {
    this.closeDraft()
    for (const outgoing of this.#queue) outgoing.rejectAll(() => error)
    this.#queue = []
    this.#pendingBytes = 0
    this.#settledCount = this.#publishedCount
    this.#wakeIdle()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** The client or this publisher ends: every message that is still pending ends here. */
  close(error: (id: string | null) => EpochcastError): void {
    this.#isClosed = true
    this.#follower.remove(this)
    this.closeDraft()
    for (const outgoing of this.#window?.pending() ?? []) outgoing.rejectAll(error)
    for (const outgoing of this.#queue) outgoing.rejectAll(() => error(null))
    this.#window?.close()
    this.#window = null
    this.#queue = []
    this.#pendingBytes = 0
    this.#failure = error(null)
    this.#settledCount = this.#publishedCount
    this.#wakeIdle()
  }

  /**
   * The end of a turn: what was published in it leaves.
   * @returns whether something is left to leave, in the order of the calls among several topics
   */
  settle(out: Effect[]): boolean {
    this.closeDraft()
    this.#tidyQueue()
    if (this.#queue.length === 0) {
      // Nobody waits for the topic: it is not made for what was withdrawn.
      if (this.#window === null) this.#follower.unwant(this)
      return false
    }
    const { shortage } = this
    if (shortage !== null) this.#refuseQueue(shortage, out)
    else if (this.#window === null) this.#follower.create(this, out)
    else if (!this.#window.hasRoom) this.#window.wait(out)
    else if (this.#mayBeStamped) return true
    else this.#pump(out)
    return false
  }

  closeDraft(): void {
    if (this.#draft.count === 0) return
    const time = this.#follower.clock.stamp()
    const outgoing = this.#draft.take(crc32, typeof time === 'number' ? time : 0)
    if (typeof time !== 'number') {
      outgoing.rejectAll(() => time)
      this.#ended(outgoing, outgoing.count)
      this.#wakeIdle()
      return
    }
    outgoing.ticket = this.#draftTicket
    outgoing.ordinal = this.#draftOrdinal
    this.#pendingBytes += outgoing.body.length
    this.#queue.push(outgoing)
  }

  get nextTicket(): number | null {
    return this.#window?.hasRoom === true ? (this.#queue[0]?.ticket ?? null) : null
  }

  sendOne(out: Effect[]): void {
    const outgoing = this.#queue.shift()
    if (outgoing !== undefined && this.#window !== null) this.#send(outgoing, this.#window, out)
  }

  /** Calls back once everything that is pending now has an outcome. */
  flush(told: (tally: FlushTally) => void): void {
    // What is published after the call is no part of a batch that was begun before it.
    this.closeDraft()
    const tally = new FlushTally(this.#publishedCount, this.#publishedCount - this.#settledCount, told)
    if (tally.isDone) told(tally)
    else this.#flushes.push(tally)
  }

  stored(from: ServerName, message: MessageOf<'stored'>, out: Effect[]): void {
    const window = this.#window
    const done = window?.stored(from, message, out) ?? []
    if (window === null || done.length === 0) return
    this.#follower.noteKnown(message.epoch, this.id, window.durableEnd)
    for (const outgoing of done) this.#settle(outgoing, 'durable', out)
    this.#wakeIdle()
    this.#pump(out)
  }

  expected(from: ServerName, message: MessageOf<'expected'>, out: Effect[]): void {
    this.#window?.expected(from, message, out)
  }

  refused(from: ServerName, message: MessageOf<'refused'>, out: Effect[]): void {
    if (this.#window?.refused(from, message) === false) this.#follower.suspect(out)
  }

  room(from: ServerName, message: MessageOf<'room'>, out: Effect[]): void {
    this.#window?.room(from, message, out)
    this.#pump(out)
  }

  opened(from: ServerName, message: MessageOf<'opened'>, out: Effect[]): void {
    this.#window?.opened(from, message, out)
  }

  peerUp(address: Address, out: Effect[]): void {
    this.#window?.peerUp(address, out)
  }

  peerDown(address: Address): void {
    this.#window?.peerDown(address)
  }

  #enter(configuration: Configuration, out: Effect[]): void {
    this.#window?.close()
    this.#window = new EpochWindow(configuration, this.id, this.#servers, this.#limits, {
      timers: this.#timers,
      isWaiting: () => this.#queue.length > 0,
      stuck: (into) => this.#follower.suspect(into),
    })
    this.#window.reach(out)
    this.#mayBeStamped = isStamped(configuration.order)
    if (this.#mayBeStamped) this.#follower.past.begin(this.id)
    else this.#follower.past.end(this.id)
  }

  #pump(out: Effect[]): void {
    const window = this.#window
    this.#tidyQueue()
    if (window === null) return
    let sent = 0
    for (const outgoing of this.#queue) {
      if (!window.hasRoom) break
      sent++
      this.#send(outgoing, window, out)
    }
    if (sent > 0) this.#queue = this.#queue.slice(sent)
  }

  #send(outgoing: Outgoing, window: EpochWindow, out: Effect[]): void {
    if (!this.#mayBeStamped) {
      outgoing.stamp = null
      window.add(outgoing, out)
      return
    }
    const { past } = this.#follower
    const { topic, epoch } = window.configuration
    const after = past.stamp(this.id, topic, epoch)
    outgoing.stamp = after === null ? null : { after }
    window.add(outgoing, out)
    past.note(topic, epoch, this.id, outgoing.last)
  }

  #settle(outgoing: Outgoing, status: 'durable' | 'included', out: Effect[]): void {
    outgoing.conclude(status)
    for (const flush of this.#flushes) flush.durable(outgoing)
    this.#ended(outgoing, outgoing.count)
    this.#pendingBytes -= outgoing.body.length
    out.push({ kind: 'settle', target: outgoing })
  }

  /** Refuses what has not left in this epoch; in those before it was dropped. So the refusal is definite. */
  #refuseQueue(error: EpochcastError, out: Effect[]): void {
    for (const outgoing of this.#queue) {
      outgoing.refuse(error)
      // Told behind what was sent of it in this turn, in epochs that were over by its end.
      out.push({ kind: 'settle', target: outgoing })
      this.#pendingBytes -= outgoing.body.length
      this.#ended(outgoing, outgoing.count)
    }
    this.#queue = []
    this.#wakeIdle()
  }

  /** A dropped run, without the messages that nobody waits for any more and those whose caller wants to know. */
  #forNextEpoch(outgoing: Outgoing): Outgoing[] {
    if (!outgoing.needsRewriting) return [outgoing]
    for (const flush of this.#flushes) flush.drop(outgoing)
    outgoing.settleDropped()
    return this.#rewritten(outgoing)
  }

  /** Leaves out what was withdrawn. */
  #tidyQueue(): void {
    if (!this.#isQueueStale) return
    this.#isQueueStale = false
    this.#queue = this.#queue.flatMap((outgoing) => (outgoing.isStale ? this.#rewritten(outgoing) : [outgoing]))
    this.#wakeIdle()
  }

  #rewritten(outgoing: Outgoing): Outgoing[] {
    const draft = new OutgoingDraft()
    for (const { entries, waiter } of outgoing.remaining()) {
      for (const { payload, header } of entries) draft.add(payload, header)
      draft.wait(waiter)
    }
    this.#pendingBytes -= outgoing.body.length
    this.#ended(outgoing, outgoing.count - draft.count)
    if (draft.count === 0) return []
    const rewritten = draft.take(crc32, outgoing.time)
    rewritten.ticket = outgoing.ticket
    rewritten.ordinal = outgoing.ordinal
    this.#pendingBytes += rewritten.body.length
    return [rewritten]
  }

  #takeMany(payloads: readonly Uint8Array[], many: Many, header?: Uint8Array): void {
    const ticket = this.#nextTicket()
    let count = 0
    for (const payload of payloads) {
      if (this.#isFull(payload)) {
        if (count > 0) this.#draft.wait(many.part(count))
        count = 0
        this.closeDraft()
      }
      this.#noteDraft(ticket)
      this.#draft.add(payload, header)
      this.#publishedCount++
      count++
    }
    this.#draft.wait(many.part(count))
  }

  /** Of a call, among all calls of this client whose order may mean something. */
  #nextTicket(): number {
    return this.#mayBeStamped ? this.#follower.past.publishing(this) : 0
  }

  /** A draft is as old as its first message. */
  #noteDraft(ticket: number): void {
    if (this.#draft.count > 0) return
    this.#draftTicket = ticket
    this.#draftOrdinal = this.#publishedCount
  }

  #makeRoom(payload: Uint8Array): void {
    if (this.#isFull(payload)) this.closeDraft()
  }

  #isFull(payload: Uint8Array): boolean {
    return this.#draft.count > 0 && this.#draft.bytes + payload.length > this.#limits.batchBytesMax
  }

  #noteIds(outgoing: Outgoing, into: MessageId[]): void {
    if (outgoing.epoch === null) return
    for (let number = outgoing.first; number <= outgoing.last && into.length < ownOutcomeIdsMax; number++) {
      into.push({ epoch: outgoing.epoch, publisher: this.id, sequence: sequence(number) })
    }
  }

  /** So many of a run's messages have an outcome, or nobody waits for one. */
  #ended(outgoing: Outgoing, count: number): void {
    this.#settledCount += count
    for (const flush of this.#flushes) flush.ended(outgoing, count)
  }

  #wakeIdle(): void {
    if (this.#flushes.length === 0) return
    const isIdle = this.#settledCount >= this.#publishedCount
    const done = this.#flushes.filter((flush) => isIdle || flush.isDone)
    this.#flushes = this.#flushes.filter((flush) => !done.includes(flush))
    for (const flush of done) flush.told(flush)
  }
}

function queueFull(bytes: number): EpochcastError {
  return new EpochcastError('EC_QUEUE_FULL', `${bytes} bytes wait to be acknowledged`)
}

function tooMany(bytes: number, bytesMax: number): EpochcastError {
  return new EpochcastError(
    'EC_BAD_ARGUMENT',
    `${bytes} bytes in one call are more than the ${bytesMax} that may wait`,
    {
      hint: 'publish them in smaller groups, one after the other',
    },
  )
}
