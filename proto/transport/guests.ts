import { isClientAddress } from './tcp-address.ts'

/** Connections beyond the bound that are kept for servers, and for those that have not said yet what they are. */
const serversMax = 16
/** Milliseconds after a refusal in which an endpoint still counts as crowded. */
const crowdedMs = 1_000

/** What is counted here. */
export interface Guest {
  close(): void
}

/**
 * The connections that others made with one endpoint. They share the file descriptors of the process with its files, so there
 * is a bound. At the bound, the connection that has been silent longest goes first: it costs a stranger nothing to make one.
 */
export class Guests {
  readonly #max: number
  /** Without a hello yet, oldest first. */
  readonly #strangers = new Set<Guest>()
  readonly #clients = new Set<Guest>()
  readonly #servers = new Set<Guest>()
  #refusedAt = Number.NEGATIVE_INFINITY

  constructor(max: number) {
    this.#max = max
  }

  /** @param nowMs monotonic time, as in both other places */
  isCrowded(nowMs: number): boolean {
    return this.#clients.size >= this.#max || nowMs - this.#refusedAt < crowdedMs
  }

  /** @returns whether one more may come; a stranger may have had to go for it */
  makeRoom(nowMs: number): boolean {
    const count = this.#strangers.size + this.#clients.size + this.#servers.size
    if (count < this.#max + serversMax) return true
    this.#refusedAt = nowMs
    const [oldest] = this.#strangers
    oldest?.close()
    return oldest !== undefined
  }

  came(guest: Guest): void {
    this.#strangers.add(guest)
  }

  /** @returns whether the one that calls itself so may stay */
  greeted(guest: Guest, name: string, nowMs: number): boolean {
    const isClient = isClientAddress(name)
    if (isClient && this.#clients.size >= this.#max) {
      this.#refusedAt = nowMs
      return false
    }
    if (this.#strangers.delete(guest)) (isClient ? this.#clients : this.#servers).add(guest)
    return true
  }

  left(guest: Guest): void {
    this.#strangers.delete(guest)
    this.#clients.delete(guest)
    this.#servers.delete(guest)
  }
}
