import type { ServerName } from '../proto/ids.ts'

/** A server that is full says so again while anybody asks it: what it said longer ago than this says nothing of now. */
const lastsTicks = 150

/** A time that stands still: what was heard lasts until the opposite is. */
const stillTime = { now: 0 }

/**
 * The servers whose disks are full, as far as this client knows: one for all its topics, as a server has one log. What was heard
 * passes unless it is heard again, so that no publisher is refused for what a server said before its topic left and came back.
 */
export class FullServers {
  /** Ticks at which what each said passes. */
  readonly #passes = new Map<ServerName, number>()
  readonly #listeners = new Set<(name: ServerName) => void>()
  readonly #time: { readonly now: number }

  constructor(time: { readonly now: number } = stillTime) {
    this.#time = time
  }

  get isEmpty(): boolean {
    for (const name of this.#passes.keys()) if (this.has(name)) return false
    return true
  }

  has(name: ServerName): boolean {
    const passes = this.#passes.get(name)
    if (passes === undefined) return false
    if (passes > this.#time.now) return true
    this.#passes.delete(name)
    return false
  }

  /** Ticks until what a server said passes; 0 where it said nothing, or that it has room. */
  ticksLeft(name: ServerName): number {
    return Math.max(0, (this.#passes.get(name) ?? 0) - this.#time.now)
  }

  note(name: ServerName, isFull: boolean): void {
    const wasFull = this.has(name)
    if (isFull) this.#passes.set(name, this.#time.now + lastsTicks)
    else this.#passes.delete(name)
    if (wasFull === isFull) return
    for (const told of this.#listeners) told(name)
  }

  /** @param told hears which server has become full, or said that it has room. @returns ends that */
  listen(told: (name: ServerName) => void): () => void {
    this.#listeners.add(told)
    return () => this.#listeners.delete(told)
  }
}
