/**
 * Subscriptions at a server: a Get that streams. Every member tells each subscriber what it has on disk (numbers only); the
 * one that the subscriber gave credit also sends the bodies, as they stand in the log.
 *
 * Source: Figure 1 ("subsequent receive operations are Get operations that omit messages previously delivered").
 * Departs from it: pushed instead of polled. The subscriber counts the quorum, as the client of a Get does.
 */
import type { Address, Epoch, PublisherId } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { MessageSet } from '../../proto/message-set.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { Holdings } from './holdings.ts'
import type { TopicState } from './topic-state.ts'

interface Feed {
  readonly to: Address
  readonly token: number
  /** What the subscriber had when it subscribed. */
  readonly since: MessageSet
  /** Is not told what is on disk here. */
  readonly isQuiet: boolean
  /** Gets its bodies at the end of this turn, and not only at the next tick. */
  isDue: boolean
  /** Next slot of the epoch's index to look at. */
  slot: number
  /** Body bytes that the subscriber made room for, and those sent, both since it subscribed. */
  creditBytes: number
  sentBytes: number
  silentTicks: number
}

const wholeReportTicks = 100
/** Batches that one subscription gets in a turn: who has much to catch up with does not hold up the others. */
const turnBatchesMax = 512
/** Subscriptions of one topic; more are not heard, and look for another server. */
const feedsMax = 10_000

export class Feeds {
  readonly #state: TopicState
  readonly #feeds = new Map<string, Feed>()
  #ticks = 0

  constructor(state: TopicState) {
    this.#state = state
  }

  get isEmpty(): boolean {
    return this.#feeds.size === 0
  }

  subscribe(from: Address, token: number, message: MessageOf<'subscribe'>, holdings: Holdings, out: Effect[]): void {
    const key = `${from} ${token}`
    if (this.#feeds.size >= feedsMax && !this.#feeds.has(key)) return
    this.#feeds.set(key, {
      to: from,
      token,
      since: message.since,
      isQuiet: message.quiet === true,
      isDue: true,
      slot: 0,
      creditBytes: message.creditBytes,
      sentBytes: 0,
      silentTicks: 0,
    })
    if (message.quiet !== true) this.#report([from], message.epoch, holdings.snapshot(), true, out)
  }

  credit(from: Address, token: number, message: MessageOf<'credit'>): void {
    const feed = this.#feeds.get(`${from} ${token}`)
    if (feed === undefined) return
    feed.silentTicks = 0
    feed.isDue = true
    feed.creditBytes = Math.max(feed.creditBytes, message.creditBytes)
  }

  unsubscribe(from: Address, token: number): void {
    this.#feeds.delete(`${from} ${token}`)
  }

  /** A connection broke: whoever is behind it subscribes again. */
  forget(address: Address): void {
    for (const [key, feed] of this.#feeds) if (feed.to === address) this.#feeds.delete(key)
  }

  clear(): void {
    this.#feeds.clear()
  }

  /** Who is told what is on disk here, and how the epoch ended. */
  addresses(): Set<Address> {
    const listeners = [...this.#feeds.values()].filter(({ isQuiet }) => !isQuiet)
    return new Set(listeners.map(({ to }) => to))
  }

  /** The end of a turn: bodies as far as credit goes, then what changed on this disk. */
  settle(changed: ReadonlySet<PublisherId>, out: Effect[]): void {
    const { opened } = this.#state
    if (opened === null || this.#feeds.size === 0) return
    for (const feed of this.#feeds.values()) {
      // Who reads along to become a member stores it for later: a little late in larger pieces costs it, and this server, less.
      if (feed.isDue || opened.wedgedFor !== null) this.#push(feed, opened.holdings, out)
      feed.isDue = !feed.isQuiet
    }
    if (changed.size === 0) return
    const frontiers = opened.holdings.frontiersOf(changed)
    this.#report([...this.addresses()], opened.configuration.epoch, frontiers, false, out)
  }

  /** Repeats everything now and then: a lost report would otherwise hold back its messages. */
  tick(silentTicksMax: number, out: Effect[]): void {
    const { opened } = this.#state
    this.#ticks++
    for (const [key, feed] of this.#feeds) if (++feed.silentTicks > silentTicksMax) this.#feeds.delete(key)
    if (opened === null || this.#feeds.size === 0) return
    // What did not fit into the last turn, and what can wait.
    for (const feed of this.#feeds.values()) this.#push(feed, opened.holdings, out)
    if (this.#ticks % wholeReportTicks === 0)
      this.#report([...this.addresses()], opened.configuration.epoch, opened.holdings.snapshot(), true, out)
  }

  #push(feed: Feed, holdings: Holdings, out: Effect[]): void {
    const { index } = holdings
    let batches = 0
    while (feed.slot < index.length && feed.sentBytes < feed.creditBytes && batches < turnBatchesMax) {
      if (holdings.shows(feed.slot, feed.since)) {
        out.push({ kind: 'send-record', to: feed.to, token: feed.token, placement: index, slot: feed.slot })
        feed.sentBytes += index.sizeOf(feed.slot)
        batches++
      }
      feed.slot++
    }
  }

  #report(to: readonly Address[], epoch: Epoch, stored: MessageSet, whole: boolean, out: Effect[]): void {
    if (to.length > 0) send(out, to, { kind: 'report', topic: this.#state.topic, epoch, stored, whole })
  }
}
