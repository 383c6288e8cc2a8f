/**
 * Subscribe: a Get that streams. Every member tells what it has on disk, one also sends the bodies, and a message is given out
 * when the mode's quorum holds it. At the end of an epoch: what the closing set holds and this subscriber lacks, then one epoch
 * event, then the next epoch. Always in that order.
 *
 * Source: Figure 1 of the paper (receive as repeated Gets, view notification as an upcall), Figure 2 (FIFO as a filter).
 * Departs from it: the upcall comes after the decision, placed between the last message of the closing set and the first of the
 * next epoch; so it is never about a view that was only proposed.
 */
import type { Configuration, Decision } from '../../proto/configuration.ts'
import type { EpochcastError } from '../../proto/errors.ts'
import {
  type Address,
  type Epoch,
  nextEpoch,
  type PublisherId,
  previousEpoch,
  type ServerName,
  type TopicName,
} from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import { emptySet, endOf, type MessageSet } from '../../proto/message-set.ts'
import type { Batch, MessageOf } from '../../proto/wire/messages.ts'
import type { Position } from '../cursor.ts'
import type { EpochFollower, Follower, OwnOutcomes } from '../follower.ts'
import type { Requests } from '../requests.ts'
import type { Servers } from '../servers.ts'
import { Fetch, type FetchListener, Prefix } from './fetch.ts'
import { MemberReports } from './reports.ts'

/** What a subscription hands over, in order. */
export type Delivery =
  | { readonly kind: 'batch'; readonly batch: Batch; readonly skip: number }
  | { readonly kind: 'epoch'; readonly decision: Decision; readonly own: OwnOutcomes }
  /** Reading begins here: what came before is not given. */
  | { readonly kind: 'position'; readonly position: Position }
  | { readonly kind: 'gap'; readonly from: Epoch; readonly to: Epoch }

/** Who reads; all calls come from the machine, none may take long. */
export interface Consumer {
  deliver(delivery: Delivery): void
  failed(error: EpochcastError): void
}

export type StartAt = 'start' | 'new' | Position

const windowBytes = 1024 * 1024
/** How long a source of bodies may be silent until another is asked; twice as long after every time. */
const sourceSilenceTicksMin = 2
const sourceSilenceTicksMax = 40
/** Without a change of the source for so long, patience begins anew. */
const sourceTrustedTicks = 300
const resubscribeTicks = 10
/** Members forget subscribers that are silent for three times as long. */
const keepAliveTicks = 1000

export class Subscription implements EpochFollower, FetchListener {
  readonly token: number
  readonly #follower: Follower
  readonly #servers: Servers
  readonly #consumer: Consumer
  readonly #startAt: StartAt
  /** Newest epoch that this client knows; the subscription may still be reading an older one. */
  #newest: Configuration | null = null
  #epoch: Epoch | null = null
  /** `new` waits for the first reports of a quorum: what is durable then is not given. */
  #started = false
  /** What was received, and what of it was given out, of the epoch being read. */
  #received: Prefix = new Prefix(emptySet)
  #given: Prefix = new Prefix(emptySet)
  /** Of the newest epoch, while it is the one being read. */
  #reports: MemberReports | null = null
  /** Received and not durable yet, by publisher. */
  readonly #held = new Map<PublisherId, Batch[]>()
  /** Set while an epoch that has ended is read to its end. */
  #closing: Decision | null = null
  #fetch: Fetch | null = null
  #source = 0
  #creditBytes = 0
  #consumedBytes = 0
  #outstandingBytes = 0
  #ticks = 0
  #bodyTicks = 0
  #sourcePatience = sourceSilenceTicksMin
  #ticksSinceSource = 0
  #ticksSinceSubscribe = 0
  #over = false

  constructor(startAt: StartAt, follower: Follower, servers: Servers, requests: Requests, consumer: Consumer) {
    this.#startAt = startAt
    this.#follower = follower
    this.#servers = servers
    this.#consumer = consumer
    this.token = requests.nextToken()
    this.#source = this.token
  }

