/**
 * Causal order: a message is given after everything that its publisher had been given or had sent before. Early delivery is
 * here too, in causal order or in that of each publisher: a message is given on arrival, and confirmed or retracted later.
 *
 * Source: Figure 2 of the paper (causal filter; early delivery of messages that are not durable).
 * Departs from it: causes of an epoch that is over are not named, they came before; one that was dropped is reported, never
 * waited for.
 */
import { CausalQueue, type Stamped } from '../../proto/causal-queue.ts'
import { isSystemPublisher, type MessageId, type PublisherId } from '../../proto/ids.ts'
import { endOf, type MessageSet } from '../../proto/message-set.ts'
import type { Batch, Dependencies } from '../../proto/wire/messages.ts'
import type { History } from './history.ts'
import { type Cause, type Gate, lostBeyond, type OrderFilter, type ReleaseListener, type Run } from './order-filter.ts'

interface Held extends Stamped {
  readonly batch: Batch
  readonly skip: number
}

interface EarlyRun extends Run {
  /** Counted from 1, over all publishers. */
  readonly number: number
}

export interface CausalOptions {
  /** False: each publisher's messages in sequence, and no more. */
  readonly isCausal: boolean
  readonly isEarly: boolean
  readonly gate: Gate
  /** What is known of the part of the epoch that is before the start. */
  readonly history: History | null
}

export class CausalFilter implements OrderFilter {
  readonly #options: CausalOptions
  readonly #listener: ReleaseListener
  readonly #queue: CausalQueue<Held>
  readonly #durable = new Map<PublisherId, number>()
  /** Publishers whose first batch after the start has come. */
  readonly #begun = new Set<PublisherId>()
  /** Given early, by publisher, oldest first. */
  readonly #early = new Map<PublisherId, EarlyRun[]>()
  earlyCount = 0
  #closing: MessageSet | null = null
  /** Something may be waiting for another topic. */
  #isGated = false

  constructor(seen: MessageSet, options: CausalOptions, listener: ReleaseListener) {
    this.#options = options
    this.#listener = listener
    const done = [...seen].map(([publisher, { end }]) => [publisher, end] as const)
    this.#queue = new CausalQueue<Held>(done, (held) => this.#mayLeave(held))
  }

  take(batch: Batch, skip: number): void {
    const { publisher, first, last, time } = batch
    if (isSystemPublisher(publisher)) return
    const after = this.#options.isCausal ? this.#causesOf(batch) : undefined
    this.#queue.add({ publisher, first, last, time, batch, skip, ...(after && { after }) })
    this.#drain()
  }

