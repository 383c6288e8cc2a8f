/**
 * The network of a virtual world: frames between addresses, delivered promptly and in order unless a rule says otherwise.
 * Rules choose frames by sender, receiver and kind; what is held can be let go later, what was ever sent can be sent again.
 */
import type { Address } from '../../proto/ids.ts'
import type { Transport, TransportHandler } from '../../proto/transport/port.ts'
import { decodeFrame } from '../../proto/wire/codec.ts'
import { kindOfNumber, type Message, type MessageKind } from '../../proto/wire/messages.ts'
import type { EventQueue } from './event-queue.ts'

/** What a server's connections receive in one turn, mostly. */
const receiveBytes = 16_384

const decoded = new WeakMap<Uint8Array, Message>()

/** One frame on its way. */
export class Parcel {
  readonly from: Address
  readonly to: Address
  readonly bytes: Uint8Array
  readonly kind: MessageKind
  /** The encoded message that several frames share, where they do. */
  readonly #encoded: Uint8Array | null
  #message: Message | null = null

  constructor(from: Address, to: Address, bytes: Uint8Array, encoded: Uint8Array | null = null) {
    this.from = from
    this.to = to
    this.bytes = bytes
    this.kind = kindOf(bytes)
    this.#encoded = encoded
  }

  get message(): Message {
    this.#message ??= this.#decoded()
    return this.#message
  }

  /** What goes to several receivers is read once for all who watch; each receiver reads its own. */
  #decoded(): Message {
    const known = this.#encoded === null ? undefined : decoded.get(this.#encoded)
    if (known !== undefined) return known
    const { message } = decodeFrame(this.bytes)
    if (this.#encoded !== null) decoded.set(this.#encoded, message)
    return message
  }
}

/** Which frames; what is left out matches everything. */
export interface Selection {
  readonly from?: readonly string[]
  readonly to?: readonly string[]
  readonly kinds?: readonly string[]
  readonly epoch?: number
  readonly when?: (parcel: Parcel) => boolean
}

export type Verdict = 'pass' | 'drop' | 'hold' | 'twice'

export interface Rule {
  readonly selection: Selection
  readonly verdict: Verdict
  /** How many more frames it is for. */
  remaining: number
  /** Kinds of the frames whose fate it has been. */
  readonly hits: Set<MessageKind>
}

export type NetworkEvent = 'send' | 'deliver' | 'drop' | 'hold' | 'replay'

export interface NetworkOwner {
  readonly queue: EventQueue
  event(what: NetworkEvent, parcel: Parcel): void
  /** Milliseconds until it arrives. */
  latency(parcel: Parcel): number
  /** Delay of every copy that arrives, none for a loss; null leaves the frame to the rules. */
  fate?(parcel: Parcel): readonly number[] | null
  /** Asked when a frame is given to the network; false swallows it. */
  mayLeave(parcel: Parcel): boolean
  hasLeft(parcel: Parcel): void
}

export class Network {
  readonly #owner: NetworkOwner
  readonly #endpoints = new Map<Address, Endpoint>()
  readonly #cuts = new Set<string>()
  /** How often the connection of two was reset: what was on its way by then is lost. */
  readonly #resets = new Map<string, number>()
  #rules: Rule[] = []
  #held: Parcel[] = []

  constructor(owner: NetworkOwner) {
    this.#owner = owner
  }

  /** @param reusesMemory of frames, as a server's transport does: what is kept of one beyond its turn is spoiled */
  attach(address: Address, handler: TransportHandler, reusesMemory = false): Transport {
    const out = (to: Address, bytes: Uint8Array, encoded: Uint8Array | null) =>
      this.#send(new Parcel(address, to, bytes, encoded))
    const endpoint = new Endpoint(address, handler, out, reusesMemory)
    this.#endpoints.set(address, endpoint)
    return endpoint
  }

