/** What stands between the messages that a subscription has received and those that it gives out. */
import type { Epoch, MessageId, PublisherId, TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { MessageSet } from '../../proto/message-set.ts'
import type { Batch } from '../../proto/wire/messages.ts'

/** A batch as it is given out. */
export interface Release {
  readonly batch: Batch
  /** Of its messages, at its beginning, so many were given before. */
  readonly skip: number
  /** Place of the batch's first message in the topic's total order, counted from 1; null in other orders. */
  readonly position: number | null
  /** Not durable yet: `confirmed` or `retracted` follows. */
  readonly early: boolean
  /** Causes of its messages that were dropped. */
  readonly lost: readonly MessageId[]
}

/** Messages of one publisher that were given early. */
export interface Run {
  readonly epoch: Epoch
  readonly publisher: PublisherId
  readonly first: number
  readonly last: number
}

/** How messages that were given early end. */
export type Judgement = 'confirmed' | 'retracted'

export interface ReleaseListener {
  give(release: Release): void
  /** What was given early has its judgement: durable, or left out of the closing set. */
  judged(kind: Judgement, run: Run): void
}

/** A cause that something waits for. */
export interface Cause {
  readonly topic: TopicName
  readonly epoch: Epoch
  readonly publisher: PublisherId
  readonly end: number
}

/** Filter of one epoch. Messages of one publisher come and go in sequence. */
export interface OrderFilter {
  /** A batch has been received. */
  take(batch: Batch, skip: number): void
  /** Everything of a publisher up to `end` is durable. */
  durable(publisher: PublisherId, end: number): void
  /** The epoch has ended: what is beyond its closing set is nobody's message, what is in it counts as durable. */
  close(closing: MessageSet): void
  /**
   * Everything of the closing set has been received, or was before the start.
   * @returns false while something waits for another topic
   */
  finish(): boolean
  /** Another topic that something waits for may have gone on. */
  recheck(): void
  /** Up to where a publisher's messages have been given, or were before the start. */
  doneOf(publisher: PublisherId): number
  /** Whether a message of this epoch has been given, or was before the start and so were its causes, here and elsewhere. */
  covers(publisher: PublisherId, end: number): boolean
  /** Whether something may be kept back by a cause, now or once it is durable. */
  readonly isWaiting: boolean
  /** What keeps something back that could be given otherwise; null when nothing does. */
  cause(): Cause | null
  /** How many runs were given early. */
  readonly earlyCount: number
  /** Number of the first of them, counted from 1, that is neither confirmed nor retracted; infinite when all are. */
  oldestUnconfirmed(): number
}

/** Other topics that are read together with this one. */
export interface Gate {
  /** Whether a message of another topic has been given, or never will be. */
  covers(cause: Cause): boolean
  /** Those of a cause that were dropped. */
  lostOf(cause: Cause): readonly MessageId[]
  /** Something has been waiting for it for long. */
  miss(cause: Cause, out: Effect[]): void
}

/** Reads one topic alone: others are not waited for. */
export const alone: Gate = { covers: () => true, lostOf: () => [], miss: () => {} }

/** More of them are not listed by name. */
const lostMax = 100

/** Of what a cause names, what is beyond the closing set of its epoch. */
export function lostBeyond(cause: Cause, closing: MessageSet): MessageId[] {
  const lost: MessageId[] = []
  const begin = (closing.get(cause.publisher)?.end ?? 0) + 1
  for (let number = begin; number <= cause.end && lost.length < lostMax; number++) {
    lost.push({ epoch: cause.epoch, publisher: cause.publisher, sequence: number as MessageId['sequence'] })
  }
  return lost
}