  durable(publisher: PublisherId, end: number): void {
    if (end <= (this.#durable.get(publisher) ?? 0)) return
    this.#durable.set(publisher, end)
    this.#confirm(publisher, end)
    this.#queue.check(publisher)
    this.#drain()
  }

  close(closing: MessageSet): void {
    this.#closing = closing
    for (const [publisher, { end }] of closing) this.#durable.set(publisher, end)
    for (const publisher of [...this.#early.keys()]) this.#confirm(publisher, endOf(closing, publisher))
    const retracted = [...this.#early.values()].flat()
    // The newest first: it is the last one of its publisher.
    retracted.sort((one, other) => other.number - one.number)
    for (const run of retracted) {
      this.#early.get(run.publisher)?.pop()
      this.#listener.judged('retracted', run)
    }
    this.#early.clear()
    this.#queue.close(closing)
    this.#drain()
  }

  finish(): boolean {
    this.#drain()
    while (!this.#queue.isEmpty) {
      for (const held of this.#queue.heads()) if (this.#isWaitingElsewhere(held)) return false
      const held = this.#queue.takeByForce()
      if (held !== undefined) this.#give(held)
      this.#drain()
    }
    return !this.#isHistoryWaiting()
  }

  recheck(): void {
    if (!this.#isGated) return
    this.#isGated = false
    this.#queue.checkAll()
    this.#drain()
  }

  doneOf(publisher: PublisherId): number {
    return this.#queue.doneOf(publisher)
  }

  covers(publisher: PublisherId, end: number): boolean {
    if (this.doneOf(publisher) < this.#lastOf(publisher, end)) return false
    const { history, gate } = this.#options
    const causes = history?.causesOf(publisher, end) ?? null
    if (causes === null) return true
    if (causes.own.some((own) => this.doneOf(own.publisher) < this.#lastOf(own.publisher, own.end))) return false
    return causesIn(causes.others).every((cause) => gate.covers(cause))
  }

  /** Nothing beyond the closing set is waited for. */
  #lastOf(publisher: PublisherId, end: number): number {
    return this.#closing === null ? end : Math.min(end, endOf(this.#closing, publisher))
  }

  get isWaiting(): boolean {
    return !this.#queue.isEmpty || this.#closing !== null
  }

  cause(): Cause | null {
    for (const held of this.#queue.heads()) {
      const { topic, epoch } = held.batch
      const own = this.#queue.missingOf(held)
      if (own !== null) return { topic, epoch, ...own }
      const other = this.#otherCauses(held).find((cause) => !this.#options.gate.covers(cause))
      if (other !== undefined) return other
    }
    // At the end of the epoch nothing else is left to wait.
    return this.#queue.isEmpty && this.#closing !== null ? this.#missingBefore() : null
  }

  oldestUnconfirmed(): number {
    let oldest = Number.POSITIVE_INFINITY
    for (const [first] of this.#early.values()) oldest = Math.min(oldest, first?.number ?? oldest)
    return oldest
  }

  #mayLeave(held: Held): boolean {
    if (!this.#options.isEarly && held.last > (this.#durable.get(held.publisher) ?? 0)) return false
    return !this.#isWaitingElsewhere(held)
  }

  #isWaitingElsewhere(held: Held): boolean {
    if (held.after === undefined || held.after.others.length === 0) return false
    if (this.#otherCauses(held).every((cause) => this.#options.gate.covers(cause))) return false
    this.#isGated = true
    return true
  }

  /**
   * Whoever is in the next epoch has all of this one in its past, without naming it: also the causes elsewhere of what is before
   * the start. So the epoch ends behind those.
   */
  #isHistoryWaiting(): boolean {
    if (this.#missingBefore() === null) return false
    this.#isGated = true
    return true
  }

  /** A cause in another topic of what is before the start that has not been given. */
  #missingBefore(): Cause | null {
    const { history, gate, isCausal } = this.#options
    if (history === null || !isCausal) return null
    return causesIn(history.others).find((cause) => !gate.covers(cause)) ?? null
  }

  /**
   * What is before the start was not waited for, and neither were its causes: whoever names it waits for them. The first batch of
   * a publisher also stands for the stamps of its own before the start.
   */
  #causesOf({ publisher, after }: Batch): Batch['after'] {
    const { history } = this.#options
    if (history === null) return after
    const before = (after?.own ?? []).map((cause) => history.causesOf(cause.publisher, cause.end))
    if (!this.#begun.has(publisher)) before.push(history.causesBeyond(publisher))
    this.#begun.add(publisher)
    const found = before.filter((causes) => causes !== null)
    if (found.length === 0) return after
    return {
      own: [...(after?.own ?? []), ...found.flatMap(({ own }) => own)],
      others: [...(after?.others ?? []), ...found.flatMap(({ others }) => others)],
    }
  }

  #otherCauses({ after }: Held): Cause[] {
    return causesIn(after?.others ?? [])
  }

  #drain(): void {
    for (let held = this.#queue.take(); held !== undefined; held = this.#queue.take()) this.#give(held)
  }

  #give(held: Held): void {
    const { batch, skip, publisher, last } = held
    const early = last > (this.#durable.get(publisher) ?? 0)
    if (early) {
      const run = { number: ++this.earlyCount, epoch: batch.epoch, publisher, first: batch.first + skip, last }
      const runs = this.#early.get(publisher)
      if (runs === undefined) this.#early.set(publisher, [run])
      else runs.push(run)
    }
    this.#listener.give({ batch, skip, position: null, early, lost: this.#lostOf(held) })
  }

  #lostOf(held: Held): MessageId[] {
    const { after, batch } = held
    if (after === undefined) return []
    const { topic, epoch } = batch
    const lost = this.#otherCauses(held).flatMap((cause) => [...this.#options.gate.lostOf(cause)])
    if (this.#closing === null) return lost
    for (const { publisher, end } of after.own)
      lost.push(...lostBeyond({ topic, epoch, publisher, end }, this.#closing))
    return lost
  }

  #confirm(publisher: PublisherId, end: number): void {
    const runs = this.#early.get(publisher)
    if (runs === undefined) return
    const count = runs.findIndex((run) => run.last > end)
    const confirmed = count < 0 ? runs : runs.slice(0, count)
    if (count < 0) this.#early.delete(publisher)
    else this.#early.set(publisher, runs.slice(count))
    for (const run of confirmed) this.#listener.judged('confirmed', run)
  }
}

function causesIn(others: Dependencies['others']): Cause[] {
  return others.flatMap(({ topic, epoch, ends }) => ends.map((end) => ({ topic, epoch, ...end })))
}
