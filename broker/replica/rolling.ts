/**
 * An epoch admits a bounded number of publishers: it is ended, with the same configuration, before that bound is reached. All
 * members notice; one of them wins.
 */
import type { Configuration } from '../../proto/configuration.ts'
import type { TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { Host, Limits } from '../host.ts'

export class Rolling {
  readonly #host: Host
  readonly #limits: Limits
  readonly #asking: Timer

  /** @param crowded the epoch that takes stores here, if it is crowded */
  constructor(topic: TopicName, host: Host, limits: Limits, crowded: () => Configuration | null) {
    this.#host = host
    this.#limits = limits
    this.#asking = host.timers.timer('roll', topic, (out) => this.#ask(crowded(), out))
  }

  /** The end of a turn in which the epoch was crowded. */
  settle(): void {
    this.#asking.setIfStopped(1)
  }

  #ask(crowded: Configuration | null, out: Effect[]): void {
    if (crowded === null) return
    // A roll that was asked for and has not happened is asked for again after a while.
    this.#asking.set(this.#limits.planTicks)
    const { topic, epoch, members, mode, decider, membersMin, order } = crowded
    this.#host.coordinate(topic, { changeId: `roll-${epoch}`, members, mode, decider, membersMin, order }, out)
  }
}