  /** A crash: what it sent is still on its way, what comes to it is lost, and those it spoke with get a hint. */
  detach(address: Address): void {
    const endpoint = this.#endpoints.get(address)
    if (endpoint === undefined) return
    this.#endpoints.delete(address)
    endpoint.open = false
    for (const peer of endpoint.peers) {
      peer.peers.delete(endpoint)
      this.#owner.queue.after(0, () => {
        if (peer.open) peer.handler.peer(address, false)
      })
    }
  }

  /** Loses what goes from one to the other, also what is on its way. Nobody is told. */
  cut(from: string, to: string): void {
    this.#cuts.add(`${from} ${to}`)
  }

  /** Puts every link of these in order again; of all, when none is named. @returns how many */
  heal(ids: readonly string[] = []): number {
    const before = this.#cuts.size
    for (const link of [...this.#cuts]) {
      if (ids.length === 0 || link.split(' ').some((id) => ids.includes(id))) this.#cuts.delete(link)
    }
    return before - this.#cuts.size
  }

  /** The connection of two breaks: what is on its way is lost, and both get a hint. */
  reset(one: string, other: string): void {
    const link = linkOf(one, other)
    this.#resets.set(link, (this.#resets.get(link) ?? 0) + 1)
    this.suspect(one, other)
    this.suspect(other, one)
  }

  /** Tells `one`, rightly or wrongly, that the connection to `other` broke. */
  suspect(one: string, other: string): void {
    const endpoint = this.#endpoints.get(one as Address)
    const peer = this.#endpoints.get(other as Address)
    if (endpoint === undefined) return
    if (peer !== undefined) endpoint.peers.delete(peer)
    this.#owner.queue.after(0, () => {
      if (endpoint.open) endpoint.handler.peer(other as Address, false)
    })
  }

  addRule(verdict: Verdict, selection: Selection, count = Number.POSITIVE_INFINITY): Rule {
    const rule: Rule = { verdict, selection, remaining: count, hits: new Set() }
    this.#rules.push(rule)
    return rule
  }

  removeRule(rule: Rule): void {
    this.#rules = this.#rules.filter((one) => one !== rule)
  }

  /** @returns how many rules */
  clearRules(selection: Selection = {}): number {
    const before = this.#rules.length
    this.#rules = this.#rules.filter((rule) => !covers(selection, rule.selection))
    return before - this.#rules.length
  }

  get heldCount(): number {
    return this.#held.length
  }

  /** Lets held frames go, in their order, and holds no more of their kind. @returns the frames */
  release(selection: Selection = {}): readonly Parcel[] {
    this.#rules = this.#rules.filter((rule) => rule.verdict !== 'hold' || !covers(selection, rule.selection))
    const going = this.#held.filter((parcel) => matches(selection, parcel))
    this.#held = this.#held.filter((parcel) => !going.includes(parcel))
    for (const parcel of going) this.#dispatch(parcel)
    return going
  }

  /** Loses held frames. @returns the frames */
  discard(selection: Selection = {}): readonly Parcel[] {
    this.#rules = this.#rules.filter((rule) => rule.verdict !== 'hold' || !covers(selection, rule.selection))
    const lost = this.#held.filter((parcel) => matches(selection, parcel))
    this.#held = this.#held.filter((parcel) => !lost.includes(parcel))
    return lost
  }

  /** Sends a frame again, past all rules. */
  replay(parcel: Parcel): void {
    this.#owner.event('replay', parcel)
    this.#dispatch(parcel)
  }

  /** Brings a frame of somebody who is not an endpoint. */
  inject(from: Address, to: Address, bytes: Uint8Array): void {
    this.#dispatch(new Parcel(from, to, bytes))
  }

  #send(parcel: Parcel): void {
    if (!this.#owner.mayLeave(parcel)) return
    this.#owner.event('send', parcel)
    this.#carry(parcel)
    this.#owner.hasLeft(parcel)
  }

  #carry(parcel: Parcel): void {
    const fate = this.#owner.fate?.(parcel) ?? null
    if (fate !== null) {
      if (fate.length === 0) this.#owner.event('drop', parcel)
      for (const delay of fate) this.#dispatch(parcel, delay)
      return
    }
    const verdict = this.#verdict(parcel)
    if (verdict === 'hold') {
      this.#held.push(parcel)
      this.#owner.event('hold', parcel)
      return
    }
    if (verdict === 'drop') {
      this.#owner.event('drop', parcel)
      return
    }
    this.#dispatch(parcel)
    if (verdict === 'twice') this.#dispatch(parcel)
  }

  #verdict(parcel: Parcel): Verdict {
    // The newest rule that matches counts.
    const rule = this.#rules.findLast((one) => one.remaining > 0 && matches(one.selection, parcel))
    if (rule === undefined) return 'pass'
    rule.remaining--
    rule.hits.add(parcel.kind)
    return rule.verdict
  }

  #dispatch(parcel: Parcel, delay = this.#owner.latency(parcel)): void {
    const resets = this.#resetsOf(parcel)
    this.#owner.queue.after(delay, () => {
      if (this.#resetsOf(parcel) === resets) this.#deliver(parcel)
      else this.#owner.event('drop', parcel)
    })
  }

  #resetsOf({ from, to }: Parcel): number {
    return this.#resets.size === 0 ? 0 : (this.#resets.get(linkOf(from, to)) ?? 0)
  }

  #deliver(parcel: Parcel): void {
    const { from, to, bytes } = parcel
    const receiver = this.#endpoints.get(to)
    if (receiver === undefined || (this.#cuts.size > 0 && this.#cuts.has(`${from} ${to}`))) {
      this.#owner.event('drop', parcel)
      return
    }
    const sender = this.#endpoints.get(from)
    if (sender !== undefined && !receiver.peers.has(sender)) {
      receiver.peers.add(sender)
      sender.peers.add(receiver)
      receiver.handler.peer(from, true)
      sender.handler.peer(to, true)
    }
    this.#owner.event('deliver', parcel)
    receiver.take(from, bytes)
  }
}

