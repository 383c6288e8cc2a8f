/**
 * Total order: messages in the order in which the sequencer's records name them. One is given when its record, itself and
 * everything of a lower rank are durable. At the end of the epoch what a record names and the closing set lacks falls out (nobody
 * was given anything of a higher rank), and what no record names follows, causes before effects, else by (time, publisher,
 * sequence). Everybody holds the same closing set, so everybody gives the same order.
 *
 * Source: section 7 of the paper and its Figure 7; "enhanced total order" of Birman, Malkhi, van Renesse and Lamport's
 * reconfigurable state machines: one position, one message, one configuration, for ever.
 */
import { CausalQueue, type Stamped } from '../../proto/causal-queue.ts'
import { isSystemPublisher, type PublisherId, sequencerPublisher } from '../../proto/ids.ts'
import { endOf, type MessageSet } from '../../proto/message-set.ts'
import type { Batch } from '../../proto/wire/messages.ts'
import type { History } from './history.ts'
import type { Cause, OrderFilter, ReleaseListener } from './order-filter.ts'

interface Held extends Stamped {
  /** Null for what is before the start: it takes its place and is not given. */
  readonly batch: Batch | null
  readonly skip: number
}

/** What a record says: of `publisher` up to `end` comes next. */
interface Rank {
  readonly record: number
  readonly publisher: PublisherId
  readonly end: number
}

export class TotalFilter implements OrderFilter {
  readonly #listener: ReleaseListener
  readonly #queue: CausalQueue<Held>
  readonly #durable = new Map<PublisherId, number>()
  #ranks: Rank[] = []
  #head = 0
  /** Position of the last message that has got its place. */
  #position: number
  #closing: MessageSet | null = null
  #isTail = false

  /** @param base messages of all epochs before this one */
  constructor(base: number, listener: ReleaseListener) {
    this.#position = base
    this.#listener = listener
    this.#queue = new CausalQueue<Held>([], () => this.#isTail)
  }

  /** Begins in the middle: what is before the start takes its places. */
  resume(history: History, seen: MessageSet): void {
    for (const batch of history.batches) {
      const { publisher, first, last, time, after } = batch
      if (isSystemPublisher(publisher) || last > endOf(seen, publisher)) continue
      this.#queue.add({ publisher, first, last, time, batch: null, skip: 0, ...(after && { after }) })
    }
  }

  /**
   * Begins behind the ranks whose messages are all durable.
   * @returns what is not given
   */
  skipRanked(records: readonly Batch[], durable: MessageSet): MessageSet {
    const seen = new Map<PublisherId, { end: number; digest: number }>()
    for (const record of records) this.#rank(record)
    for (; this.#head < this.#ranks.length; this.#head++) {
      const { publisher, end } = this.#ranks[this.#head] as Rank
      if (end > endOf(durable, publisher)) break
      this.#position += end - this.#queue.doneOf(publisher)
      this.#queue.pass(publisher, end)
      seen.set(publisher, { end, digest: 0 })
    }
    return seen
  }

  take(batch: Batch, skip: number): void {
    if (batch.publisher === sequencerPublisher) this.#rank(batch)
    else if (!isSystemPublisher(batch.publisher)) {
      const { publisher, first, last, time, after } = batch
      this.#queue.add({ publisher, first, last, time, batch, skip, ...(after && { after }) })
    }
    this.#drain()
  }

  durable(publisher: PublisherId, end: number): void {
    if (end <= (this.#durable.get(publisher) ?? 0)) return
    this.#durable.set(publisher, end)
    this.#drain()
  }

  close(closing: MessageSet): void {
    this.#closing = closing
    this.#durable.clear()
    for (const [publisher, { end }] of closing) this.#durable.set(publisher, end)
    const recordsEnd = endOf(closing, sequencerPublisher)
    this.#ranks = this.#ranks.slice(this.#head).filter(({ record }) => record <= recordsEnd)
    this.#head = 0
    this.#queue.close(closing)
    this.#drain()
  }

  finish(): boolean {
    this.#drain()
    this.#isTail = true
    this.#queue.checkAll()
    while (!this.#queue.isEmpty) {
      const held = this.#queue.take() ?? this.#queue.takeByForce()
      if (held !== undefined) this.#give(held, held.first - 1)
    }
    return true
  }

  recheck(): void {}

  doneOf(publisher: PublisherId): number {
    return this.#queue.doneOf(publisher)
  }

  covers(publisher: PublisherId, end: number): boolean {
    return this.doneOf(publisher) >= end
  }

  readonly isWaiting = false

  cause(): Cause | null {
    return null
  }

  readonly earlyCount = 0

  oldestUnconfirmed(): number {
    return Number.POSITIVE_INFINITY
  }

  #rank(record: Batch): void {
    for (const { publisher, end } of record.ranks?.ends ?? []) {
      this.#ranks.push({ record: record.last, publisher, end })
    }
  }

  #drain(): void {
    for (let rank = this.#ranks[this.#head]; rank !== undefined; rank = this.#ranks[this.#head]) {
      if (rank.record > (this.#durable.get(sequencerPublisher) ?? 0)) break
      if (!this.#goThrough(rank)) break
      this.#head++
    }
    if (this.#head < 1024 && this.#head < this.#ranks.length) return
    this.#ranks = this.#ranks.slice(this.#head)
    this.#head = 0
  }

  /** @returns false where something of it is not here, or not durable */
  #goThrough({ publisher, end }: Rank): boolean {
    for (;;) {
      const done = this.#queue.doneOf(publisher)
      if (done >= end) return true
      const head = this.#queue.headOf(publisher)
      if (head === undefined) return this.#closing !== null && endOf(this.#closing, publisher) <= done
      // What is before the start is here without its body, and was durable then.
      if (head.batch !== null && head.last > (this.#durable.get(publisher) ?? 0)) return false
      this.#queue.takeOf(publisher)
      this.#give(head, done)
    }
  }

  /** @param done up to where the publisher's messages had their places before */
  #give({ batch, skip, first, last }: Held, done: number): void {
    const position = this.#position + 1 - (Math.max(done, first - 1) + 1 - first)
    this.#position += last - Math.max(done, first - 1)
    if (batch !== null) this.#listener.give({ batch, skip, position, early: false, lost: [] })
  }
}
