/**
 * An endpoint on NATS: frames out and in, and who is there. Core NATS loses what nobody listens to and what passes through a
 * connection that breaks; everything above lives with that. What it does not give, presence, is made of three things: a word of
 * greeting to whoever is new, a word of farewell, and the answer of NATS itself that nobody listens (the reply subject of every
 * frame asks for it). A life is one connection to NATS: after a reconnect all is greeted anew.
 */
import { randomBytes } from 'node:crypto'
import { EpochcastError } from '../errors.ts'
import type { Address } from '../ids.ts'
import { frameLength } from './framing.ts'
import { ListeningGroups, SendingGroups } from './nats-groups.ts'
import type { Msg, NatsConnection } from './nats-link.ts'
import { frameParcel, Pieces, parcelKinds, pieceParcels, wordOf, wordParcel } from './nats-parcels.ts'
import { type Peer, Peers } from './nats-peers.ts'
import { isGroupHash, isNatsClient, isNatsServer, type Sender, type Subjects } from './nats-subjects.ts'
import type { Transport, TransportHandler, TransportLimits } from './port.ts'

const lifeBytes = 6
const queueGroup = 'epochcast'
/** Status of the answer that NATS gives where nobody listens. */
const noResponders = 503
const groupRoute = '0'
const closeTimeoutMs = 1_000
/** Payloads of a NATS server that takes less than this are refused: frames would fall into too many pieces. */
const payloadBytesMin = 8 * 1024
/** NATS is asked how far it has read after each such part of the bound. */
const queueParts = 16

export class NatsEndpoint implements Transport {
  readonly address: Address
  readonly #connection: NatsConnection
  readonly #subjects: Subjects
  readonly #limits: TransportLimits
  readonly #handler: TransportHandler
  readonly #isServer: boolean
  readonly #subject: string
  readonly #peers: Peers
  readonly #pieces: Pieces
  readonly #sending = new SendingGroups()
  readonly #listening = new ListeningGroups()
  #replies: string
  #life = newLife()
  #isOpen = true
  #isConnected = true
  #closed: Promise<void> | undefined
  #framesLost = 0
  #frameNumber = 0
  /** Bytes that NATS has not said to have read. */
  #queuedBytes = 0
  #isAsking = false

