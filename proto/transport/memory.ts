import { EpochcastError } from '../errors.ts'
import type { Address } from '../ids.ts'
import { frameLength } from './framing.ts'
import { type Transport, type TransportHandler, type TransportLimits, transportLimits } from './port.ts'

/** One thing on its way: a frame, or without bytes the news that `from` broke. */
interface Delivery {
  readonly from: MemoryEndpoint
  readonly to: MemoryEndpoint
  readonly bytes: Uint8Array | undefined
}

/** Endpoints of one process. Frames of one pair keep their order and arrive in a later turn of the event loop. */
export class MemoryNetwork {
  readonly #endpoints = new Map<Address, MemoryEndpoint>()
  readonly #cuts = new Set<string>()
  #deliveries: Delivery[] = []

  /** @throws EpochcastError `EC_BAD_ARGUMENT` when the address is taken */
  attach(address: Address, handler: TransportHandler, limits: Partial<TransportLimits> = {}): Transport {
    if (this.#endpoints.has(address)) throw new EpochcastError('EC_BAD_ARGUMENT', `${address} is attached already`)
    const endpoint = new MemoryEndpoint(this, address, handler, { ...transportLimits, ...limits })
    this.#endpoints.set(address, endpoint)
    return endpoint
  }

  /** Ends an endpoint as a crash does: what it sent or should receive is lost, and those it spoke with get a hint. */
  detach(address: Address): void {
    const endpoint = this.#endpoints.get(address)
    if (endpoint === undefined) return
    this.#endpoints.delete(address)
    for (const peer of endpoint.leave()) this.#put({ from: endpoint, to: peer, bytes: undefined })
  }

  /** Loses every frame between the two, those on their way included. As in a real network, nobody is told. */
  cut(a: Address, b: Address): void {
    this.#cuts.add(pair(a, b))
  }

  heal(a: Address, b: Address): void {
    this.#cuts.delete(pair(a, b))
  }

  /** @returns false when the frame is lost already */
  carry(from: MemoryEndpoint, address: Address, bytes: Uint8Array): boolean {
    const to = this.#endpoints.get(address)
    if (to === undefined || to === from || bytes.length > to.limits.frameBytesMax) return false
    if (this.#cuts.has(pair(from.address, address))) return false
    this.#put({ from, to, bytes })
    return true
  }

  #put(delivery: Delivery): void {
    if (this.#deliveries.push(delivery) === 1) setImmediate(() => this.#deliver())
  }

  #deliver(): void {
    const batch = this.#deliveries
    this.#deliveries = []
    let done = 0
    try {
      while (done < batch.length) {
        const delivery = batch[done] as Delivery
        done += 1
        this.#handOver(delivery)
      }
    } finally {
      // A handler that threw loses the frame it got, not those of others.
      if (done < batch.length) {
        this.#deliveries = batch.slice(done).concat(this.#deliveries)
        setImmediate(() => this.#deliver())
      }
    }
  }

  #handOver({ from, to, bytes }: Delivery): void {
    if (bytes === undefined) to.broken(from)
    else if (!from.open || !to.open || this.#cuts.has(pair(from.address, to.address))) from.lost(to, bytes)
    else from.arrived(to, bytes)
  }
}

class MemoryEndpoint implements Transport {
  readonly address: Address
  readonly limits: TransportLimits
  readonly #network: MemoryNetwork
  readonly #handler: TransportHandler
  readonly #peers = new Set<MemoryEndpoint>()
  readonly #waitingBytes = new Map<Address, number>()
  #open = true
  #framesLost = 0

  constructor(network: MemoryNetwork, address: Address, handler: TransportHandler, limits: TransportLimits) {
    this.address = address
    this.limits = limits
    this.#network = network
    this.#handler = handler
  }

  get framesLost(): number {
    return this.#framesLost
  }

  get open(): boolean {
    return this.#open
  }

  send(to: Address, parts: readonly Uint8Array[]): void {
    const length = frameLength(parts, this.limits.frameBytesMax)
    const waiting = (this.#waitingBytes.get(to) ?? 0) + length
    const single = parts.length === 1 ? parts[0] : undefined
    const fits = this.#open && waiting <= this.limits.queueBytesMax
    if (fits && this.#network.carry(this, to, single ?? Buffer.concat(parts, length))) {
      this.#waitingBytes.set(to, waiting)
    } else {
      this.#framesLost += 1
    }
  }

  close(): Promise<void> {
    if (this.#open) this.#network.detach(this.address)
    return Promise.resolve()
  }

  arrived(to: MemoryEndpoint, bytes: Uint8Array): void {
    this.#sent(to, bytes)
    if (!this.#peers.has(to)) {
      this.#peers.add(to)
      to.#peers.add(this)
      this.#handler.peer(to.address, true)
      if (to.#open) to.#handler.peer(this.address, true)
    }
    if (to.#open) to.#handler.frame(this.address, bytes)
  }

  lost(to: MemoryEndpoint, bytes: Uint8Array): void {
    this.#sent(to, bytes)
    this.#framesLost += 1
  }

  broken(peer: MemoryEndpoint): void {
    if (this.#open) this.#handler.peer(peer.address, false)
  }

  /** Stops for good and returns those who must hear of it. */
  leave(): MemoryEndpoint[] {
    this.#open = false
    const peers = [...this.#peers]
    for (const peer of peers) peer.#peers.delete(this)
    this.#peers.clear()
    return peers
  }

  #sent(to: MemoryEndpoint, bytes: Uint8Array): void {
    const waiting = (this.#waitingBytes.get(to.address) ?? 0) - bytes.length
    if (waiting > 0) this.#waitingBytes.set(to.address, waiting)
    else this.#waitingBytes.delete(to.address)
  }
}

function pair(a: Address, b: Address): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`
}
