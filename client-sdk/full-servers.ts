import type { ServerName } from '../proto/ids.ts'

/** A server that is full says so again while anybody asks it: what it said longer ago than this says nothing of now. */
const lastsTicks = 200

/**
 * The servers whose disks are full, as far as this client knows: one for all its topics, as a server has one log. What was heard
 * passes unless it is heard again, so that no publisher is refused for what a server said before its topic left and came back.
 */
export class FullServers {
  /** Ticks that what each said still lasts. */
  readonly #left = new Map<ServerName, number>()

  get isEmpty(): boolean {
    return this.#left.size === 0
  }

  has(name: ServerName): boolean {
    return this.#left.has(name)
  }

  note(name: ServerName, isFull: boolean): void {
    if (isFull) this.#left.set(name, lastsTicks)
    else this.#left.delete(name)
  }

  tick(): void {
    for (const [name, left] of this.#left) this.#left.set(name, left - 1)
    for (const [name, left] of this.#left) if (left <= 0) this.#left.delete(name)
  }
}
