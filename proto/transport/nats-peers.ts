/** Those that an endpoint speaks with over NATS, and whether they are there: nobody else would tell it. */
import type { Address } from '../ids.ts'
import { isNatsClient, type Sender } from './nats-subjects.ts'

/** One other endpoint. */
export interface Peer {
  readonly address: Address
  readonly subject: string
  /** Part of the reply subject of what goes to it. */
  readonly route: number
  isUp: boolean
  /** The life in which it was last heard; empty before that. */
  life: string
}

/** More are not kept: those that are not there are forgotten, then the clients that came first. */
const peersMax = 65_536

export class Peers {
  readonly #byAddress = new Map<Address, Peer>()
  readonly #byRoute = new Map<number, Peer>()
  readonly #hint: (address: Address, up: boolean) => void
  #routes = 0

  constructor(hint: (address: Address, up: boolean) => void) {
    this.#hint = hint
  }

  find(address: Address): Peer | undefined {
    return this.#byAddress.get(address)
  }

  onRoute(route: number): Peer | undefined {
    return this.#byRoute.get(route)
  }

  up(): Peer[] {
    return [...this.#byAddress.values()].filter((peer) => peer.isUp)
  }

  add(address: Address, subject: string): Peer {
    if (this.#byAddress.size >= peersMax) this.#makeRoom()
    this.#routes += 1
    const peer = { address, subject, route: this.#routes, isUp: false, life: '' }
    this.#byAddress.set(address, peer)
    this.#byRoute.set(peer.route, peer)
    return peer
  }

  /**
   * Something came from it. Whoever comes in another life than before was away in between.
   * @returns whether it was not up in this life already
   */
  heard(peer: Peer, { life }: Sender): boolean {
    if (peer.isUp && peer.life === life) return false
    this.down(peer)
    peer.isUp = true
    peer.life = life
    this.#hint(peer.address, true)
    return true
  }

  /** It ended, or is out of reach. */
  down(peer: Peer): void {
    if (!peer.isUp) return
    peer.isUp = false
    this.#hint(peer.address, false)
  }

  #makeRoom(): void {
    for (const peer of this.#byAddress.values()) if (!peer.isUp) this.#forget(peer)
    for (const peer of this.#byAddress.values()) {
      if (this.#byAddress.size <= peersMax / 2) return
      if (isNatsClient(peer.address)) this.#forget(peer)
    }
  }

  #forget(peer: Peer): void {
    this.#byAddress.delete(peer.address)
    this.#byRoute.delete(peer.route)
    this.down(peer)
  }
}
