/**
 * What one seed draws, as data: the whole decision trace of a run, every draw under its name. A plan is a history: the same
 * plan gives the same events. Shrinking takes parts of it away.
 */
import type { Durability } from '../../client-sdk/operations/reading.ts'
import type { Decider, Mode, Order } from '../../proto/configuration.ts'
import type { Sync } from '../../proto/sync.ts'
import type { GetLevel } from '../../proto/wire/messages.ts'
import type { FaultId } from './fault-classes.ts'

export const planFormat = 2

/** Times are milliseconds of virtual time since the first epoch was open. */
export interface Plan {
  readonly format: typeof planFormat
  readonly seed: number
  readonly servers: readonly string[]
  readonly arbiters: readonly string[]
  readonly topic: PlannedTopic
  /** Another one beside it, `u`; null in most seeds. */
  readonly second: PlannedTopic | null
  /** An engine outside of the cluster that every server has, and what it decides: some epochs, or new topics, too. */
  readonly engine: 'none' | 'beside' | 'founding'
  readonly disks: 'records' | 'segments'
  /** How servers flush that do not flush before each acknowledgement; left out where all do. */
  readonly sync?: Readonly<Record<string, Sync>>
  readonly delays: Delays
  /** Whether servers replace dead members by themselves; left out where they do not. */
  readonly replacesDead?: boolean
  /** Speed of time by server. */
  readonly drift: Readonly<Record<string, number>>
  readonly clock: 'steady' | 'jumps' | 'strobe'
  readonly operations: readonly PlannedOperation[]
  readonly faults: readonly PlannedFault[]
  /** When faults end. */
  readonly healAt: number
  /** Servers that stay dead after that, as far as the rest satisfies the liveness condition. */
  readonly deadForGood: readonly string[]
}

export interface PlannedTopic {
  readonly mode: Mode
  readonly decider: Decider
  readonly members: readonly string[]
  readonly membersMin: number
  readonly order: Order
}

export const topicNames = ['t', 'u'] as const
/** What operations name: the first topic, or the second. */
export type PlannedTopicName = (typeof topicNames)[number]
/** How a plan calls its outside engine. */
export const engineName = 'main'

export interface Delays {
  /** A frame takes from `least` to `most`; one in `tailOneIn` (0: none) up to `tail`. */
  readonly least: number
  readonly most: number
  readonly tailOneIn: number
  readonly tail: number
  readonly flushLeast: number
  readonly flushMost: number
}

export type PlannedOperation = {
  readonly at: number
  readonly client: string
  /** The first topic without it. */
  readonly topic?: PlannedTopicName
} & (
  | {
      readonly do: 'add'
      readonly value: string
      readonly onEpochEnd: 'republish' | 'settle'
      /** Milliseconds after which its caller gives up; it never does without. */
      readonly patience?: number
    }
  /** An add once a subscription of this client is given something: it has a cause. */
  | { readonly do: 'answer'; readonly value: string }
  | { readonly do: 'get'; readonly level: GetLevel }
  | {
      readonly do: 'subscribe'
      readonly from: 'start' | 'new'
      /** What every topic gives, without it. */
      readonly order?: Order
      readonly durability?: Durability
    }
  /** Both topics as one causal stream. */
  | { readonly do: 'together'; readonly from: 'start' | 'new' }
  /** Asks what became of an earlier value of any client. */
  | { readonly do: 'outcome'; readonly of: string }
  | {
      readonly do: 'reconfigure'
      readonly change: string
      readonly by: readonly string[]
      readonly members: readonly string[]
      readonly mode: Mode
      readonly decider: Decider
      readonly membersMin: number
      /** As it is, without it. */
      readonly order?: Order
    }
  /** Asks for an earlier change again, by its id. */
  | { readonly do: 'ask-again'; readonly change: string; readonly by: readonly string[] }
)

/** When a fault comes: at a moment, or the `count`-th time that somebody passes a point. */
export type Trigger =
  | { readonly at: number }
  | {
      readonly point: {
        readonly moment: 'before' | 'after'
        readonly what: 'send' | 'persist' | 'flush'
        /** Any server without it. */
        readonly id?: string
        readonly kind?: string
      }
      readonly count: number
    }

export interface PlannedFault {
  readonly id: FaultId
  readonly when: Trigger
  /** Whom it strikes; empty: whoever passes the point. */
  readonly targets: readonly string[]
  /** How long it lasts, in milliseconds; for a crash, until the restart. */
  readonly lasts: number
  /** Of rates: one in so many frames. */
  readonly oneIn?: number
  /** Of old disks: when the copy is made that a server comes back with. */
  readonly copyAt?: number
  /** How often all servers are killed. */
  readonly cycles?: number
}

export function triggerText(when: Trigger): string {
  if ('at' in when) return `at ${when.at} ms`
  const { moment, what, id, kind } = when.point
  return `${moment} ${what}${kind === undefined ? '' : ` of ${kind}`} ${when.count} of ${id ?? 'anybody'}`
}
