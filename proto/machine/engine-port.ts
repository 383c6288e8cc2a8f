/**
 * Where decision engines outside of this process come in. They are asked outside of `step`: a machine appends the call as an
 * effect, the loop performs it through this port, and the answer comes back as an input. One call is one try; who asks again,
 * and when, is the machine's business.
 */
import type { ClusterId, Epoch, TopicName } from '../ids.ts'
import type { Finding } from '../wire/messages.ts'

/** One write-once register. */
export interface Register {
  readonly cluster: ClusterId
  readonly topic: TopicName
  /** The epoch that its value ends. */
  readonly epoch: Epoch
}

export type EngineCall =
  /** Who are you, and may you be relied on? */
  | { readonly kind: 'check' }
  /** @property instance the one instance that may answer */
  | { readonly kind: 'read'; readonly register: Register; readonly instance: string }
  | { readonly kind: 'propose'; readonly register: Register; readonly instance: string; readonly value: Uint8Array }

export type EngineAnswer =
  | { readonly kind: 'checked'; readonly instance: string; readonly findings: readonly Finding[] }
  /** What the register holds for ever. */
  | { readonly kind: 'holds'; readonly value: Uint8Array }
  /** It answers, and shows nothing: perhaps a stale view, or a proposal is under way. Nothing follows from that. */
  | { readonly kind: 'empty' }
  /** No answer in time, or none that says what happened: the same bytes are to be proposed again. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** It is not asked, because it cannot be relied on; somebody has to do something about it. */
  | { readonly kind: 'refused'; readonly reason: string; readonly findings?: readonly Finding[] }

export interface EnginePort {
  /** @param answer called once, or never */
  ask(engine: string, call: EngineCall, answer: (answer: EngineAnswer) => void): void
}
