/** What a subscription hands to who reads, and where it may start. */
import type { Decision } from '../../proto/configuration.ts'
import type { EpochcastError } from '../../proto/errors.ts'
import type { Epoch, MessageId } from '../../proto/ids.ts'
import type { Batch } from '../../proto/wire/messages.ts'
import type { Position } from '../cursor.ts'
import type { OwnOutcomes } from '../follower.ts'
import type { Run } from '../orders/order-filter.ts'

/** What a subscription hands over, in order. */
export type Delivery =
  | {
      readonly kind: 'batch'
      readonly batch: Batch
      readonly skip: number
      /** Place of the batch's first message in the total order, from 1; null in other orders. */
      readonly position: number | null
      /** Not durable yet. */
      readonly early: boolean
      /** Causes that were dropped. */
      readonly lost: readonly MessageId[]
    }
  /** What was given early is durable now, or was dropped. */
  | { readonly kind: 'confirmed' | 'retracted'; readonly run: Run }
  | { readonly kind: 'epoch'; readonly decision: Decision; readonly own: OwnOutcomes }
  /** Reading begins here: what came before is not given. */
  | { readonly kind: 'position'; readonly position: Position }
  | { readonly kind: 'gap'; readonly from: Epoch; readonly to: Epoch }

/** Who reads; all calls come from the machine, none may take long. */
export interface Consumer {
  deliver(delivery: Delivery): void
  failed(error: EpochcastError): void
}

export type StartAt = 'start' | 'new' | Position
