/** What clients of a virtual world do, and every step of how it went. */
import type { Position } from '../../client-sdk/cursor.ts'
import type { StartAt } from '../../client-sdk/operations/delivery.ts'
import type { Durability } from '../../client-sdk/operations/reading.ts'
import type { Decision, Order } from '../../proto/configuration.ts'
import type { ErrorCode } from '../../proto/errors.ts'
import type { Epoch, MessageId } from '../../proto/ids.ts'
import type { GetLevel, MessageOf } from '../../proto/wire/messages.ts'

/** One message as somebody was given it. */
export interface Given {
  readonly id: MessageId
  readonly value: string
}

export type Step =
  /** The epoch is that of the client's latest notification (Definition 2), null before the first. */
  | { readonly kind: 'invoked'; readonly epoch: Epoch | null }
  | { readonly kind: 'added'; readonly id: MessageId; readonly status: 'durable' | 'included' | 'dropped' }
  | { readonly kind: 'got'; readonly epoch: Epoch; readonly floor: Epoch; readonly given: readonly Given[] }
  | {
      readonly kind: 'delivered'
      readonly given: Given
      /** In total order: its place. */
      readonly position?: number
      /** Not durable yet. */
      readonly early?: boolean
      /** Causes that were dropped. */
      readonly lost?: readonly MessageId[]
    }
  | { readonly kind: 'confirmed' | 'retracted'; readonly id: MessageId }
  | { readonly kind: 'flushed'; readonly durableCount: number; readonly dropped: readonly MessageId[] }
  /** What is in it was before the start. */
  | { readonly kind: 'position'; readonly position: Position }
  | { readonly kind: 'epoch'; readonly decision: Decision; readonly included: number; readonly dropped: number }
  | { readonly kind: 'gap'; readonly from: Epoch; readonly to: Epoch }
  | { readonly kind: 'notified'; readonly epoch: Epoch }
  | { readonly kind: 'phase'; readonly phase: string; readonly detail?: string }
  | { readonly kind: 'changed'; readonly message: MessageOf<'changed'> }
  | { readonly kind: 'outcome'; readonly outcome: 'durable' | 'included' | 'dropped' | 'pending' | 'expired' }
  | { readonly kind: 'located'; readonly message: MessageOf<'located'> }
  | { readonly kind: 'refused'; readonly message: MessageOf<'refused'> }
  | { readonly kind: 'failed'; readonly code: ErrorCode; readonly text: string }

/** How a subscription reads. */
export interface AskedReading {
  readonly order: Order | null
  readonly durability: Durability
  readonly startAt: StartAt
  /** Name that the subscriptions share that are read as one stream. */
  readonly together?: string
}

export type OperationKind = 'create' | 'add' | 'get' | 'subscribe' | 'follow' | 'reconfigure' | 'outcome' | 'flush'

export class Operation {
  readonly number: number
  readonly kind: OperationKind
  readonly client: string
  readonly topic: string
  /** Value, change id, subscription's name: what people call it. */
  readonly label: string
  readonly level: GetLevel | null
  readonly steps: Step[] = []
  /** Of a subscription: what was asked for. */
  reading: AskedReading | null = null
  over = false
  readonly #told: (operation: Operation, step: Step) => void

  constructor(
    of: Pick<Operation, 'number' | 'kind' | 'client' | 'topic' | 'label' | 'level'>,
    told: (operation: Operation, step: Step) => void,
  ) {
    this.number = of.number
    this.kind = of.kind
    this.client = of.client
    this.topic = of.topic
    this.label = of.label
    this.level = of.level
    this.#told = told
  }

  step(step: Step, isLast = false): void {
    if (this.over) return
    this.over = isLast
    this.steps.push(step)
    this.#told(this, step)
  }
}
