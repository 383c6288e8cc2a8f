/**
 * The loop that drives a machine: takes all inputs of a turn, then performs the effects in order. All persists of a turn go
 * into one flush; what follows a persist waits for its flush. While one flush is under way, everything that arrives rides in
 * the next. Dull on purpose: no decision about the protocol is made here.
 */
import { EpochcastError } from '../errors.ts'
import type { Address, ClusterId } from '../ids.ts'
import type { After } from '../timer.ts'
import type { Transport, TransportHandler } from '../transport/port.ts'
import { decodeFrame, encodeEnvelope, encodeMessage, withoutBody } from '../wire/codec.ts'
import type { Message } from '../wire/messages.ts'
import { type Effect, type Input, type Machine, tickMs } from './contract.ts'
import type { EnginePort } from './engine-port.ts'
import type { Store } from './store.ts'

export interface LoopOptions<Call> {
  readonly machine: Machine<Call>
  /** Name that goes into every envelope. */
  readonly name: string
  /** Cluster that goes into every envelope; may be learned later. Machines refuse frames of another. */
  cluster(): ClusterId | ''
  /** Only for machines that persist. */
  readonly store?: Store
  /** Only for machines that ask decision engines outside of this process. */
  readonly engines?: EnginePort
  /** The disk failed, or a rule of the protocol does not hold: nothing may be said any more. */
  onFatal(error: unknown): void
  /** A message cannot be written as what it is, and nobody receives it. */
  onUnsent?(message: Message, token: number, error: EpochcastError): void
  /** Without it, real time: tests and the simulator pass their own. */
  readonly timers?: LoopTimers
}

/** How a loop gets its turns: soon after an input, and when something is due. */
export interface LoopTimers {
  soon(run: () => void): void
  readonly after: After
  /** Milliseconds that passed since some moment: of a clock that never goes back. */
  nowMs(): number
}

const turn = { kind: 'turn' } as const
/** A timer of the process may fire so many milliseconds early. */
const earlyMs = 1

const realTimers: LoopTimers = {
  soon: (run) => setImmediate(run),
  after: (milliseconds, run) => {
    const timer = setTimeout(run, milliseconds)
    return () => clearTimeout(timer)
  },
  nowMs: () => performance.now(),
}

export class Loop<Call = never> implements TransportHandler {
  readonly #options: LoopOptions<Call>
  readonly #timers: LoopTimers
  #transport: Transport | null = null
  #inputs: Input<Call>[] = []
  /** Effects that wait for the flush under way, and those that wait for the one after it. */
  #flushing: Effect[] | null = null
  #waiting: Effect[] = []
  /** Receivers for whom a record is being read from disk: what goes to them next waits behind it. */
  readonly #reading = new Map<Address, Promise<void>>()
  #lastEnvelope: { readonly token: number; readonly cluster: string; readonly bytes: Uint8Array } | null = null
  #scheduled = false
  #stopped = false
  /** Ticks that have passed for the machine, and the moment up to which they were counted. */
  #time = 0
  #timeMs = 0
  /** When this loop wakes up by itself. */
  #alarm: { readonly due: number; readonly cancel: () => void } | null = null
  /** Turns that did something. */
  #turns = 0
  #cancelIdle: (() => void) | null = null
  readonly #turnNow = () => this.#turn()
  /** Frames that were not frames of this protocol. */
  framesRefused = 0
  /** Frames that were larger than the transport takes. */
  framesTooLarge = 0
  /** Messages that could not be written as what they are. */
  framesUnsent = 0

  constructor(options: LoopOptions<Call>) {
    this.#options = options
    this.#timers = options.timers ?? realTimers
  }