  constructor(
    address: Address,
    connection: NatsConnection,
    subjects: Subjects,
    limits: TransportLimits,
    handler: TransportHandler,
  ) {
    this.address = address
    this.#connection = connection
    this.#subjects = subjects
    this.#limits = limits
    this.#handler = handler
    this.#isServer = isNatsServer(address)
    this.#subject = subjects.of(address) ?? ''
    this.#replies = `${subjects.repliesOf(address)}.${this.#life}.`
    this.#pieces = new Pieces(limits.frameBytesMax)
    this.#peers = new Peers((peer, up) => {
      if (this.#isOpen) handler.peer(peer, up)
    })
  }

  get framesLost(): number {
    return this.#framesLost
  }

  /**
   * Listens to its own subjects; resolves when NATS has them.
   * @throws EpochcastError `EC_BAD_ARGUMENT` when NATS does not let it, or takes too small messages
   */
  async open(): Promise<void> {
    const { max_payload: payloadBytesMax = 0, headers } = this.#connection.info ?? {}
    if (payloadBytesMax < payloadBytesMin || headers !== true) {
      const what = headers === true ? `takes messages of ${payloadBytesMax} bytes` : 'knows no headers'
      throw new EpochcastError('EC_BAD_ARGUMENT', `this NATS server ${what}`, {
        hint: `it takes nats-server 2.2 or newer, with max_payload of ${payloadBytesMin} or more`,
      })
    }
    const refused: Error[] = []
    const listen = (subject: string, take: (message: Msg) => void, queue?: string) =>
      this.#connection.subscribe(subject, {
        ...(queue !== undefined && { queue }),
        callback: (error, message) => {
          if (error !== null && error !== undefined) refused.push(error)
          else this.#guarded(() => take(message))
        },
      })
    listen(this.#subject, (message) => this.#take(message))
    listen(`${this.#subjects.repliesOf(this.address)}.>`, (message) => this.#onNobody(message))
    if (this.#isServer) listen(this.#subjects.any, (message) => this.#take(message), queueGroup)
    void this.#follow()
    await this.#connection.flush()
    // What NATS refuses it says before it answers, and the client tells it a little later.
    await new Promise((resolve) => setImmediate(resolve))
    const [first] = refused
    if (first !== undefined) {
      throw new EpochcastError('EC_BAD_ARGUMENT', `NATS does not let this user listen: ${first.message}`, {
        hint: 'docs/many-machines.md names the permissions that servers and clients need',
        cause: first,
      })
    }
  }

  send(to: Address, parts: readonly Uint8Array[]): void {
    const length = frameLength(parts, this.#limits.frameBytesMax)
    const peer = this.#route(to)
    if (peer === undefined || !this.#hasRoom(length)) this.#framesLost += 1
    else this.#publish(peer.subject, peer.route, this.#parcels(parts, length))
  }

  sendToAll(to: readonly Address[], parts: readonly Uint8Array[]): void {
    // A server sends the same to changing sets of clients: those are no groups.
    if (this.#isServer || to.length < 2 || !to.every(isNatsServer)) {
      for (const one of to) this.send(one, parts)
      return
    }
    const length = frameLength(parts, this.#limits.frameBytesMax)
    const nowMs = performance.now()
    const group = this.#sending.use(to, nowMs)
    const listens = (peer: Peer | undefined) => peer?.isUp === true && group.listening.get(peer.address) === peer.life
    const peers = to.map((one) => this.#route(one))
    const listeners = peers.filter(listens)
    if (listeners.length < to.length && this.#sending.isToAsk(group, nowMs)) {
      for (const peer of peers) {
        if (peer?.isUp !== true || listens(peer)) continue
        this.#say(peer, parcelKinds.join, group.hash)
        group.askedMs = nowMs
      }
    }
    const isGroup = listeners.length >= 2
    const alone = isGroup ? peers.filter((peer) => !listens(peer)) : peers
    if (!this.#hasRoom(length * (alone.length + 1))) {
      this.#framesLost += to.length
      return
    }
    const parcels = this.#parcels(parts, length)
    if (isGroup) this.#publish(this.#subjects.group(group.hash), groupRoute, parcels)
    for (const peer of alone) {
      if (peer === undefined) this.#framesLost += 1
      else this.#publish(peer.subject, peer.route, parcels)
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#end()
    return this.#closed
  }

  /** Whether somebody answers at this endpoint's own address already; asked before it listens there. */
  async isTaken(timeoutMs: number): Promise<boolean> {
    const reply = `${this.#replies}probe`
    const answers = this.#connection.subscribe(reply, { max: 1 })
    const timer = setTimeout(() => answers.unsubscribe(), timeoutMs)
    this.#connection.publish(this.#subject, wordParcel(parcelKinds.hello), { reply })
    try {
      for await (const { data } of answers) return data[0] === parcelKinds.welcome
      return false
    } catch {
      // Not allowed: what listens here says so.
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  // Out

  #route(to: Address): Peer | undefined {
    if (!this.#isOpen || !this.#isConnected || to === this.address) return undefined
    const known = this.#peers.find(to)
    // A client is reached while it is there, or not at all: nobody takes its address again.
    if (known?.isUp !== true && isNatsClient(to)) return undefined
    if (known !== undefined) return known
    const subject = this.#subjects.of(to)
    return subject === undefined ? undefined : this.#peers.add(to, subject)
  }

  #hasRoom(bytes: number): boolean {
    return this.#queuedBytes + bytes <= this.#limits.queueBytesMax
  }

  #parcels(parts: readonly Uint8Array[], length: number): readonly Uint8Array[] {
    const bytesMax = this.#connection.info?.max_payload ?? payloadBytesMin
    if (1 + length <= bytesMax) return [frameParcel(parts, length)]
    this.#frameNumber = (this.#frameNumber + 1) % 0x1_0000_0000
    return pieceParcels(parts, length, this.#frameNumber, bytesMax)
  }

  #publish(subject: string, route: number | string, parcels: readonly Uint8Array[]): void {
    let reply = `${this.#replies}${route}`
    for (const parcel of parcels) {
      this.#connection.publish(subject, parcel, { reply })
      this.#queuedBytes += parcel.length
      // One frame is lost once, in however many pieces.
      reply = `${this.#replies}${route}.quiet`
    }
    if (!this.#isAsking && this.#queuedBytes > this.#limits.queueBytesMax / queueParts) this.#ask()
  }

  /** Learns how far NATS has read: what waits beyond the bound is lost here, not in memory. */
  #ask(): void {
    this.#isAsking = true
    queueMicrotask(() => {
      const asked = this.#queuedBytes
      const done = (): void => {
        this.#isAsking = false
        this.#queuedBytes = Math.max(0, this.#queuedBytes - asked)
        if (this.#isOpen && this.#queuedBytes > this.#limits.queueBytesMax / queueParts) this.#ask()
      }
      this.#connection.flush().then(done, done)
    })
  }

  #say(peer: Peer, kind: number, text = ''): void {
    if (!this.#isConnected) return
    const reply = `${this.#replies}${peer.route}.quiet`
    this.#connection.publish(peer.subject, wordParcel(kind, text), { reply })
  }

  // In

  /** A handler that throws must not end the reader of the connection: it is thrown where nobody catches it. */
  #guarded(run: () => void): void {
    try {
      run()
    } catch (error) {
      setImmediate(() => {
        throw error
      })
    }
  }

  #take({ reply, data }: Msg, group?: string): void {
    if (!this.#isOpen || data.length === 0 || reply === undefined) return
    const sender = this.#subjects.sender(reply)
    if (sender === undefined) return
    if (sender.address !== this.address) this.#onParcel(sender, data, group)
    else if (sender.life !== this.#life && data[0] === parcelKinds.hello) {
      // Another process wants this address.
      this.#connection.publish(reply, wordParcel(parcelKinds.welcome))
    }
  }

  #onParcel(sender: Sender, data: Uint8Array, group: string | undefined): void {
    const kind = data[0]
    const peer =
      this.#peers.find(sender.address) ?? this.#peers.add(sender.address, this.#subjects.of(sender.address) ?? '')
    if (kind === parcelKinds.bye) {
      if (peer.life === sender.life) this.#lose(peer)
      return
    }
    const isNew = this.#peers.heard(peer, sender)
    if (!this.#isOpen) return
    if (isNew) this.#pieces.forget(peer.address)
    if (kind === parcelKinds.hello || (isNew && kind !== parcelKinds.welcome)) this.#say(peer, parcelKinds.welcome)
    if (group !== undefined) this.#listening.used(group, performance.now())
    switch (kind) {
      case parcelKinds.frame:
        if (data.length > 1 && data.length - 1 <= this.#limits.frameBytesMax)
          this.#handler.frame(peer.address, data.subarray(1))
        return
      case parcelKinds.piece: {
        const frame = this.#pieces.take(peer.address, data)
        if (frame !== undefined) this.#handler.frame(peer.address, frame)
        return
      }
      case parcelKinds.join:
        return this.#join(peer, wordOf(data))
      case parcelKinds.joined:
        return this.#sending.joined(wordOf(data), peer)
    }
  }

  #join(peer: Peer, hash: string): void {
    if (!this.#isServer || !isGroupHash(hash)) return
    const subscribe = () =>
      this.#connection.subscribe(this.#subjects.group(hash), {
        callback: (error, message) => {
          if (error === null || error === undefined) this.#guarded(() => this.#take(message, hash))
        },
      })
    if (this.#listening.join(hash, performance.now(), subscribe)) this.#say(peer, parcelKinds.joined, hash)
  }

  /** NATS itself answers on a frame's reply subject: nobody listens where it went. */
  #onNobody({ subject, headers }: Msg): void {
    if (!this.#isOpen || headers?.code !== noResponders || !subject.startsWith(this.#replies)) return
    const [route, quiet] = subject.slice(this.#replies.length).split('.')
    if (quiet === undefined) this.#framesLost += 1
    if (route === groupRoute) this.#sending.clear()
    const peer = this.#peers.onRoute(Number(route))
    if (peer !== undefined) this.#lose(peer)
  }

  #lose(peer: Peer): void {
    this.#pieces.forget(peer.address)
    this.#peers.down(peer)
  }

  // The connection

  async #follow(): Promise<void> {
    let before: Peer[] = []
    for await (const status of this.#connection.status()) {
      if (!this.#isOpen) return
      if (status.type === 'disconnect' && this.#isConnected) {
        this.#isConnected = false
        this.#queuedBytes = 0
        before = this.#peers.up()
        this.#begin()
        for (const peer of before) this.#lose(peer)
      } else if (status.type === 'reconnect') {
        this.#isConnected = true
        for (const peer of before) this.#say(peer, parcelKinds.hello)
        before = []
      } else if (status.type === 'ldm') this.#leaveLameDuck()
    }
  }

  /** A life of its own for every connection. */
  #begin(): void {
    this.#life = newLife()
    this.#replies = `${this.#subjects.repliesOf(this.address)}.${this.#life}.`
    this.#sending.clear()
  }

  /** The server is about to end: another one is better now than later, where there is one. */
  #leaveLameDuck(): void {
    const others = this.#connection.info?.connect_urls ?? []
    if (others.length > 0) void this.#connection.reconnect()
  }

  async #end(): Promise<void> {
    const peers = this.#peers.up()
    for (const peer of peers) this.#say(peer, parcelKinds.bye)
    this.#isOpen = false
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, closeTimeoutMs)
    })
    if (this.#isConnected) await Promise.race([this.#connection.flush().catch(() => {}), late])
    clearTimeout(timer)
    await this.#connection.close()
  }
}

function newLife(): string {
  return randomBytes(lifeBytes).toString('hex')
}
