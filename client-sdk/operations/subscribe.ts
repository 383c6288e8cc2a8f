/**
 * Subscribe: a Get that streams. Every member tells what it has on disk, one also sends the bodies, and a message is given out
 * when the mode's quorum holds it. At the end of an epoch: what the closing set holds and this subscriber lacks, then one epoch
 * event, then the next epoch. Always in that order.
 *
 * Source: Figure 1 of the paper (receive as repeated Gets, view notification as an upcall), Figure 2 (FIFO as a filter).
 * Other orders than that of each publisher are filters of their own (`client-sdk/orders`), one for each epoch.
 * Departs from it: the upcall comes after the decision, placed between the last message of the closing set and the first of the
 * next epoch; so it is never about a view that was only proposed.
 */
import type { Configuration, Decision, Member } from '../../proto/configuration.ts'
import type { EpochcastError } from '../../proto/errors.ts'
import {
  type Address,
  type Epoch,
  isSystemPublisher,
  type MessageId,
  nextEpoch,
  type PublisherId,
  previousEpoch,
  type ServerName,
  sequencerPublisher,
  type TopicName,
} from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { countOf, emptySet, endOf, type MessageSet } from '../../proto/message-set.ts'
import type { Batch, MessageOf } from '../../proto/wire/messages.ts'
import type { Follower } from '../follower.ts'
import { History } from '../orders/history.ts'
import type { Cause, Judgement, OrderFilter, Release, ReleaseListener, Run } from '../orders/order-filter.ts'
import { TotalFilter } from '../orders/total-filter.ts'
import type { Requests } from '../requests.ts'
import type { Servers } from '../servers.ts'
import type { ClientTimer, ClientTimers } from '../timers.ts'
import { BodySource } from './body-source.ts'
import { Confirming } from './confirming.ts'
import type { Consumer, StartAt } from './delivery.ts'
import { Fetch, type FetchListener, Prefix } from './fetch.ts'
import type { Reader } from './reader.ts'
import { filterFor, isFiltered, needsHistory, plainReading, type Reading, refusalOf } from './reading.ts'
import { MemberReports } from './reports.ts'
import { Survey } from './survey.ts'

/** A cause that nobody holds is waited for so long. */
const causeTicks = 200
const nothingLost: readonly MessageId[] = []

/** How often a subscription that is ahead of every configuration it knows asks for a newer one. */
const aheadTicks = 50

export class Subscription implements Reader, FetchListener, ReleaseListener {
  readonly token: number
  readonly timers: ClientTimers
  readonly #follower: Follower
  readonly #servers: Servers
  readonly #consumer: Consumer
  readonly #startAt: StartAt
  readonly #reading: Reading
  /** Of the epoch being read, where messages wait for others than themselves. */
  #filter: OrderFilter | null = null
  #survey: Survey | null = null
  /** Rings while something may wait for what comes before it. */
  readonly #cause: Timer<ClientTimer>
  /** Tick at which something was last given. */
  #deliveredAt = 0
  /** It began, gave something, or its epoch ends: who reads this topic together with others looks again. */
  hasGoneOn = false
  readonly #confirming = new Confirming()
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
  readonly #source: BodySource
  readonly #ahead: Timer<ClientTimer>
  #over = false