  get topic(): TopicName {
    return this.#follower.topic
  }

  begun(configuration: Configuration, out: Effect[]): void {
    this.#newest = configuration
    if (this.#epoch === null) this.#begin(configuration, out)
  }

  moved(decision: Decision, out: Effect[]): void {
    this.#newest = decision.next
    if (this.#epoch === previousEpoch(decision.next.epoch) && this.#closing === null) this.#close(decision, out)
  }

  failed(error: EpochcastError): void {
    this.#consumer.failed(error)
  }

  /** The reader took that many body bytes: the source may send as many more. */
  consumed(bytes: number, out: Effect[]): void {
    this.#consumedBytes += bytes
    this.#outstandingBytes -= bytes
    if (this.#fetch !== null) {
      this.#fetch.next(out)
      return
    }
    const credit = this.#consumedBytes + windowBytes
    if (this.#newest === null || this.#epoch === null || credit - this.#creditBytes < windowBytes / 4) return
    this.#creditBytes = credit
    const { topic } = this.#newest
    const source = this.#sourceAddress()
    if (source !== null)
      send(out, source, { kind: 'credit', topic, epoch: this.#epoch, creditBytes: credit }, this.token)
  }

  report(from: ServerName, message: MessageOf<'report'>, out: Effect[]): void {
    const reports = this.#reports
    if (reports === null || message.epoch !== reports.epoch || message.epoch !== this.#epoch) return
    if (this.#closing !== null || !reports.take(from, message.stored)) return
    if (!this.#started && !this.#startNow(out)) return
    for (const publisher of message.stored.keys()) this.#release(publisher, reports.durableEnd(publisher))
  }

  batch(from: Address, batch: Batch, out: Effect[]): void {
    if (batch.epoch !== this.#epoch) return
    if (this.#fetch !== null) {
      this.#fetch.batch(batch, out)
      return
    }
    this.#bodyTicks = 0
    if (this.#received.take(batch) < 0) {
      // It used up credit of its source, and no reader will ever give that back.
      if (from === this.#sourceAddress()) this.#consumedBytes += batch.body.length
      // Something before it was lost on the way: the source begins again behind what is here.
      const isGap = batch.first > this.#received.endOf(batch.publisher) + 1
      if (isGap && this.#ticksSinceSubscribe > resubscribeTicks && from === this.#sourceAddress()) this.#subscribe(out)
      return
    }
    this.#outstandingBytes += batch.body.length
    const waiting = this.#held.get(batch.publisher)
    if (waiting === undefined) this.#held.set(batch.publisher, [batch])
    else waiting.push(batch)
    this.#release(batch.publisher, this.#reports?.durableEnd(batch.publisher) ?? 0)
  }

  pulled(message: MessageOf<'pulled'>, out: Effect[]): void {
    this.#fetch?.pulled(message, out)
  }

  refused(message: MessageOf<'refused'>, out: Effect[]): void {
    if (this.#fetch !== null) this.#fetch.refused()
    else if (message.refusal !== 'not-yet' && message.refusal !== 'wedged') this.#follower.suspect(out)
  }

  opened(from: Address, message: MessageOf<'opened'>, out: Effect[]): void {
    if (message.epoch === this.#epoch && this.#closing === null) this.#subscribe(out, [from])
  }

  peer(address: Address, up: boolean, out: Effect[]): void {
    if (this.#closing !== null || this.#epoch === null || this.#newest?.epoch !== this.#epoch) return
    if (!up && address === this.#sourceAddress()) {
      this.#source++
      this.#subscribe(out)
    } else if (up && this.#follower.addresses().includes(address)) this.#subscribe(out, [address])
  }

  tick(out: Effect[]): void {
    if (this.#over) return
    if (this.#fetch !== null) {
      this.#fetch.tick(out)
      return
    }
    if (this.#closing !== null || this.#epoch === null || this.#newest === null) return
    this.#ticksSinceSubscribe++
    if (++this.#ticks % keepAliveTicks === 0) this.#keepAlive(this.#newest, out)
    const hasRoom = this.#outstandingBytes < windowBytes
    const lacksBodies = this.#reports?.goesBeyond((publisher) => this.#received.endOf(publisher)) === true
    if (++this.#ticksSinceSource > sourceTrustedTicks) this.#sourcePatience = sourceSilenceTicksMin
    if (hasRoom && lacksBodies && ++this.#bodyTicks > this.#sourcePatience) {
      this.#bodyTicks = 0
      this.#ticksSinceSource = 0
      this.#sourcePatience = Math.min(sourceSilenceTicksMax, this.#sourcePatience * 2)
      this.#source++
      this.#subscribe(out)
    }
    for (const member of this.#reports?.tick() ?? []) this.#subscribe(out, [this.#servers.addressOf(member)])
    if (this.#reports?.isDeaf === true) this.#follower.suspect(out)
  }

  /** No further delivery. */
  close(out: Effect[]): void {
    this.#over = true
    this.#follower.remove(this)
    if (this.#newest === null || this.#epoch === null) return
    const { topic } = this.#newest
    const to = this.#follower.addresses()
    if (to.length > 0) send(out, to, { kind: 'unsubscribe', topic, epoch: this.#epoch }, this.token)
  }

  fetched(batch: Batch, skip: number): void {
    this.#outstandingBytes += batch.body.length
    this.#consumer.deliver({ kind: 'batch', batch, skip })
  }

  complete(out: Effect[]): void {
    const decision = this.#closing
    this.#fetch = null
    this.#closing = null
    if (decision === null) return
    const ended = previousEpoch(decision.next.epoch)
    const own = this.#follower.ownOutcomes.get(ended) ?? { included: [], dropped: [] }
    this.#consumer.deliver({ kind: 'epoch', decision, own })
    this.#enter(decision.next.epoch, emptySet, out)
  }

  hasRoom(): boolean {
    return this.#outstandingBytes < windowBytes
  }

  stalled(out: Effect[]): void {
    this.#follower.suspect(out)
  }

  #begin(configuration: Configuration, out: Effect[]): void {
    const start = this.#startAt
    if (start === 'new') {
      this.#enter(configuration.epoch, emptySet, out)
      return
    }
    this.#started = true
    const from = start === 'start' ? configuration.floor : start.epoch
    const seen = start === 'start' ? emptySet : start.seen
    if (from >= configuration.floor) {
      this.#enter(from, seen, out)
      return
    }
    this.#consumer.deliver({ kind: 'gap', from, to: configuration.floor })
    this.#enter(configuration.floor, emptySet, out)
  }

  /** Reads an epoch: to its end if it is over, else as it goes. */
  #enter(epoch: Epoch, seen: MessageSet, out: Effect[]): void {
    this.#epoch = epoch
    this.#received = new Prefix(seen)
    this.#given = new Prefix(seen)
    this.#held.clear()
    const newest = this.#newest
    if (newest === null) return
    this.#reports = new MemberReports(newest)
    if (epoch >= newest.epoch) {
      this.#subscribe(out)
      return
    }
    const told = (decision: Decision | null, into: Effect[]) => {
      if (this.#epoch !== epoch || this.#closing !== null || this.#over) return
      if (decision !== null) this.#close(decision, into)
      else this.#skip(epoch, into)
    }
    this.#follower.want(epoch, told, out)
  }

  /** Nobody knows that epoch any more. */
  #skip(epoch: Epoch, out: Effect[]): void {
    this.#consumer.deliver({ kind: 'gap', from: epoch, to: nextEpoch(epoch) })
    this.#enter(nextEpoch(epoch), emptySet, out)
  }

  /** The epoch being read has ended: whatever of the closing set is here goes out, the rest is fetched. */
  #close(decision: Decision, out: Effect[]): void {
    this.#closing = decision
    if (!this.#started) {
      // Nothing of the epoch in which a `new` subscription began to wait counts as after its start.
      this.#started = true
      this.#given = new Prefix(decision.closing)
      this.#consumer.deliver({
        kind: 'position',
        position: { epoch: previousEpoch(decision.next.epoch), seen: decision.closing },
      })
    }
    for (const publisher of [...this.#held.keys()]) this.#release(publisher, endOf(decision.closing, publisher))
    for (const waiting of this.#held.values()) {
      for (const batch of waiting) this.#outstandingBytes -= batch.body.length
    }
    this.#held.clear()
    const newest = this.#newest ?? decision.next
    const members = () => {
      const configuration = this.#newest ?? newest
      return configuration.members.map((member) => this.#servers.addressOf(member))
    }
    const epoch = previousEpoch(decision.next.epoch)
    const of = { topic: newest.topic, epoch, until: decision.closing, prefix: this.#given }
    const fetch = new Fetch(of, this.token, members, this.#source, this)
    this.#fetch = fetch
    fetch.next(out)
  }

  #subscribe(out: Effect[], only?: readonly Address[]): void {
    const newest = this.#newest
    if (newest === null || this.#epoch !== newest.epoch || this.#over) return
    const source = this.#sourceAddress()
    const { topic, epoch } = newest
    const since = this.#received.snapshot()
    this.#ticksSinceSubscribe = 0
    for (const address of only ?? this.#follower.addresses()) {
      const isSource = address === source
      if (isSource) {
        // Credit is counted from here on: what is on its way to the reader has its room already.
        this.#consumedBytes = -this.#outstandingBytes
        this.#creditBytes = this.#started ? Math.max(0, windowBytes - this.#outstandingBytes) : 0
      }
      const creditBytes = isSource ? this.#creditBytes : 0
      send(out, address, { kind: 'subscribe', topic, epoch, since, creditBytes }, this.token)
    }
  }

  #sourceAddress(): Address | null {
    const addresses = this.#follower.addresses()
    return addresses[this.#source % Math.max(1, addresses.length)] ?? null
  }

  #keepAlive(configuration: Configuration, out: Effect[]): void {
    const source = this.#sourceAddress()
    const { topic, epoch } = configuration
    for (const to of this.#follower.addresses()) {
      send(out, to, { kind: 'credit', topic, epoch, creditBytes: to === source ? this.#creditBytes : 0 }, this.token)
    }
  }

  /** For `new`: once a quorum has reported, what is durable now is what came before. */
  #startNow(out: Effect[]): boolean {
    const configuration = this.#newest
    const reports = this.#reports
    if (configuration === null || reports === null || !reports.isQuorum) return false
    const before = reports.durable()
    this.#started = true
    this.#given = new Prefix(before)
    this.#received = new Prefix(before)
    this.#consumer.deliver({ kind: 'position', position: { epoch: configuration.epoch, seen: before } })
    // Only now bodies are wanted, behind that.
    const source = this.#sourceAddress()
    if (source !== null) this.#subscribe(out, [source])
    return true
  }

  /** Gives out what is held of a publisher up to `end`. */
  #release(publisher: PublisherId, end: number): void {
    const waiting = this.#held.get(publisher)
    if (waiting === undefined) return
    let count = 0
    for (const batch of waiting) {
      if (batch.last > end) break
      count++
      const skip = this.#given.take(batch)
      if (skip < 0) {
        this.#outstandingBytes -= batch.body.length
        this.#consumedBytes += batch.body.length
      } else this.#consumer.deliver({ kind: 'batch', batch, skip })
    }
    if (count === 0) return
    if (this.#closing === null && this.#epoch !== null) this.#follower.noteKnown(this.#epoch, publisher, end)
    if (count === waiting.length) this.#held.delete(publisher)
    else this.#held.set(publisher, waiting.slice(count))
  }
}
