import type { Member } from '../proto/configuration.ts'
import type { Address, ServerName } from '../proto/ids.ts'
import { FullServers } from './full-servers.ts'
import type { ClientTimers } from './timers.ts'

/** Servers that this client knows how to reach. */
export class Servers {
  readonly #seeds: readonly Address[]
  readonly #known = new Map<ServerName, Address>()
  /** Connected, as far as this client heard. */
  readonly #up = new Set<Address>()
  readonly #down = new Set<Address>()
  /** Ticks in which bodies came from each server, and the last of them. */
  readonly #bodies = new Map<Address, { ticks: number; last: number }>()
  readonly #timers: ClientTimers
  readonly full: FullServers

  constructor(seeds: readonly Address[], timers: ClientTimers) {
    this.#seeds = seeds
    this.#timers = timers
    this.full = new FullServers(timers)
  }

  learn(members: readonly Member[]): void {
    for (const { name, address } of members) this.#known.set(name, address)
  }

  /**
   * A connection came up or broke: a server that is known to be down is asked last.
   * @returns false for what was known
   */
  peer(address: Address, up: boolean): boolean {
    const isNews = this.#up.has(address) !== up
    if (!isNews && up) return false
    if (up) {
      this.#up.add(address)
      this.#down.delete(address)
    } else {
      this.#up.delete(address)
      this.#down.add(address)
    }
    return isNews
  }

  /** Whether what is sent there now leaves this client, rather than wait for a connection. */
  isUp(address: Address): boolean {
    return this.#up.has(address)
  }

  /** A server is gone for good. */
  forget(name: ServerName): void {
    this.#known.delete(name)
  }

  /** A server sent a body, to whatever reader of this client. */
  sentBody(address: Address): void {
    const { now } = this.#timers
    const known = this.#bodies.get(address)
    if (known === undefined) this.#bodies.set(address, { ticks: 1, last: now })
    else if (known.last < now) {
      known.ticks++
      known.last = now
    }
  }

  /** In how many ticks bodies have come from there, to whatever reader: what else is asked for waits behind them. */
  busyTicks(address: Address): number {
    return this.#bodies.get(address)?.ticks ?? 0
  }

  isDown(address: Address | undefined): boolean {
    return address !== undefined && this.#down.has(address)
  }

  /** The same addresses, those that are known to be down last. */
  inOrder(addresses: readonly Address[]): Address[] {
    return [...addresses.filter((one) => !this.isDown(one)), ...addresses.filter((one) => this.isDown(one))]
  }

  /** Members of a configuration, with their addresses when it was decided: what was learnt of servers themselves is newer. */
  learnPast(members: readonly Member[]): void {
    for (const { name, address } of members) if (!this.#known.has(name)) this.#known.set(name, address)
  }

  addressOf(member: Member): Address {
    return this.#known.get(member.name) ?? member.address
  }

  /** Everybody that may be asked: the seeds first, then those that were learnt. */
  addresses(): Address[] {
    return this.inOrder([...new Set([...this.#seeds, ...this.#known.values()])])
  }
}
