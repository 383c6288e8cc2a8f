import type { Socket } from 'node:net'
import { EpochcastError } from '../errors.ts'
import type { Address } from '../ids.ts'
import { FrameSplitter, framePrefix, joinSmallParts, prefixBytes } from './framing.ts'
import { decodeHello, encodeHello, helloBytesMax } from './hello.ts'
import type { TransportLimits } from './port.ts'
import { ReceiveMemory, type Rounds } from './receive-memory.ts'
import type { Dial } from './sockets.ts'

/** Of all that may wait together, this part may wait in each connection whatever the others do. */
const sharesMax = 256

/** What a connection tells the endpoint that holds it. */
export interface ConnectionOwner extends Rounds {
  readonly address: Address
  readonly limits: TransportLimits
  /** Bytes that wait in all its connections. */
  readonly queuedBytes: number
  /** So many bytes more, or fewer, wait in a connection. */
  queued(bytes: number): void
  /** Whether a connection that the other side dialled may stay, now that it has said who it is. */
  admits(connection: Connection, peer: Address): boolean
  /** The hello of the other side is there, and `peer` is known. */
  up(connection: Connection): void
  frame(from: Address, bytes: Uint8Array): void
  /** Once for every connection, whether it was up or not. */
  down(connection: Connection): void
}

/**
 * One TCP connection: a hello in each direction, then frames.
 * The dialling side speaks first; the listening side answers only a good hello, so strangers learn nothing from it.
 * Frames given to `send` before the connection is up wait for it.
 */
export class Connection {
  /** What this side dialled; undefined when the other side did. */
  readonly dialled: Address | undefined
  readonly #socket: Socket
  readonly #memory: ReceiveMemory
  readonly #owner: ConnectionOwner
  readonly #splitter: FrameSplitter
  #deadline: NodeJS.Timeout
  #peer: Address | undefined
  #closed = false
  #refused = false
  #isConnected = false
  #trouble: Error | null = null
  #flushPlanned = false
  #parts: Uint8Array[] = []
  #partsBytes = 0
  #framesTaken = 0
  #framesWritten = 0
  /** Bytes that were taken and not passed to the operating system. */
  #waitingBytes = 0

  /** @param open makes the socket, reading into what it is given */
  constructor(open: Dial, owner: ConnectionOwner, dialled?: Address) {
    this.dialled = dialled
    this.#owner = owner
    const memory = new ReceiveMemory(owner)
    this.#memory = memory
    this.#splitter = new FrameSplitter(helloBytesMax, (bytes) => memory.frame(bytes))
    const socket = open({
      buffer: () => memory.region(),
      callback: (count, region) => this.#receive(count, region),
    })
    this.#socket = socket
    this.#deadline = setTimeout(() => this.#refuse(), owner.limits.handshakeTimeoutMs)
    socket.on('error', (error) => this.close(error))
    socket.on('end', () => this.close())
    socket.on('close', () => this.close())
    socket.resume()
    if (dialled === undefined) return
    socket.once('connect', () => {
      this.#isConnected = true
      socket.write(encodeHello(owner.address))
    })
  }

  /** How the other side calls itself; undefined until its hello is complete. */
  get peer(): Address | undefined {
    return this.#peer
  }

  /** Whether it was closed for what the other side sent, or failed to send in time. */
  get refused(): boolean {
    return this.#refused
  }

