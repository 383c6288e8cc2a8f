import type { Socket } from 'node:net'
import type { Address } from '../ids.ts'
import { BackOff } from './back-off.ts'
import { Connection, type ConnectionOwner } from './connection.ts'
import { frameLength } from './framing.ts'
import { Guests } from './guests.ts'
import type { Transport, TransportHandler, TransportLimits } from './port.ts'
import { adopting, type Dial, dialling } from './sockets.ts'
import { isTcpAddress, parseHostPort } from './tcp-address.ts'

/** Options of every socket: small frames leave at once, and a peer that vanished is noticed. */
export const socketOptions = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 10_000 } as const

/** Addresses whose last trouble is kept. */
const troublesMax = 1_024

/**
 * Finds or makes the connection for each frame. An address has one connection for sending, whoever dialled it: the
 * newest that the other side dialled, else the own one. Two endpoints that dial each other at the same moment keep
 * both connections; a second one that the same endpoint dialled means that it has given up the first.
 */
export class TcpEndpoint implements Transport, ConnectionOwner {
  readonly address: Address
  readonly limits: TransportLimits
  readonly #handler: TransportHandler
  readonly #connections = new Set<Connection>()
  /** The connection to send on, by address. */
  readonly #routes = new Map<Address, Connection>()
  /** The connection that an address dialled, by that address. */
  readonly #accepted = new Map<Address, Connection>()
  readonly #dialling = new Map<Address, Connection>()
  /** Why what was dialled last did not come up, by address. */
  readonly #troubles = new Map<Address, Error>()
  readonly #backOff = new BackOff()
  readonly #guests: Guests
  readonly #closeListener: () => Promise<void>
  /** Times that its owner was done with everything; null for an owner that keeps what it is given. */
  #round: number | null
  #open = true
  #closed: Promise<void> | undefined
  #framesLost = 0
  #connectionsRefused = 0
  #queuedBytes = 0

  constructor(
    address: Address,
    limits: TransportLimits,
    handler: TransportHandler,
    closeListener: (() => Promise<void>) | null = null,
  ) {
    // Clients keep payloads; servers copy what they keep.
    this.#round = closeListener === null ? null : 0
    this.address = address
    this.limits = limits
    this.#guests = new Guests(limits.connectionsMax)
    this.#handler = handler
    this.#closeListener = closeListener ?? (() => Promise.resolve())
  }

  get framesLost(): number {
    return this.#framesLost
  }

  get connectionsRefused(): number {
    return this.#connectionsRefused
  }

  get isCrowded(): boolean {
    return this.#guests.isCrowded(performance.now())
  }

  get queuedBytes(): number {
    return this.#queuedBytes
  }

  queued(bytes: number): void {
    this.#queuedBytes += bytes
  }

  waitingBytes(to: Address): number {
    return (this.#routes.get(to) ?? this.#dialling.get(to))?.waitingBytes ?? 0
  }

  get round(): number | null {
    return this.#round
  }

  reuse(): void {
    if (this.#round !== null) this.#round++
  }

  send(to: Address, parts: readonly Uint8Array[]): void {
    const length = frameLength(parts, this.limits.frameBytesMax)
    const connection = this.#routes.get(to) ?? this.#dialling.get(to) ?? this.#dial(to)
    if (connection?.send(parts, length) !== true) this.#framesLost += 1
  }

  trouble(address: Address): Error | null {
    if (this.#routes.has(address)) return null
    return this.#troubles.get(address) ?? this.#dialling.get(address)?.trouble ?? null
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  /** Takes a connection that the other side dialled. */
  accept(socket: Socket): void {
    if (this.#open && this.#guests.makeRoom(performance.now())) this.#guests.came(this.#hold(adopting(socket)))
    else socket.destroy()
  }

  admits(connection: Connection, peer: Address): boolean {
    return this.#guests.greeted(connection, peer, performance.now())
  }

  up(connection: Connection): void {
    const peer = connection.peer as Address
    if (connection.dialled === undefined) this.#upAccepted(connection, peer)
    else this.#upDialled(connection, connection.dialled, peer)
  }

  frame(from: Address, bytes: Uint8Array): void {
    this.#handler.frame(from, bytes)
  }

  down(connection: Connection): void {
    const { dialled, peer } = connection
    this.#connections.delete(connection)
    this.#guests.left(connection)
    this.#framesLost += connection.framesWaiting
    if (connection.refused) this.#connectionsRefused += 1
    if (dialled !== undefined && this.#dialling.get(dialled) === connection) {
      this.#dialling.delete(dialled)
      this.#backOff.failed(dialled, performance.now())
      this.#noteTrouble(dialled, connection.trouble)
    }
    if (dialled !== undefined) this.#endRoute(dialled, connection)
    if (peer === undefined) return
    if (this.#accepted.get(peer) === connection) this.#accepted.delete(peer)
    this.#endRoute(peer, connection)
  }

  #upAccepted(connection: Connection, peer: Address): void {
    const older = this.#accepted.get(peer)
    this.#accepted.set(peer, connection)
    if (older !== undefined) {
      this.#endRoute(peer, older)
      older.retire()
    }
    const isNew = !this.#routes.has(peer)
    this.#routes.set(peer, connection)
    this.#backOff.succeeded(peer)
    const dialling = this.#dialling.get(peer)
    if (dialling !== undefined) connection.takeOver(dialling)
    if (isNew) this.#hint(peer, true)
  }

  /** Under both names, when what was dialled calls itself something else. */
  #upDialled(connection: Connection, dialled: Address, peer: Address): void {
    this.#dialling.delete(dialled)
    this.#troubles.delete(dialled)
    this.#backOff.succeeded(dialled)
    for (const name of new Set([dialled, peer])) {
      if (this.#routes.has(name)) continue
      this.#routes.set(name, connection)
      this.#hint(name, true)
    }
  }

  #endRoute(name: Address, connection: Connection): void {
    if (this.#routes.get(name) !== connection) return
    this.#routes.delete(name)
    this.#hint(name, false)
  }

  /** Bounded like everything that is kept by address. */
  #noteTrouble(address: Address, trouble: Error | null): void {
    if (trouble === null) return
    this.#troubles.delete(address)
    this.#troubles.set(address, trouble)
    const [oldest] = this.#troubles.keys()
    if (this.#troubles.size > troublesMax && oldest !== undefined) this.#troubles.delete(oldest)
  }

  #hint(name: Address, up: boolean): void {
    if (this.#open) this.#handler.peer(name, up)
  }

  #dial(to: Address): Connection | undefined {
    const target = this.#open && to !== this.address && isTcpAddress(to) ? parseHostPort(to) : undefined
    if (target === undefined || this.#backOff.waiting(to, performance.now())) return undefined
    const connection = this.#hold(dialling({ ...target, ...socketOptions }), to)
    this.#dialling.set(to, connection)
    return connection
  }

  #hold(open: Dial, dialled?: Address): Connection {
    const connection = new Connection(open, this, dialled)
    this.#connections.add(connection)
    return connection
  }

  #closeAll(): Promise<void> {
    this.#open = false
    const listenerClosed = this.#closeListener()
    for (const connection of [...this.#connections]) connection.close()
    return listenerClosed
  }
}