class Endpoint implements Transport {
  readonly address: Address
  readonly handler: TransportHandler
  readonly peers = new Set<Endpoint>()
  readonly framesLost = 0
  readonly #out: (to: Address, bytes: Uint8Array, encoded: Uint8Array | null) => void
  /** Memory that frames are received into, again and again; null where every frame has its own for ever. */
  #memory: Buffer | null
  #used = 0
  /** Used up in this turn. */
  readonly #full: Buffer[] = []
  open = true

  constructor(
    address: Address,
    handler: TransportHandler,
    out: (to: Address, bytes: Uint8Array, encoded: Uint8Array | null) => void,
    reusesMemory: boolean,
  ) {
    this.address = address
    this.handler = handler
    this.#out = out
    this.#memory = reusesMemory ? Buffer.allocUnsafeSlow(receiveBytes) : null
  }

  take(from: Address, bytes: Uint8Array): void {
    if (this.#memory === null) {
      this.handler.frame(from, bytes)
      return
    }
    if (this.#used + bytes.length > this.#memory.length) {
      this.#full.push(this.#memory)
      this.#memory = Buffer.allocUnsafeSlow(receiveBytes + bytes.length)
      this.#used = 0
    }
    const at = this.#used
    this.#used += bytes.length
    this.#memory.set(bytes, at)
    this.handler.frame(from, this.#memory.subarray(at, this.#used))
  }

  reuse(): void {
    if (this.#memory === null || this.#used === 0) return
    this.#memory.fill(0xee, 0, this.#used)
    this.#used = 0
    if (this.#full.length > 0) for (const memory of this.#full.splice(0)) memory.fill(0xee)
  }

  send(to: Address, parts: readonly Uint8Array[]): void {
    if (this.open) this.#out(to, Buffer.concat(parts), parts[1] ?? null)
  }

  async close(): Promise<void> {
    this.open = false
  }
}

export function matches({ from, to, kinds: wanted, epoch, when }: Selection, parcel: Parcel): boolean {
  if (from !== undefined && !from.includes(parcel.from)) return false
  if (to !== undefined && !to.includes(parcel.to)) return false
  if (wanted !== undefined && !wanted.includes(parcel.kind)) return false
  if (epoch !== undefined && (!('epoch' in parcel.message) || parcel.message.epoch !== epoch)) return false
  return when === undefined || when(parcel)
}

function linkOf(one: string, other: string): string {
  return one < other ? `${one} ${other}` : `${other} ${one}`
}

/** Whether every frame that `part` names is named by `whole`, as far as names tell. */
function covers(whole: Selection, part: Selection): boolean {
  const within = (outer?: readonly string[], inner?: readonly string[]) =>
    outer === undefined || inner?.every((one) => outer.includes(one)) === true
  return within(whole.from, part.from) && within(whole.to, part.to) && within(whole.kinds, part.kinds)
}

/** The kind of a frame's message, without decoding the rest. */
function kindOf(bytes: Uint8Array): MessageKind {
  let at = 2 + (((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)) + 1
  let number = 0
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++] ?? 0
    number |= (byte & 0x7f) << shift
    if (byte < 0x80) break
  }
  const kind = kindOfNumber(number)
  if (kind === undefined) throw new Error(`a frame of kind ${number}`)
  return kind
}