  /** Why there is no hello of the other side; null where there is one. */
  get trouble(): Error | null {
    if (this.#peer !== undefined) return null
    if (this.#trouble !== null) return this.#trouble
    if (!this.#isConnected) return new EpochcastError('EC_UNREACHABLE', 'no answer')
    const what = this.#closed
      ? 'it ends the connection without a word: no epochcast server'
      : 'it takes the connection and says nothing: no epochcast server, or one that is paused or stuck'
    return new EpochcastError('EC_UNREACHABLE', what)
  }

  /** Frames that were taken and not passed to the operating system. */
  get framesWaiting(): number {
    return this.#framesTaken - this.#framesWritten
  }

  /** Bytes that were taken and not passed to the operating system. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  /** Takes a frame, or returns false when too much is waiting already. Everything of one turn leaves in one write. */
  send(parts: readonly Uint8Array[], length: number): boolean {
    const bytes = prefixBytes + length
    if (this.#closed || !this.#hasRoom(bytes)) return false
    this.#parts.push(framePrefix(length))
    for (const part of parts) this.#parts.push(part)
    this.#partsBytes += bytes
    this.#wait(bytes)
    this.#framesTaken += 1
    if (this.#peer !== undefined) this.#planFlush()
    return true
  }

  /** Sends what waits in a connection that is still being dialled. */
  takeOver(dialling: Connection): void {
    this.#parts = this.#parts.concat(dialling.#parts)
    this.#partsBytes += dialling.#partsBytes
    this.#wait(dialling.#partsBytes)
    dialling.#wait(-dialling.#partsBytes)
    this.#framesTaken += dialling.#framesTaken
    dialling.#parts = []
    dialling.#partsBytes = 0
    dialling.#framesTaken = 0
    this.#planFlush()
  }

  /** Sends what waits, then closes; at once when that takes too long. */
  retire(): void {
    this.#flush()
    this.#socket.end()
    clearTimeout(this.#deadline)
    this.#deadline = setTimeout(() => this.close(), this.#owner.limits.handshakeTimeoutMs)
  }

  close(trouble: Error | null = null): void {
    if (this.#closed) return
    this.#closed = true
    this.#trouble = trouble
    clearTimeout(this.#deadline)
    this.#socket.destroy()
    this.#parts = []
    this.#wait(-this.#waitingBytes)
    this.#owner.down(this)
  }

  #hasRoom(bytes: number): boolean {
    const { limits, queuedBytes } = this.#owner
    const waiting = this.#waitingBytes + bytes
    if (waiting > limits.queueBytesMax) return false
    // Where all queues together are long, the short ones go on.
    return queuedBytes + bytes <= limits.queuesBytesMax || waiting <= limits.queuesBytesMax / sharesMax
  }

  #wait(bytes: number): void {
    this.#waitingBytes += bytes
    this.#owner.queued(bytes)
  }

  #refuse(trouble: Error | null = null): void {
    this.#refused = true
    this.close(trouble)
  }

  /** @returns whether to go on reading */
  #receive(count: number, region: Uint8Array): boolean {
    if (this.#closed) return false
    this.#splitter.feed(region.subarray(0, count))
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) {
      if (this.#peer === undefined) this.#greet(frame)
      else this.#owner.frame(this.#peer, frame)
      if (this.#closed) return false
    }
    this.#memory.filled(count, region.length)
    return true
  }

  #next(): Uint8Array | undefined {
    try {
      return this.#splitter.next()
    } catch (error) {
      return this.#refuseFor(error)
    }
  }

  #greet(frame: Uint8Array): void {
    const peer = this.#readHello(frame)
    if (peer === undefined) return
    if (this.dialled === undefined && !this.#owner.admits(this, peer)) {
      this.close()
      return
    }
    this.#peer = peer
    this.#splitter.frameBytesMax = this.#owner.limits.frameBytesMax
    clearTimeout(this.#deadline)
    if (this.dialled === undefined) this.#socket.write(encodeHello(this.#owner.address))
    this.#owner.up(this)
    if (this.#parts.length > 0) this.#planFlush()
  }

  #readHello(frame: Uint8Array): Address | undefined {
    try {
      const peer = decodeHello(frame)
      // An endpoint that dialled itself would answer its own questions.
      if (peer === this.#owner.address) throw new EpochcastError('EC_BAD_MESSAGE', `${peer} is this side's own address`)
      return peer
    } catch (error) {
      return this.#refuseFor(error)
    }
  }

  #refuseFor(error: unknown): undefined {
    if (!(error instanceof EpochcastError)) throw error
    if (error.code === 'EC_PROTOCOL_VERSION') {
      this.#refuse(error)
      return undefined
    }
    this.#refuse(
      new EpochcastError('EC_UNREACHABLE', `what answers there is no epochcast server: ${error.message}`, {
        cause: error,
      }),
    )
    return undefined
  }

  #planFlush(): void {
    if (this.#flushPlanned) return
    this.#flushPlanned = true
    process.nextTick(() => this.#flush())
  }

  #flush(): void {
    this.#flushPlanned = false
    if (this.#closed || this.#parts.length === 0) return
    const pieces = joinSmallParts(this.#parts)
    const last = pieces.pop() as Uint8Array
    const taken = this.#framesTaken
    const bytes = this.#partsBytes
    this.#parts = []
    this.#partsBytes = 0
    this.#socket.cork()
    for (const piece of pieces) this.#socket.write(piece)
    this.#socket.write(last, (error) => {
      if (error || this.#closed) return
      this.#framesWritten = taken
      this.#wait(-bytes)
    })
    this.#socket.uncork()
  }
}