  constructor(
    startAt: StartAt,
    follower: Follower,
    servers: Servers,
    requests: Requests,
    consumer: Consumer,
    reading: Reading = plainReading,
  ) {
    this.#reading = reading
    this.#startAt = startAt
    this.#follower = follower
    this.#servers = servers
    this.#consumer = consumer
    this.token = requests.nextToken()
    this.timers = follower.timersOf(this)
    const { topic } = follower
    this.#cause = this.timers.timer('cause', topic, (out) => this.#watchCause(out))
    this.#ahead = this.timers.timer('ahead', topic, (out) => this.#askAhead(out))
    this.#source = new BodySource(follower, this.token, this.timers, {
      lacksBodies: () => this.#lacksBodies(),
      changed: (out) => this.#subscribe(out),
    })
  }

  get topic(): TopicName {
    return this.#follower.topic
  }

  begun(configuration: Configuration, out: Effect[]): void {
    this.#newest = configuration
    if (this.#epoch !== null) return
    const refusal = refusalOf(this.#reading, configuration)
    if (refusal === null) this.#begin(configuration, out)
    else this.#refuse(refusal, out)
  }

  moved(decision: Decision, out: Effect[]): void {
    this.#newest = decision.next
    if (this.#epoch === decision.next.epoch) {
      // It waited for this epoch to begin, or for the news of it.
      if (this.#closing === null) this.#enter(this.#epoch, this.#given.snapshot(), out)
      return
    }
    if (this.#epoch !== previousEpoch(decision.next.epoch) || this.#closing !== null) return
    this.#leave()
    // Who has not begun begins behind the end; who has finds out about that once it knows what was before its start.
    if (this.#started && this.#survey !== null) return
    this.#endSurvey()
    this.#close(decision, out)
  }

  failed(error: EpochcastError): void {
    this.#consumer.failed(error)
  }

  /** The reader took that many body bytes: the source may send as many more. */
  consumed(bytes: number, out: Effect[]): void {
    this.#source.consume(bytes)
    if (this.#fetch !== null) this.#fetch.next(out)
    else if (this.#epoch !== null && this.#newest !== null) this.#source.grant(this.topic, this.#epoch, out)
  }

  report(from: ServerName, message: MessageOf<'report'>, out: Effect[]): void {
    const reports = this.#reports
    if (reports === null || message.epoch !== reports.epoch || message.epoch !== this.#epoch) return
    if (this.#closing !== null || !reports.take(from, message.stored)) return
    for (const [publisher, { end }] of message.stored) if (end > this.#received.endOf(publisher)) this.#source.expect()
    if (this.#survey !== null) return
    if (!this.#started && !this.#startNow(out)) return
    for (const publisher of message.stored.keys()) this.#release(publisher, reports.durableEnd(publisher))
    if (this.#filter !== null) this.#grant(out)
  }

  batch(from: Address, batch: Batch, out: Effect[]): void {
    if (batch.epoch !== this.#epoch) return
    if (this.#survey !== null || batch.body.length === 0) {
      if (batch.body.length === 0) this.#survey?.batch(batch, out)
      return
    }
    if (this.#fetch !== null) {
      this.#fetch.batch(batch, out)
      return
    }
    if (this.#closing !== null) return
    this.#source.heard()
    const skip = this.#received.take(batch)
    if (skip < 0) {
      // It used up credit of its source, and no reader will ever give that back.
      const isFromSource = from === this.#source.address()
      if (isFromSource) this.#source.pass(batch.body.length)
      // Something before it was lost on the way: the source begins again behind what is here.
      const isGap = batch.first > this.#received.endOf(batch.publisher) + 1
      if (isGap && isFromSource && this.#source.mayAskAgain) this.#subscribe(out)
      return
    }
    if (this.#filter !== null) {
      this.#filter.durable(batch.publisher, this.#reports?.durableEnd(batch.publisher) ?? 0)
      this.#filterIn(this.#filter, batch, skip)
      this.#grant(out)
      return
    }
    this.#source.hold(batch.body.length)
    const waiting = this.#held.get(batch.publisher)
    if (waiting === undefined) this.#held.set(batch.publisher, [batch])
    else waiting.push(batch)
    this.#release(batch.publisher, this.#reports?.durableEnd(batch.publisher) ?? 0)
  }

  pulled(message: MessageOf<'pulled'>, out: Effect[]): void {
    if (this.#survey !== null) this.#survey.pulled(message, out)
    else this.#fetch?.pulled(message, out)
  }

  refused(message: MessageOf<'refused'>, out: Effect[]): void {
    if (this.#survey !== null) this.#survey.refused()
    else if (this.#fetch !== null) this.#fetch.refused()
    else if (message.refusal !== 'not-yet' && message.refusal !== 'wedged') this.#follower.suspect(out)
  }

  opened(from: Address, message: MessageOf<'opened'>, out: Effect[]): void {
    if (message.epoch === this.#epoch && this.#closing === null) this.#subscribe(out, [from])
  }

  peer(address: Address, up: boolean, out: Effect[]): void {
    this.#fetch?.peer(address, up, out)
    this.#survey?.peer(address, up, out)
    if (this.#closing !== null || this.#epoch === null || this.#newest?.epoch !== this.#epoch) return
    if (!up && address === this.#source.address()) {
      this.#source.next()
      this.#subscribe(out)
    } else if (up && this.#follower.addresses().includes(address)) this.#subscribe(out, [address])
  }

  listensTo(): readonly Address[] {
    const isLive = this.#reports !== null && this.#closing === null && this.#epoch === this.#newest?.epoch
    return isLive && !this.#over ? this.#follower.addresses() : []
  }

  silent(server: Address, out: Effect[]): void {
    const member = this.#memberAt(server)
    if (member === undefined) return
    this.#reports?.silent(member.name)
    this.#subscribe(out, [server])
  }

  heard(server: Address): void {
    const member = this.#memberAt(server)
    if (member !== undefined) this.#reports?.heard(member.name)
  }

  /** No further delivery. */
  close(out: Effect[]): void {
    if (this.#over) return
    this.#over = true
    this.#leave()
    this.#cause.stop()
    this.#held.clear()
    this.#endSurvey()
    this.#fetch?.cancel()
    this.hasGoneOn = true
    this.#filter = null
    this.#confirming.wake(null)
    this.#follower.remove(this)
    if (this.#newest === null || this.#epoch === null) return
    const { topic } = this.#newest
    const to = this.#follower.addresses()
    if (to.length > 0) send(out, to, { kind: 'unsubscribe', topic, epoch: this.#epoch }, this.token)
  }

  fetched(batch: Batch, skip: number): void {
    if (this.#filter !== null) {
      this.#filterIn(this.#filter, batch, skip)
      return
    }
    if (isSystemPublisher(batch.publisher)) return
    this.#source.hold(batch.body.length)
    this.#deliver(batch, skip)
  }

  complete(out: Effect[]): void {
    const decision = this.#closing
    this.#fetch = null
    if (decision === null) return
    // Something of another topic comes first: this epoch ends behind it.
    if (this.#filter?.finish() === false) return
    this.#closing = null
    this.#filter = null
    this.hasGoneOn = true
    const ended = previousEpoch(decision.next.epoch)
    const own = this.#follower.ownOutcomes.get(ended) ?? { included: [], dropped: [] }
    this.#consumer.deliver({ kind: 'epoch', decision, own })
    this.#confirming.wake(this.#filter)
    this.#enter(decision.next.epoch, emptySet, out)
  }

  hasRoom(): boolean {
    return this.#source.hasRoom
  }

  isUp(server: Address): boolean {
    return this.#follower.isUp(server)
  }

  busyTicks(from: Address): number {
    return this.#follower.busyTicks(from)
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
    const seen = new Map(start === 'start' ? emptySet : start.seen)
    // The records are always read from their beginning.
    seen.delete(sequencerPublisher)
    if (from >= configuration.floor) {
      this.#enter(from, seen, out)
      return
    }
    this.#consumer.deliver({ kind: 'gap', from, to: configuration.floor })
    this.#enter(configuration.floor, emptySet, out)
  }

  /** Reads an epoch: to its end if it is over, else as it goes. */
  #enter(epoch: Epoch, seen: MessageSet, out: Effect[]): void {
    this.#leave()
    this.#cause.stop()
    this.#epoch = epoch
    this.#received = new Prefix(seen)
    this.#given = new Prefix(seen)
    this.#held.clear()
    this.#filter = null
    this.#endSurvey()
    const newest = this.#newest
    if (newest === null) return
    if (epoch > newest.epoch) this.#ahead.set(aheadTicks)
    const refusal = epoch >= newest.epoch ? refusalOf(this.#reading, newest) : null
    if (refusal !== null) this.#refuse(refusal, out)
    else if (seen.size > 0 && needsHistory(this.#reading)) {
      this.#learn(seen, emptySet, (batches, into) => this.#read(epoch, seen, new History(batches, seen), into), out)
    } else this.#read(epoch, seen, null, out)
  }

  /** @param history what is known of the part of the epoch that is before the start */
  #read(epoch: Epoch, seen: MessageSet, history: History | null, out: Effect[]): void {
    const newest = this.#newest
    if (newest === null || this.#over) return
    this.#reports = epoch === newest.epoch ? this.#listen(newest) : null
    if (epoch >= newest.epoch) {
      if (this.#started) this.#filter = this.#newFilter(newest.base, seen, history)
      this.#subscribe(out)
      return
    }
    const told = (decision: Decision | null, into: Effect[]) => {
      if (this.#epoch !== epoch || this.#closing !== null || this.#over) return
      if (decision === null) {
        this.#skip(epoch, into)
        return
      }
      this.#filter = this.#newFilter(decision.next.base - countOf(decision.closing), seen, history)
      this.#close(decision, into)
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
    this.hasGoneOn = true
    this.#filter?.close(decision.closing)
    if (this.#filter !== null) this.#cause.setIfStopped(causeTicks)
    for (const publisher of [...this.#held.keys()]) this.#release(publisher, endOf(decision.closing, publisher))
    for (const waiting of this.#held.values()) {
      for (const batch of waiting) this.#source.drop(batch.body.length)
    }
    this.#held.clear()
    const newest = this.#newest ?? decision.next
    const members = () => {
      const configuration = this.#newest ?? newest
      return configuration.members.map((member) => this.#servers.addressOf(member))
    }
    const epoch = previousEpoch(decision.next.epoch)
    const prefix = this.#filter === null ? this.#given : new Prefix(within(this.#received, decision.closing))
    const of = { topic: newest.topic, epoch, until: decision.closing, prefix }
    const fetch = new Fetch(of, this.token, members, this.#source.turn, this)
    this.#fetch = fetch
    fetch.next(out)
  }

  #subscribe(out: Effect[], only?: readonly Address[]): void {
    const { topic } = this
    if (this.#epoch === null || this.#epoch !== this.#newest?.epoch || this.#over) return
    const since = this.#received.snapshot()
    this.#source.subscribe({ topic, epoch: this.#epoch, since, wantsBodies: this.#started }, out, only)
  }

  /** For `new`: once a quorum has reported, what is durable now is what came before. */
  #startNow(out: Effect[]): boolean {
    const configuration = this.#newest
    const reports = this.#reports
    if (configuration === null || reports === null || !reports.isQuorum) return false
    const before = reports.durable()
    if (!isFiltered(this.#reading) || !needsHistory(this.#reading)) {
      this.#startBehind(before, this.#newFilter(configuration.base, before, null), before, out)
      return true
    }
    if (this.#reading.order === 'total') this.#startRanked(configuration, before, out)
    else {
      const begin = (batches: readonly Batch[], into: Effect[]) => {
        const filter = this.#newFilter(configuration.base, before, new History(batches, before))
        this.#startBehind(before, filter, before, into)
      }
      this.#learn(before, emptySet, begin, out)
    }
    return false
  }

  /** In total order what has its place, and is durable up to there, is before the start. */
  #startRanked(configuration: Configuration, before: MessageSet, out: Effect[]): void {
    const records = new Map(before)
    const end = before.get(sequencerPublisher)
    records.delete(sequencerPublisher)
    const begin = (batches: readonly Batch[], into: Effect[]) => {
      const filter = new TotalFilter(configuration.base, this)
      const known = batches.filter(({ publisher }) => publisher === sequencerPublisher)
      const seen = filter.skipRanked(known, before)
      const received = end === undefined ? seen : new Map([...seen, [sequencerPublisher, end]])
      this.#startBehind(seen, filter, received, into)
    }
    this.#learn(end === undefined ? emptySet : new Map([[sequencerPublisher, end]]), records, begin, out)
  }

  /** @param received what need not come any more */
  #startBehind(seen: MessageSet, filter: OrderFilter | null, received: MessageSet, out: Effect[]): void {
    const configuration = this.#newest
    if (configuration === null) return
    this.#started = true
    this.hasGoneOn = true
    this.#filter = filter
    this.#given = new Prefix(seen)
    this.#received = new Prefix(received)
    this.#consumer.deliver({ kind: 'position', position: { epoch: configuration.epoch, seen } })
    for (const [publisher, { end }] of this.#reports?.durable() ?? []) filter?.durable(publisher, end)
    // Only now bodies are wanted, behind that.
    const source = this.#source.address()
    if (source !== null) this.#subscribe(out, [source])
  }

  /** Gives out what is held of a publisher up to `end`. */
  #release(publisher: PublisherId, end: number): void {
    if (this.#filter !== null) {
      this.#filter.durable(publisher, end)
      return
    }
    const waiting = this.#held.get(publisher)
    if (waiting === undefined) return
    let count = 0
    for (const batch of waiting) {
      if (batch.last > end) break
      count++
      const skip = this.#given.take(batch)
      if (skip < 0 || isSystemPublisher(publisher)) {
        this.#source.consume(batch.body.length)
      } else this.#deliver(batch, skip)
    }
    if (count === 0) return
    this.#know(publisher, end)
    if (count === waiting.length) this.#held.delete(publisher)
    else this.#held.set(publisher, waiting.slice(count))
  }

  // Filters.

  give(release: Release): void {
    const { batch, skip, position, early, lost } = release
    this.#source.recall(batch.body.length)
    if (!early) this.#know(batch.publisher, batch.last)
    this.#deliver(batch, skip, position, early, lost)
  }

  judged(kind: Judgement, run: Run): void {
    if (kind === 'confirmed') this.#know(run.publisher, run.last)
    this.#consumer.deliver({ kind, run })
    this.#confirming.wake(this.#filter)
  }

  /** Calls back once everything that was given early until now is confirmed or retracted. */
  whenConfirmed(told: () => void): void {
    this.#confirming.wait(this.#filter, told)
    this.#confirming.wake(this.#filter)
  }

  /** Another topic that is read together with this one has gone on. */
  recheck(out: Effect[]): void {
    this.#filter?.recheck()
    if (this.#closing !== null && this.#fetch === null) this.complete(out)
    else if (this.#filter !== null) this.#grant(out)
  }

  /** Whether a message was given, was before the start with all its causes, or will never be given. */
  covers(cause: Cause): boolean {
    if (this.#over) return true
    if (this.#epoch === null || !this.#started || this.#epoch < cause.epoch) return false
    if (this.#epoch > cause.epoch) return true
    const end = this.#closing === null ? cause.end : Math.min(cause.end, endOf(this.#closing.closing, cause.publisher))
    return this.#filter === null ? end <= 0 : this.#filter.covers(cause.publisher, end)
  }

  /** Something has been waiting for this cause for long: if nobody holds it, only the end of the epoch tells. */
  miss(cause: Cause, out: Effect[]): void {
    if (this.#closing !== null || this.#epoch !== cause.epoch || this.#reports?.isQuorum !== true) return
    if (this.#reports.farthest(cause.publisher) < cause.end) this.#follower.roll(cause.epoch, out)
  }

  #newFilter(base: number, seen: MessageSet, history: History | null): OrderFilter | null {
    return isFiltered(this.#reading) ? filterFor(this.#reading, base, seen, history, this) : null
  }

  /** What waits in a filter takes no room: else what it waits for might never come. */
  #filterIn(filter: OrderFilter, batch: Batch, skip: number): void {
    this.#source.pass(batch.body.length)
    filter.take(batch, skip)
    this.#cause.setIfStopped(causeTicks)
  }

  /** Reads what is before a start, without bodies. */
  #learn(
    until: MessageSet,
    since: MessageSet,
    then: (batches: readonly Batch[], out: Effect[]) => void,
    out: Effect[],
  ): void {
    const { topic } = this
    const epoch = this.#epoch
    if (epoch === null) return
    const of = { topic, epoch, until, since }
    const { token, timers } = this
    const survey: Survey = new Survey(of, token, this.#source.turn, this.#follower, timers, (batches, into) => {
      if (this.#survey !== survey || this.#over) return
      this.#survey = null
      then(batches, into)
    })
    this.#endSurvey()
    this.#survey = survey
    survey.start(out)
  }

  #memberAt(server: Address): Member | undefined {
    return this.#newest?.members.find((member) => this.#servers.addressOf(member) === server)
  }

  #listen(newest: Configuration): MemberReports {
    return new MemberReports(newest, this.timers, {
      silent: (member, out) => this.#subscribe(out, [this.#servers.addressOf(member)]),
      deaf: (out) => this.#follower.suspect(out),
    })
  }

  /** Nothing more is expected of the members of the epoch that is read. */
  #leave(): void {
    this.#reports?.stop()
    this.#source.leave()
    this.#ahead.stop()
  }

  #askAhead(out: Effect[]): void {
    this.#ahead.set(aheadTicks)
    this.#follower.suspect(out)
  }

  #lacksBodies(): boolean {
    if (this.#survey !== null || this.#closing !== null) return false
    return this.#reports?.goesBeyond((publisher) => this.#received.endOf(publisher)) === true
  }

  #endSurvey(): void {
    this.#survey?.cancel()
    this.#survey = null
  }

  /** Room that has become free is told to the source. */
  #grant(out: Effect[]): void {
    if (this.#fetch === null && this.#closing === null) this.consumed(0, out)
  }

  #watchCause(out: Effect[]): void {
    const filter = this.#filter
    if (filter === null || !filter.isWaiting) return
    const ticksLeft = causeTicks - (this.timers.now - this.#deliveredAt)
    this.#cause.set(ticksLeft > 0 ? ticksLeft : causeTicks)
    const cause = ticksLeft > 0 || this.#fetch !== null ? null : filter.cause()
    if (cause === null) return
    if (cause.topic === this.topic) this.miss(cause, out)
    else this.#reading.gate.miss(cause, out)
  }

  #deliver(
    batch: Batch,
    skip: number,
    position: number | null = null,
    early = false,
    lost: readonly MessageId[] = nothingLost,
  ): void {
    if (early) this.#follower.noteGivenEarly(batch, batch.last)
    else this.#follower.noteGiven(batch, batch.last)
    this.#deliveredAt = this.timers.now
    this.hasGoneOn = true
    this.#consumer.deliver({ kind: 'batch', batch, skip, position, early, lost })
  }

  #know(publisher: PublisherId, end: number): void {
    if (this.#closing === null && this.#epoch !== null) this.#follower.noteKnown(this.#epoch, publisher, end)
  }

  #refuse(error: EpochcastError, out: Effect[]): void {
    this.close(out)
    this.#consumer.failed(error)
  }
}

/** What of a prefix is in the closing set. */
function within(prefix: Prefix, closing: MessageSet): MessageSet {
  const part = new Map()
  for (const [publisher, { end }] of prefix.snapshot()) {
    const last = Math.min(end, endOf(closing, publisher))
    if (last > 0) part.set(publisher, { end: last, digest: 0 })
  }
  return part
}
