/** What a client can be told, and how it is checked. */
import type { Order } from '../proto/configuration.ts'
import { orders } from '../proto/configuration.ts'
import { type Check, duration, having, method, signal, whole, word } from '../proto/door/checks.ts'
import { natsBesideUrl } from '../proto/door/nats.ts'
import { type Checks, optionsOf } from '../proto/door/options.ts'
import type { Clock, Random } from '../proto/machine/ports.ts'
import type { NatsOptions } from '../proto/transport/nats-options.ts'
import { messageBytesMax, type Transport, type TransportHandler } from '../proto/transport/port.ts'
import type { Codec } from './codecs.ts'
import { fromOf } from './door/calls.ts'
import { codec } from './door/payload.ts'
import type { AddLimits } from './operations/epoch-window.ts'
import type { SubjectFrom } from './subjects.ts'
import type { WaitOptions } from './waiting.ts'

export interface ConnectOptions extends WaitOptions {
  /** Largest payload in bytes; at most what the servers take (1 MiB). */
  readonly messageBytesMax?: number
  readonly limits?: Partial<AddLimits>
  /** Other ways to reach servers than TCP: the in-process network of tests. */
  readonly transport?: (name: string, handler: TransportHandler) => Transport
  /** With a `nats://` url alone: credentials and what else it does not say. */
  readonly nats?: Omit<NatsOptions, 'servers'>
  readonly clock?: Clock
  readonly random?: Random
}

export interface PatternOptions<T> {
  /** `start`, `new` (default), `{ time }`, or the cursor of a pattern. Topics that are made later are read from their start. */
  readonly from?: SubjectFrom
  readonly codec?: Codec<T>
  readonly order?: Order
  readonly signal?: AbortSignal
}

const bytes = whole(1)
const limits = optionsOf<Partial<AddLimits>>('limits', {
  ...{ batchBytesMax: bytes, windowBytesMax: bytes, pendingBytesMax: bytes, retainedBytesMax: whole(0) },
})

const connectChecks: Checks<ConnectOptions> = {
  timeoutMs: duration,
  signal,
  messageBytesMax: whole(1, messageBytesMax),
  limits: (value) => limits(value),
  transport: method,
  nats: natsBesideUrl,
  clock: having('nowMs'),
  random: having('below'),
}

export const connectOptions = optionsOf('connect', connectChecks)

export const patternOptions = optionsOf<PatternOptions<never>>('subscribe', {
  from: fromOf as Check<SubjectFrom>,
  codec,
  order: word(orders),
  signal,
})
