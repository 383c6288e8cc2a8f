/**
 * Puts batches into an order in which causes come before their effects: a batch leaves once its publisher's earlier ones and
 * everything that its stamp names have left. The sequencer orders with it, subscribers deliver with it, and the end of an epoch
 * is sorted with it.
 *
 * Source: Figure 2 of the paper ("causal order: vector timestamp or other representation of dependencies").
 * Departs from it: a stamp names only what is new since its publisher's batch before, because those leave in sequence.
 */
import type { PublisherId } from './ids.ts'
import { endOf, type MessageSet } from './message-set.ts'
import type { Batch, End } from './wire/messages.ts'

export type Stamped = Pick<Batch, 'publisher' | 'first' | 'last' | 'time' | 'after'>

export class CausalQueue<T extends Stamped> {
  /** Up to where each publisher's messages have left, or count as if they had. */
  readonly #done: Map<PublisherId, number>
  /** By publisher, in sequence: what has not left. */
  readonly #waiting = new Map<PublisherId, T[]>()
  /** Publishers whose next batch waits for one of that publisher. */
  readonly #blocked = new Map<PublisherId, Set<PublisherId>>()
  /** Next batches that may leave, smallest first. */
  readonly #ready: T[] = []
  readonly #mayLeave: (item: T) => boolean
  /** Once the epoch has ended: nothing beyond it is waited for. */
  #closing: MessageSet | null = null

  /**
   * @param done what came before
   * @param mayLeave what else must be true of a batch; `check` is called when that may have changed
   */
  constructor(done: Iterable<readonly [PublisherId, number]> = [], mayLeave: (item: T) => boolean = () => true) {
    this.#done = new Map(done)
    this.#mayLeave = mayLeave
  }

  get isEmpty(): boolean {
    return this.#waiting.size === 0
  }

  doneOf(publisher: PublisherId): number {
    return this.#done.get(publisher) ?? 0
  }

  add(item: T): void {
    const { publisher } = item
    const waiting = this.#waiting.get(publisher)
    if (waiting !== undefined) {
      waiting.push(item)
      return
    }
    this.#waiting.set(publisher, [item])
    this.check(publisher)
  }

  /** What keeps the publisher's next batch back may have changed. */
  check(publisher: PublisherId): void {
    const head = this.#waiting.get(publisher)?.[0]
    if (head === undefined || this.#ready.includes(head)) return
    const cause = this.missingOf(head)
    if (cause === null) {
      if (this.#mayLeave(head)) this.#insert(head)
      return
    }
    const blocked = this.#blocked.get(cause.publisher)
    if (blocked === undefined) this.#blocked.set(cause.publisher, new Set([publisher]))
    else blocked.add(publisher)
  }

  checkAll(): void {
    for (const publisher of [...this.#waiting.keys()]) this.check(publisher)
  }

  /** Removes the next batch, if one may leave: of several the earliest by (time, publisher). */
  take(): T | undefined {
    const item = this.#ready.shift()
    if (item !== undefined) this.#leave(item)
    return item
  }

  /** The same without regard for causes, where they go round in a circle: a publisher has stamped what cannot be. */
  takeByForce(): T | undefined {
    const heads = [...this.#waiting.values()].flatMap((waiting) => waiting.slice(0, 1))
    const item = heads.sort(compare)[0]
    if (item !== undefined) this.#leave(item)
    return item
  }

  /** The next batch of a publisher leaves out of turn: somebody else knows its place. */
  takeOf(publisher: PublisherId): T | undefined {
    const item = this.#waiting.get(publisher)?.[0]
    if (item === undefined) return undefined
    const at = this.#ready.indexOf(item)
    if (at >= 0) this.#ready.splice(at, 1)
    this.#leave(item)
    return item
  }

  headOf(publisher: PublisherId): T | undefined {
    return this.#waiting.get(publisher)?.[0]
  }

  /** What is waiting first of each publisher. */
  *heads(): Iterable<T> {
    for (const [head] of this.#waiting.values()) if (head !== undefined) yield head
  }

  /** Counts messages as if they had left. */
  pass(publisher: PublisherId, end: number): void {
    if (end <= this.doneOf(publisher)) return
    this.#done.set(publisher, end)
    this.#unblock(publisher)
  }

  /** The epoch has ended: what is not in its closing set leaves no more. @returns what is left out, by publisher */
  close(closing: MessageSet): T[] {
    this.#closing = closing
    const out: T[] = []
    for (const [publisher, waiting] of [...this.#waiting]) {
      const end = endOf(closing, publisher)
      const kept = waiting.filter((item) => item.last <= end)
      if (kept.length === waiting.length) continue
      out.push(...waiting.filter((item) => item.last > end))
      if (kept.length === 0) this.#waiting.delete(publisher)
      else this.#waiting.set(publisher, kept)
    }
    this.#ready.splice(0, this.#ready.length, ...this.#ready.filter((item) => !out.includes(item)))
    this.#blocked.clear()
    this.checkAll()
    return out
  }

  /** A cause within the batch's own topic that has not left, if there is one. */
  missingOf({ after }: T): End | null {
    for (const cause of after?.own ?? []) {
      const wanted = this.#closing === null ? cause.end : Math.min(cause.end, endOf(this.#closing, cause.publisher))
      if (this.doneOf(cause.publisher) < wanted) return cause
    }
    return null
  }

  #leave(item: T): void {
    const { publisher } = item
    const waiting = this.#waiting.get(publisher)
    if (waiting === undefined || waiting.length <= 1) this.#waiting.delete(publisher)
    else waiting.shift()
    this.#done.set(publisher, item.last)
    this.check(publisher)
    this.#unblock(publisher)
  }

  #unblock(publisher: PublisherId): void {
    const blocked = this.#blocked.get(publisher)
    if (blocked === undefined) return
    this.#blocked.delete(publisher)
    for (const one of blocked) this.check(one)
  }

  #insert(item: T): void {
    let at = this.#ready.length
    while (at > 0 && compare(this.#ready[at - 1] as T, item) > 0) at--
    this.#ready.splice(at, 0, item)
  }
}

/** By (time, publisher, sequence): the same everywhere. */
function compare(one: Stamped, other: Stamped): number {
  if (one.time !== other.time) return one.time - other.time
  if (one.publisher !== other.publisher) return one.publisher < other.publisher ? -1 : 1
  return one.first - other.first
}
