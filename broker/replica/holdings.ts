import { isSystemPublisher, type PublisherId, sequencerPublisher } from '../../proto/ids.ts'
import { chainDigest, endOf, type Frontier, type MessageSet, noFrontier } from '../../proto/message-set.ts'
import type { Batch } from '../../proto/wire/messages.ts'
import { BatchIndex } from './batch-index.ts'

/**
 * The batches of one epoch that one server keeps: what it stored, or what it staged. Each publisher's form a prefix; in
 * staged holdings that prefix may begin where the stored one ends.
 */
export class Holdings {
  readonly index: BatchIndex = new BatchIndex()
  readonly #frontiers = new Map<PublisherId, Frontier>()
  /** The prefix that a publisher's first batch here continues; absent for "at the beginning". */
  readonly #bases = new Map<PublisherId, Frontier>()
  readonly #numbers = new Map<PublisherId, number>()
  readonly #publishers: PublisherId[] = []
  /** Up to where each publisher's messages have a place in the total order, as far as records are here. */
  readonly #orderedEnds = new Map<PublisherId, number>()
  /** Once the epoch is closed: nothing beyond it is read, handed on or merged. */
  #closing: MessageSet | null = null

  get publisherCount(): number {
    return this.#frontiers.size
  }

  endOf(publisher: PublisherId): number {
    return endOf(this.#frontiers, publisher)
  }

  frontierOf(publisher: PublisherId): Frontier {
    return this.#frontiers.get(publisher) ?? noFrontier
  }

  /** Where the publisher's first batch here continues a prefix that is kept elsewhere. */
  baseOf(publisher: PublisherId): number {
    return endOf(this.#bases, publisher)
  }

  has(publisher: PublisherId): boolean {
    return this.#frontiers.has(publisher)
  }

  /** A copy: what is told must not change while it waits for a flush. */
  snapshot(): MessageSet {
    return new Map(this.#frontiers)
  }

  /** The frontiers of some publishers, copied. */
  frontiersOf(publishers: Iterable<PublisherId>): MessageSet {
    const some = new Map<PublisherId, Frontier>()
    for (const publisher of publishers) {
      const frontier = this.#frontiers.get(publisher)
      if (frontier !== undefined) some.set(publisher, frontier)
    }
    return some
  }

  /** Lets the publisher's batches here continue a prefix that is kept elsewhere. */
  continueFrom(publisher: PublisherId, frontier: Frontier): void {
    this.#frontiers.set(publisher, frontier)
    this.#bases.set(publisher, frontier)
  }

  /** Takes the publisher's next batch. The caller has checked that it is the next. */
  add(batch: Batch): number {
    const { publisher, first, last, check, body } = batch
    const frontier = this.frontierOf(publisher)
    this.#frontiers.set(publisher, { end: last, digest: chainDigest(frontier.digest, last, check) })
    if (batch.ranks !== undefined && publisher === sequencerPublisher)
      for (const { publisher: of, end } of batch.ranks.ends) this.#orderedEnds.set(of, end)
    return this.index.add(this.#numberOf(publisher), first, last, body.length, check)
  }

  /** Forgets everything of one publisher: its batches turned out to be others than those that were decided. */
  discard(publisher: PublisherId): void {
    const number = this.#numbers.get(publisher)
    for (let slot = 0; slot < this.index.length; slot++) {
      if (this.index.publisherOf(slot) === number) this.index.discard(slot)
    }
    this.#frontiers.delete(publisher)
    this.#bases.delete(publisher)
  }

  /** Digest of the publisher's prefix that ends at `end`, or null where no batch ends there. */
  digestAt(publisher: PublisherId, end: number): number | null {
    const frontier = this.frontierOf(publisher)
    if (frontier.end === end) return frontier.digest
    const base = this.#bases.get(publisher) ?? noFrontier
    if (base.end === end) return base.digest
    const number = this.#numbers.get(publisher)
    let { digest } = base
    for (let slot = 0; slot < this.index.length; slot++) {
      if (this.index.publisherOf(slot) !== number) continue
      digest = chainDigest(digest, this.index.lastOf(slot), this.index.checkOf(slot))
      if (this.index.lastOf(slot) === end) return digest
    }
    return null
  }

  /** Whether something is here without a record that gives it a place. */
  get hasUnordered(): boolean {
    for (const [publisher, { end }] of this.#frontiers) {
      if (end > (this.#orderedEnds.get(publisher) ?? 0) && !isSystemPublisher(publisher)) return true
    }
    return false
  }

  get closed(): boolean {
    return this.#closing !== null
  }

  /** The epoch is closed: adds what was staged, and from now on shows exactly the closing set. */
  close(closing: MessageSet, staged: Holdings | undefined): void {
    if (staged !== undefined) this.#merge(closing, staged)
    this.#closing = closing
  }

  /**
   * Whether the batch in `slot` is to be shown to somebody who has `since` already (and wants nothing after `until`).
   */
  shows(slot: number, since: MessageSet, until?: MessageSet): boolean {
    const publisher = this.#publishers[this.index.publisherOf(slot)]
    if (publisher === undefined) return false
    const last = this.index.lastOf(slot)
    if (last <= endOf(since, publisher)) return false
    if (until !== undefined && last > endOf(until, publisher)) return false
    return this.#closing === null || last <= endOf(this.#closing, publisher)
  }

  #merge(closing: MessageSet, staged: Holdings): void {
    for (const [publisher, frontier] of closing) {
      if (!staged.has(publisher)) continue
      if (staged.baseOf(publisher) === 0 && this.endOf(publisher) > 0) this.discard(publisher)
      if (this.endOf(publisher) < frontier.end) this.#frontiers.set(publisher, staged.frontierOf(publisher))
    }
    for (let slot = 0; slot < staged.index.length; slot++) {
      const publisher = staged.#publishers[staged.index.publisherOf(slot)]
      if (publisher === undefined || staged.index.lastOf(slot) > endOf(closing, publisher)) continue
      this.index.takeOver(this.#numberOf(publisher), staged.index, slot)
    }
  }

  #numberOf(publisher: PublisherId): number {
    const known = this.#numbers.get(publisher)
    if (known !== undefined) return known
    const number = this.#publishers.length
    this.#publishers.push(publisher)
    this.#numbers.set(publisher, number)
    return number
  }
}
