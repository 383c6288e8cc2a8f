/**
 * Add at the client: the same bytes to every member, complete when the mode's quorum acknowledged.
 *
 * Source: Figures 4 to 6, "Operation Add(m) at client"; section 4.2 for what an epoch's end means to a pending Add.
 * Departs from it: messages of one turn of the event loop are one store; acknowledgements are cumulative; what the closing set
 * does not hold is added again in the next epoch, in the old order and before anything newer, as a new Add under a new id.
 */
import { crc32 } from 'node:zlib'
import type { Configuration, Decision } from '../../proto/configuration.ts'
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
import type { Clock } from '../../proto/machine/ports.ts'
import { endOf } from '../../proto/message-set.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { EpochFollower, Follower } from '../follower.ts'
import type { Servers } from '../servers.ts'
import { type AddLimits, EpochWindow } from './epoch-window.ts'
import { type Outgoing, OutgoingDraft } from './outgoing.ts'
import type { Many, Waiter } from './waiters.ts'

const ownOutcomeIdsMax = 10_000

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
  #window: EpochWindow | null = null
  #pendingBytes = 0
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

  /** Bytes of bodies without an outcome. */
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
      waiter.reject(queueFull(this.pendingBytes))
      return
    }
    this.#makeRoom(payload)
    this.#draft.add(payload)
    this.#draft.wait(waiter)
    this.#publishedCount++
  }

  /** Takes many messages, all or none. Their payloads are copied. */
  publishMany(payloads: readonly Uint8Array[], many: Many): void {
    const bytes = payloads.reduce((sum, payload) => sum + payload.length, 0)
    const { pendingBytesMax } = this.#limits
    if (this.#failure !== null) many.failed(this.#failure)
    else if (bytes > pendingBytesMax) many.failed(tooMany(bytes, pendingBytesMax))
    else if (this.pendingBytes + bytes > pendingBytesMax) many.failed(queueFull(this.pendingBytes))
    else this.#takeMany(payloads, many)
  }

  /** Gives up waiting for a message; whether it was stored stays open, and it is not added again. */
  abandon(waiter: Waiter, error: (id: string | null) => EpochcastError): void {
    this.#closeDraft()
    for (const outgoing of [...this.#queue, ...(this.#window?.pending() ?? [])]) {
      const index = outgoing.abandon(waiter)
      if (index < 0) continue
      waiter.reject(error(outgoing.assigned ? outgoing.idOf(index) : null))
      // Not on its way: it is left out before it goes.
      this.#queue = this.#queue.flatMap((waiting) => (waiting === outgoing ? this.#rewritten(outgoing) : [waiting]))
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
    for (const outgoing of this.#window?.pending() ?? []) {
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
    for (const outgoing of [...(this.#window?.pending() ?? []), ...this.#queue])
      outgoing.rejectAll((id) => error(id === '' ? null : id))
    this.#window = null
    this.#queue = []
    this.#pendingBytes = 0
    this.#failure = error(null)
    this.#settledCount = this.#publishedCount
    this.#wakeIdle()
  }

  /** The end of a turn: what was published in it leaves. */
  settle(out: Effect[]): void {
    this.#closeDraft()
    if (this.#queue.length === 0) return
    if (this.#window === null) this.#follower.locate(true, undefined, out)
    else this.#pump(out)
  }

  /** Calls back once everything that is pending now has an outcome. */
  whenIdle(told: () => void): void {
    if (this.#settledCount >= this.#publishedCount) told()
    else this.#idle.push({ upTo: this.#publishedCount, told })
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

  opened(from: ServerName, message: MessageOf<'opened'>, out: Effect[]): void {
    this.#window?.opened(from, message, out)
  }

  peerUp(address: Address, out: Effect[]): void {
    this.#window?.peerUp(address, out)
  }

  tick(out: Effect[]): void {
    if (this.#window?.tick(out) === false) this.#follower.suspect(out)
  }

  #enter(configuration: Configuration): void {
    this.#window = new EpochWindow(configuration, this.id, this.#servers, this.#limits)
  }

  #pump(out: Effect[]): void {
    const window = this.#window
    if (window === null) return
    let sent = 0
    for (const outgoing of this.#queue) {
      if (!window.hasRoom) break
      sent++
      window.add(outgoing, out)
    }
    if (sent > 0) this.#queue = this.#queue.slice(sent)
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
    outgoing.settleDropped()
    return this.#rewritten(outgoing)
  }

  #rewritten(outgoing: Outgoing): Outgoing[] {
    const draft = new OutgoingDraft()
    for (const { payloads, waiter } of outgoing.remaining()) {
      for (const payload of payloads) draft.add(payload)
      draft.wait(waiter)
    }
    this.#pendingBytes -= outgoing.body.length
    this.#settledCount += outgoing.count - draft.count
    if (draft.count === 0) return []
    const rewritten = draft.take(crc32, outgoing.time)
    this.#pendingBytes += rewritten.body.length
    return [rewritten]
  }

  #takeMany(payloads: readonly Uint8Array[], many: Many): void {
    let count = 0
    for (const payload of payloads) {
      if (this.#isFull(payload)) {
        if (count > 0) this.#draft.wait(many.part(count))
        count = 0
        this.#closeDraft()
      }
      this.#draft.add(payload)
      count++
    }
    this.#draft.wait(many.part(count))
    this.#publishedCount += payloads.length
  }

  #makeRoom(payload: Uint8Array): void {
    if (this.#isFull(payload)) this.#closeDraft()
  }

  #isFull(payload: Uint8Array): boolean {
    return this.#draft.count > 0 && this.#draft.bytes + payload.length > this.#limits.batchBytesMax
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
    for (let number = outgoing.first; number <= outgoing.last && into.length < ownOutcomeIdsMax; number++) {
      into.push({ epoch: outgoing.epoch, publisher: this.id, sequence: sequence(number) })
    }
  }

  #wakeIdle(): void {
    const done = this.#idle.filter((waiting) => waiting.upTo <= this.#settledCount)
    if (done.length === 0) return
    this.#idle = this.#idle.filter((waiting) => waiting.upTo > this.#settledCount)
    for (const { told } of done) told()
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
