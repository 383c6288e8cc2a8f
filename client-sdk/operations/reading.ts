/** How a subscription is read: in which order, how early, together with what. */
import { type Configuration, isStamped, type Order, offers } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { MessageSet } from '../../proto/message-set.ts'
import { CausalFilter } from '../orders/causal-filter.ts'
import type { History } from '../orders/history.ts'
import { alone, type Gate, type OrderFilter, type ReleaseListener } from '../orders/order-filter.ts'
import { TotalFilter } from '../orders/total-filter.ts'

export const durabilities = ['durable', 'early'] as const
/** When a message is given: once the quorum has it on disk, or on arrival, to be confirmed or retracted later. */
export type Durability = (typeof durabilities)[number]

export interface Reading {
  /** Null for what every topic gives: each publisher's messages in sequence. */
  readonly order: Order | null
  readonly durability: Durability
  readonly gate: Gate
}

export const plainReading: Reading = { order: null, durability: 'durable', gate: alone }

/** Whether messages wait in a filter for others, rather than for their own durability alone. */
export function isFiltered({ order, durability }: Reading): boolean {
  return durability === 'early' || (order !== null && isStamped(order))
}

/** Whether what is before a start in the middle of an epoch says something about what comes after it. */
export function needsHistory({ order }: Reading): boolean {
  return order !== null && isStamped(order)
}

/** @returns why a topic cannot be read that way, or null */
export function refusalOf({ order }: Reading, configuration: Configuration): EpochcastError | null {
  if (order === null || offers(configuration.order, order)) return null
  return new EpochcastError(
    'EC_ORDER_NOT_OFFERED',
    `${configuration.topic} has order ${configuration.order} in epoch ${configuration.epoch}, and ${order} was asked for`,
    {
      hint: `ask for ${configuration.order} or less, or change it: epochcast reconfig ${configuration.topic} --order ${order}`,
    },
  )
}

/** The filter of one epoch. @param base messages of all epochs before it */
export function filterFor(
  reading: Reading,
  base: number,
  seen: MessageSet,
  history: History | null,
  listener: ReleaseListener,
): OrderFilter {
  const { order, durability, gate } = reading
  if (order !== 'total') {
    const options = { isCausal: order === 'causal', isEarly: durability === 'early', gate, history }
    return new CausalFilter(seen, options, listener)
  }
  const filter = new TotalFilter(base, listener)
  if (history !== null) filter.resume(history, seen)
  return filter
}
