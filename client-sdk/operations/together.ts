/**
 * Several topics read as one causal stream: what a message of one topic names of another is given before it, as far as the
 * other is read here too, after its start.
 */
import type { MessageId, TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Follower } from '../follower.ts'
import { type Cause, type Gate, lostBeyond } from '../orders/order-filter.ts'
import type { Subscription } from './subscribe.ts'

export class Together implements Gate {
  readonly #subscriptions = new Map<TopicName, Subscription>()
  readonly #follower: (topic: TopicName) => Follower

  constructor(follower: (topic: TopicName) => Follower) {
    this.#follower = follower
  }

  add(subscription: Subscription): void {
    this.#subscriptions.set(subscription.topic, subscription)
  }

  covers(cause: Cause): boolean {
    return this.#subscriptions.get(cause.topic)?.covers(cause) ?? true
  }

  lostOf(cause: Cause): readonly MessageId[] {
    const closing = this.#follower(cause.topic).decisionOf(cause.epoch)?.closing
    return closing === undefined ? [] : lostBeyond(cause, closing)
  }

  miss(cause: Cause, out: Effect[]): void {
    this.#subscriptions.get(cause.topic)?.miss(cause, out)
  }

  /**
   * The end of a turn: who waits for a topic that has gone on looks again, until nothing moves. That is also the topic itself, which
   * may wait for its own messages by way of another one.
   */
  settle(out: Effect[]): void {
    for (let isMoving = true; isMoving; ) {
      isMoving = false
      for (const one of this.#subscriptions.values()) {
        if (!one.hasGoneOn) continue
        one.hasGoneOn = false
        isMoving = true
        for (const other of this.#subscriptions.values()) other.recheck(out)
      }
    }
  }
}