  /** Starts time. Inputs that came before are taken first. */
  start(transport: Transport): void {
    this.#transport = transport
    this.#timeMs = this.#timers.nowMs()
    const { store } = this.#options
    store?.onFailure((error) => this.#fatal(error))
    // What recovery found may lack its mark, too.
    if (store !== undefined) this.#tellIdle(store)
    this.#schedule()
  }

  /** No input is taken and no effect performed any more; a flush under way may still end. */
  stop(): void {
    this.#stopped = true
    this.#alarm?.cancel()
    this.#cancelIdle?.()
    this.#inputs = []
    this.#waiting = []
  }

  /** Bytes that wait for `to`: at the transport, and without a bound while a record for it is being read from disk. */
  waitingBytes(to: Address): number {
    return this.#reading.has(to) ? Number.POSITIVE_INFINITY : (this.#transport?.waitingBytes?.(to) ?? 0)
  }

  input(input: Input<Call>): void {
    if (this.#stopped) return
    this.#inputs.push(input)
    this.#schedule()
  }

  /** @param failed is called where `call` throws in a machine that has walls between its operations */
  call(call: Call, failed?: (error: EpochcastError) => void): void {
    this.input(failed === undefined ? { kind: 'call', call } : { kind: 'call', call, failed })
  }

  frame(from: Address, bytes: Uint8Array): void {
    try {
      this.input({ kind: 'frame', from, frame: decodeFrame(bytes) })
    } catch (error) {
      if (!(error instanceof EpochcastError)) throw error
      this.framesRefused++
    }
  }

  peer(address: Address, up: boolean): void {
    this.input({ kind: 'peer', address, up })
  }

  #schedule(): void {
    if (this.#scheduled || this.#transport === null || this.#stopped) return
    this.#scheduled = true
    this.#timers.soon(this.#turnNow)
  }

  #turn(): void {
    this.#scheduled = false
    if (this.#stopped) return
    const inputs = this.#inputs
    this.#inputs = []
    const effects: Effect[] = []
    try {
      this.#passTime(effects)
      for (const input of inputs) this.#options.machine.step(input, effects)
      this.#options.machine.step(turn, effects)
      for (const effect of effects) this.#take(effect)
    } catch (error) {
      this.#fatal(error)
      return
    }
    // Everything that came is used, and what is kept of it has been copied by the store.
    this.#transport?.reuse?.()
    if (effects.length > 0) this.#turns++
    this.#flush()
    this.#setAlarm()
  }

  /**
   * Time of a machine is real time, but for a process that was stopped or busy: beyond the moment at which it was to wake up, one
   * tick passes, however late it is. So its own standstill is no silence of others.
   */
  #passTime(effects: Effect[]): void {
    const { machine } = this.#options
    const nowMs = this.#timers.nowMs()
    const elapsed = Math.floor((nowMs - this.#timeMs + earlyMs) / tickMs)
    if (elapsed <= 0) return
    const due = machine.nextDue
    const passed = due === null ? elapsed : Math.min(elapsed, Math.max(0, due - this.#time) + 1)
    this.#time += passed
    this.#timeMs = passed < elapsed ? nowMs : this.#timeMs + elapsed * tickMs
    machine.step({ kind: 'time', now: this.#time }, effects)
  }

  #setAlarm(): void {
    const due = this.#options.machine.nextDue
    // One that is set too early finds nothing due, and is set again.
    if (due === null || this.#stopped || (this.#alarm !== null && this.#alarm.due <= due)) return
    this.#alarm?.cancel()
    const sinceMs = this.#timers.nowMs() - this.#timeMs
    const cancel = this.#timers.after(Math.max(0, (due - this.#time) * tickMs - sinceMs), () => {
      this.#alarm = null
      // It finds nothing waiting, mostly: then it is a turn by itself, at once.
      if (!this.#scheduled) this.#turn()
    })
    this.#alarm = { due, cancel }
  }

  /** Tells the store once nothing has happened for a tick. */
  #tellIdle(store: Store): void {
    if (this.#cancelIdle !== null || this.#stopped) return
    const turns = this.#turns
    this.#cancelIdle = this.#timers.after(tickMs, () => {
      this.#cancelIdle = null
      if (turns === this.#turns && this.#flushing === null) store.idle()
      else this.#tellIdle(store)
    })
  }

  /** Persists at once (into the store's buffer); the rest only when nothing unflushed stands before it. */
  #take(effect: Effect): void {
    const store = this.#options.store
    if (effect.kind === 'persist') {
      if (store === undefined) throw new Error('a machine without a store persists')
      const position = store.append(effect.record, effect.bytes)
      if (effect.placement !== undefined && effect.slot !== undefined) effect.placement.place(effect.slot, position)
      return
    }
    if (this.#flushing !== null || store?.dirty === true) this.#waiting.push(effect)
    else this.#perform(effect)
  }

  #flush(): void {
    const store = this.#options.store
    if (this.#flushing !== null || store === undefined || (!store.dirty && this.#waiting.length === 0)) return
    const released = this.#waiting
    this.#flushing = released
    this.#waiting = []
    store
      .flush()
      .then(() => {
        this.#flushing = null
        if (this.#stopped) return
        for (const effect of released) this.#perform(effect)
        this.#flush()
        this.#tellIdle(store)
      })
      .catch((error: unknown) => this.#fatal(error))
  }

  #perform(effect: Effect): void {
    switch (effect.kind) {
      case 'send': {
        const parts = this.#encode(effect.message, effect.token)
        if (parts === null || this.#sendToAll(effect.to, effect.token, parts)) return
        for (const address of effect.to) this.#send(address, effect.token, parts)
        return
      }
      case 'send-record': {
        const body = this.#options.store?.read(effect.placement.positionOf(effect.slot))
        const isBare = effect.bare === true
        if (body instanceof Uint8Array) this.#send(effect.to, effect.token, isBare ? withoutBody(body) : [body])
        else if (body !== undefined) this.#sendLater(effect.to, effect.token, body, isBare)
        return
      }
      case 'settle':
        effect.target.settle()
        return
      case 'engine': {
        const { engine, token, call } = effect
        this.#options.engines?.ask(engine, call, (answer) => this.input({ kind: 'engine', engine, token, answer }))
        return
      }
      case 'persist':
        return
    }
  }

  /** A message that cannot be written is lost, like a frame that is too large. */
  #encode(message: Message, token: number): readonly Uint8Array[] | null {
    try {
      return encodeMessage(message)
    } catch (error) {
      if (!(error instanceof EpochcastError)) throw error
      this.framesUnsent++
      this.#options.onUnsent?.(message, token, error)
      return null
    }
  }

  /** What comes after a record that is still being read waits for it, so that one receiver sees one order. */
  #sendLater(to: Address, token: number, body: Promise<Uint8Array>, isBare: boolean): void {
    const before = this.#reading.get(to) ?? Promise.resolve()
    const sent = Promise.all([body, before]).then(
      ([bytes]) => this.#transmit(to, token, isBare ? withoutBody(bytes) : [bytes]),
      (error: unknown) => this.#fatal(error),
    )
    this.#queueBehind(to, sent)
  }

  #send(to: Address, token: number, message: readonly Uint8Array[]): void {
    const reading = this.#reading.get(to)
    if (reading === undefined) this.#transmit(to, token, message)
    else
      this.#queueBehind(
        to,
        reading.then(() => this.#transmit(to, token, message)),
      )
  }

  #queueBehind(to: Address, sent: Promise<void>): void {
    const last = sent.then(() => {
      if (this.#reading.get(to) === last) this.#reading.delete(to)
    })
    this.#reading.set(to, last)
  }

  /** @returns false where the receivers have to be served one by one */
  #sendToAll(to: readonly Address[], token: number, message: readonly Uint8Array[]): boolean {
    const transport = this.#transport
    if (to.length < 2 || this.#stopped || transport?.sendToAll === undefined) return false
    if (to.some((address) => address === transport.address || this.#reading.has(address))) return false
    this.#hand(transport, to, [this.#envelope(token), ...message])
    return true
  }

  #transmit(to: Address, token: number, message: readonly Uint8Array[]): void {
    const transport = this.#transport
    if (transport === null || this.#stopped) return
    const parts = [this.#envelope(token), ...message]
    if (to === transport.address) this.frame(to, Buffer.concat(parts))
    else this.#hand(transport, to, parts)
  }

  /** What goes to several receivers, or is said unasked, begins in the same way: it is encoded once. */
  #envelope(token: number): Uint8Array {
    const cluster = this.#options.cluster()
    const last = this.#lastEnvelope
    if (last !== null && last.token === token && last.cluster === cluster) return last.bytes
    const bytes = encodeEnvelope({ cluster, from: this.#options.name, token })
    this.#lastEnvelope = { token, cluster, bytes }
    return bytes
  }

  /** A frame that is too large is lost like any other: whoever waits for it asks for less. */
  #hand(transport: Transport, to: Address | readonly Address[], parts: readonly Uint8Array[]): void {
    try {
      if (typeof to === 'string') transport.send(to, parts)
      else transport.sendToAll?.(to, parts)
    } catch (error) {
      if (!(error instanceof EpochcastError) || error.code !== 'EC_FRAME_TOO_LARGE') throw error
      this.framesTooLarge++
    }
  }

  #fatal(error: unknown): void {
    if (this.#stopped) return
    this.stop()
    this.#options.onFatal(error)
  }
}
