/** What the operations of a topic can be told. */
import type { Order } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import type { Epoch } from '../proto/ids.ts'
import type { GetLevel } from '../proto/wire/messages.ts'
import type { Codec } from './codecs.ts'
import type { Cursor } from './cursor.ts'
import type { GroupLimits } from './groups/stream.ts'
import type { Durability, Reading } from './operations/reading.ts'
import { alone } from './orders/order-filter.ts'
import type { AllProperties, Properties } from './properties.ts'
import type { From } from './replay.ts'
import type { Message } from './stream.ts'
import type { WaitOptions } from './waiting.ts'

export interface PublishOptions extends WaitOptions, Properties {
  /**
   * What happens when the epoch ends and its closing set does not hold the message: `republish` (default) adds it again in the
   * next epoch, `settle` resolves with status `dropped`.
   */
  readonly onEpochEnd?: 'republish' | 'settle'
}

/** With what requests and replies carry: the properties of a message may be published again as they are. */
export type AnyPublishOptions = PublishOptions & AllProperties

export interface GetOptions extends WaitOptions {
  readonly level?: GetLevel
  /** Leaves out what came before this cursor. */
  readonly since?: Cursor
}

export interface SubscribeOptions {
  /**
   * `start`: everything that is kept; `new` (default): what becomes durable from now on; a cursor; `{ time }`: what was published
   * then or later, by the publishers' clocks; `{ epoch }`: an epoch, which is waited for when it has not begun.
   */
  readonly from?: From
  /**
   * - none, fifo (what is given without it): each publisher's messages in the order of its calls
   * - causal: and after everything that its publisher had been given or had sent
   * - total: the same sequence for every subscriber, with positions; follows the other two
   *
   * The topic must offer it: its own order, or one before it.
   */
  readonly order?: Order
  /**
   * `durable` (default): once the quorum has it on disk. `early`: on arrival; a `confirmed` or a `retracted` event follows. Not
   * with order `total`.
   */
  readonly durability?: Durability
  readonly signal?: AbortSignal
}

export interface Received<T> {
  readonly messages: readonly Message<T>[]
  readonly cursor: Cursor
  /** First epoch whose messages are still kept. */
  readonly floor: Epoch
}

export interface GroupOptions extends GroupLimits {
  /** Where a group begins that has never been joined, `new` by default; afterwards it goes on where it was. */
  readonly from?: From
}

export interface RequestOptions<R> extends WaitOptions, Properties {
  readonly codec?: Codec<R>
}

export interface RespondOptions<R> extends Omit<GroupOptions, 'ack'> {
  readonly codec?: Codec<R>
  /** Name of the group of responders, `responders` by default. */
  readonly group?: string
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` for what cannot be read that way */
export function readingOf({ order, durability }: Pick<SubscribeOptions, 'order' | 'durability'>): Reading {
  if (order === 'total' && durability === 'early') {
    throw new EpochcastError('EC_BAD_ARGUMENT', 'a message has no place in total order before it is durable', {
      hint: 'read it in order causal, or durable',
    })
  }
  return { order: order ?? null, durability: durability ?? 'durable', gate: alone }
}
