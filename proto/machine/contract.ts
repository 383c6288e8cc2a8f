/**
 * The contract between protocol machines and the loop that drives them. A machine has no IO: it takes one input at a time
 * and appends effects. The same classes run in production, in scenarios and in the simulator.
 *
 * Order is the whole safety argument of "on disk before the reply": effects are performed in the order in which they were
 * appended, and no `send` or `settle` leaves before every earlier `persist` is flushed. So a machine may change its state at
 * once, and still nothing that it tells is ahead of its disk.
 */
import type { EpochcastError } from '../errors.ts'
import type { Address } from '../ids.ts'
import type { Frame } from '../wire/codec.ts'
import type { Message } from '../wire/messages.ts'
import type { EngineAnswer, EngineCall } from './engine-port.ts'
import type { Position, RecordKind } from './store.ts'

export type Input<Call = never> =
  | { readonly kind: 'frame'; readonly from: Address; readonly frame: Frame }
  /** A hint that a connection came up or broke. */
  | { readonly kind: 'peer'; readonly address: Address; readonly up: boolean }
  /** What a decision engine outside of this process answered, or that its answer did not come. */
  | { readonly kind: 'engine'; readonly engine: string; readonly token: number; readonly answer: EngineAnswer }
  /** Time has passed up to this tick (of `tickMs`) since the machine began; comes before the other inputs of a turn. */
  | { readonly kind: 'time'; readonly now: number }
  /** All inputs of this turn have been taken: timers that are due ring, and what is said once per turn is said. */
  | { readonly kind: 'turn' }
  /** Something that the program around the machine asks for; `failed` ends it where it throws, in a machine that has walls. */
  | { readonly kind: 'call'; readonly call: Call; readonly failed?: (error: EpochcastError) => void }

/** Where a record went: the loop fills in the position when it appends the record. */
export interface Placement {
  place(slot: number, position: Position): void
  positionOf(slot: number): Position
}

/** Somebody who waits for the end of something. */
export interface Settleable {
  settle(): void
}

export type Effect =
  | { readonly kind: 'send'; readonly to: readonly Address[]; readonly token: number; readonly message: Message }
  /** Sends a record's bytes as they stand in the store: a batch, passed on untouched. */
  | {
      readonly kind: 'send-record'
      readonly to: Address
      readonly token: number
      readonly placement: Placement
      readonly slot: number
      /** Without its body. */
      readonly bare?: boolean
    }
  /** Appends a record; `slot` of `placement` learns its position. */
  | {
      readonly kind: 'persist'
      readonly record: RecordKind
      readonly bytes: Uint8Array
      readonly placement?: Placement
      readonly slot?: number
    }
  | { readonly kind: 'settle'; readonly target: Settleable }
  /** Asks a decision engine outside of this process, once; its answer comes as an input. Waits for the disk like a send. */
  | { readonly kind: 'engine'; readonly engine: string; readonly token: number; readonly call: EngineCall }

export interface Machine<Call = never> {
  // Of a frame a machine that keeps records may keep nothing that is a view of its bytes: they are used again after the turn.
  /** Takes one input; appends to `out` what the loop must do, in that order. */
  step(input: Input<Call>, out: Effect[]): void
  /** Tick at which it has something to do by itself; null while it waits for inputs alone. */
  readonly nextDue: number | null
}

/** A machine that keeps records can be rebuilt from them. */
export interface DurableMachine<Call = never> extends Machine<Call> {
  /** One surviving record, oldest first, before the first `step`. */
  recover(kind: RecordKind, bytes: Uint8Array, position: Position): void
}

/** Milliseconds of one tick of machine time. */
export const tickMs = 10

export function send(out: Effect[], to: Address | readonly Address[], message: Message, token = 0): void {
  out.push({ kind: 'send', to: typeof to === 'string' ? [to] : to, token, message })
}
