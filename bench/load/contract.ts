/** What is said between a benchmark and the processes that make its load. */
import type { GapsData } from '../measure/gaps.ts'
import type { HistogramData } from '../measure/histogram.ts'
import type { Failed, Range } from './seen.ts'
import type { TargetSpec } from './target.ts'

export type PublishApi = 'publish' | 'publishMany'

export interface PublisherSpec {
  readonly role: 'publisher'
  readonly target: TargetSpec
  readonly topics: number
  /** Clients in this process, and the number of the first one among all. */
  readonly clients: number
  readonly firstClient: number
  readonly payloadBytes: number
  /** Messages per second of this process; null: as many as a window of pending ones allows. */
  readonly rate: number | null
  /** Pending messages per client. */
  readonly window: number
  readonly api: PublishApi
}

export interface SubscriberSpec {
  readonly role: 'subscriber'
  readonly target: TargetSpec
  readonly payloadBytes: number
  /** Subscriptions in this process. */
  readonly readers: number
}

/** Moments of the common clock, in microseconds; what is measured lies between the two latter ones. */
export interface Plan {
  readonly startUs: number
  readonly measureFromUs: number
  /** Null: until it is told to stop. */
  readonly endUs: number | null
}

export type ToWorker =
  | { readonly kind: 'open'; readonly spec: PublisherSpec | SubscriberSpec }
  | { readonly kind: 'go'; readonly plan: Plan }
  | { readonly kind: 'stop' }
  /** To a subscriber: so many messages of each stream have been published; how many of them came? */
  | {
      readonly kind: 'settle'
      readonly published: readonly (readonly [stream: number, count: number])[]
      readonly excused: number
    }
  | { readonly kind: 'end' }

export interface PublisherResult {
  readonly kind: 'published'
  readonly published: readonly (readonly [stream: number, count: number])[]
  readonly acked: number
  readonly refused: number
  readonly unknown: number
  readonly failed: readonly Failed[]
  /** The first failure, in words. */
  readonly failure: string | null
  readonly latency: HistogramData
  /** How much later than due a message was sent. */
  readonly lateness: HistogramData
  readonly gaps: GapsData
  readonly slices: readonly number[]
  readonly failureSlices: readonly number[]
}

export interface SubscriberResult {
  readonly kind: 'subscribed'
  readonly readers: readonly {
    readonly distinct: number
    readonly duplicated: number
    readonly disordered: number
    readonly foreign: number
    readonly missing: readonly Range[]
  }[]
  readonly latency: HistogramData
  readonly gaps: GapsData
  readonly slices: readonly number[]
}

export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string }
  | { readonly kind: 'count'; readonly published: number; readonly settled: number }
  | PublisherResult
  | SubscriberResult
