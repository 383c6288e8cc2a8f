/**
 * Subscriptions at a server: a Get that streams. Every member tells each subscriber what it has on disk (numbers only); the
 * one that the subscriber gave credit also sends the bodies, as they stand in the log.
 *
 * Source: Figure 1 ("subsequent receive operations are Get operations that omit messages previously delivered").
 * Departs from it: pushed instead of polled. The subscriber counts the quorum, as the client of a Get does.
 */
import type { Address, Epoch, PublisherId } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { MessageSet } from '../../proto/message-set.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { Audience } from '../audience.ts'
import type { ServerTimers } from '../timers.ts'
import type { Holdings } from './holdings.ts'
import type { TopicState } from './topic-state.ts'

interface Feed {
  readonly to: Address
  readonly token: number
  /** What the subscriber had when it subscribed. */
  readonly since: MessageSet
  /** Is not told what is on disk here. */
  readonly isQuiet: boolean
  /** Gets its bodies at the end of this turn, and not only a tick later. */
  isDue: boolean
  /** Next slot of the epoch's index to look at. */
  slot: number
  /** Body bytes that the subscriber made room for, and those sent, both since it subscribed. */
  creditBytes: number
  sentBytes: number
  /** Tick of the last sign of life of one that is not told what is on disk here: the others show theirs to the whole server. */
  heard: number
}

/** Batches that one subscription gets in a turn: who has much to catch up with does not hold up the others. */
const turnBatchesMax = 512
/** Subscriptions of one topic; more are not heard, and look for another server. */
const feedsMax = 10_000

export class Feeds {
  readonly #state: TopicState
  readonly #audience: Audience
  readonly #timers: ServerTimers
  /** Ticks without a sign of life after which a subscriber is forgotten. */
  readonly #silentTicksMax: number
  readonly #feeds = new Map<string, Feed>()
  readonly #pushing: Timer
  readonly #silence: Timer

  constructor(state: TopicState, audience: Audience, timers: ServerTimers, silentTicksMax: number) {
    this.#state = state
    this.#audience = audience
    this.#timers = timers
    this.#silentTicksMax = silentTicksMax
    this.#pushing = timers.timer('feed-push', state.topic, (out) => this.#pushAll(out))
    this.#silence = timers.timer('feed-silence', state.topic, () => this.#dropSilent())
  }

  subscribe(from: Address, token: number, message: MessageOf<'subscribe'>, holdings: Holdings, out: Effect[]): void {
    const key = `${from} ${token}`
    if (this.#feeds.size >= feedsMax && !this.#feeds.has(key)) return
    this.#delete(key)
    if (message.quiet !== true) this.#audience.joined(from)
    this.#feeds.set(key, {
      to: from,
      token,
      since: message.since,
      isQuiet: message.quiet === true,
      isDue: true,
      slot: 0,
      creditBytes: message.creditBytes,
      sentBytes: 0,
      heard: this.#timers.now,
    })
    if (message.quiet === true) this.#silence.setIfStopped(this.#silentTicksMax)
    if (message.quiet !== true) this.#report([from], message.epoch, holdings.snapshot(), true, out)
  }

  credit(from: Address, token: number, message: MessageOf<'credit'>): void {
    const feed = this.#feeds.get(`${from} ${token}`)
    if (feed === undefined) return
    feed.heard = this.#timers.now
    feed.isDue = true
    feed.creditBytes = Math.max(feed.creditBytes, message.creditBytes)
  }

  unsubscribe(from: Address, token: number): void {
    this.#delete(`${from} ${token}`)
  }

  /** A connection broke: whoever is behind it subscribes again. */
  forget(address: Address): void {
    for (const [key, feed] of this.#feeds) if (feed.to === address) this.#delete(key)
  }

  clear(): void {
    for (const key of [...this.#feeds.keys()]) this.#delete(key)
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
      if (feed.slot < opened.holdings.index.length && feed.sentBytes < feed.creditBytes) this.#pushing.setIfStopped(1)
    }
    if (changed.size === 0) return
    const frontiers = opened.holdings.frontiersOf(changed)
    this.#report([...this.addresses()], opened.configuration.epoch, frontiers, false, out)
  }

  /** What did not fit into the last turn, and what can wait. */
  #pushAll(out: Effect[]): void {
    const { opened } = this.#state
    if (opened !== null) for (const feed of this.#feeds.values()) this.#push(feed, opened.holdings, out)
  }

  #dropSilent(): void {
    const { now } = this.#timers
    const quiet = [...this.#feeds].filter(([, { isQuiet }]) => isQuiet)
    for (const [key, { heard }] of quiet) if (now - heard >= this.#silentTicksMax) this.#delete(key)
    const heard = quiet.map(([, feed]) => feed.heard).filter((tick) => now - tick < this.#silentTicksMax)
    if (heard.length > 0) this.#silence.set(Math.min(...heard) + this.#silentTicksMax - now)
  }

  #delete(key: string): void {
    const feed = this.#feeds.get(key)
    if (feed === undefined) return
    this.#feeds.delete(key)
    if (!feed.isQuiet) this.#audience.left(feed.to)
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
    if (to.length === 0) return
    this.#audience.reported(to)
    send(out, to, { kind: 'report', topic: this.#state.topic, epoch, stored, whole })
  }
}
