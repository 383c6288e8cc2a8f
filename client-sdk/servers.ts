import type { Member } from '../proto/configuration.ts'
import type { Address, ServerName } from '../proto/ids.ts'

/** Servers that this client knows how to reach. */
export class Servers {
  readonly #seeds: readonly Address[]
  readonly #known = new Map<ServerName, Address>()

  constructor(seeds: readonly Address[]) {
    this.#seeds = seeds
  }

  learn(members: readonly Member[]): void {
    for (const { name, address } of members) this.#known.set(name, address)
  }

  addressOf(member: Member): Address {
    return this.#known.get(member.name) ?? member.address
  }

  /** Everybody that may be asked: the seeds first, then those that were learnt. */
  addresses(): Address[] {
    return [...new Set([...this.#seeds, ...this.#known.values()])]
  }
}
