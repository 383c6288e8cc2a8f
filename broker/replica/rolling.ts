/**
 * An epoch admits a bounded number of publishers: it is ended, with the same configuration, before that bound is reached. All
 * members notice; one of them wins.
 */
import type { Configuration } from '../../proto/configuration.ts'
import type { Epoch } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Host, Limits } from '../host.ts'

export class Rolling {
  readonly #host: Host
  readonly #limits: Limits
  /** The crowded epoch whose end was asked for. */
  #asked: Epoch | null = null
  #ticks = 0

  constructor(host: Host, limits: Limits) {
    this.#host = host
    this.#limits = limits
  }

  /** @param serving the epoch that takes stores here, if it is crowded */
  tick(serving: Configuration | null, out: Effect[]): void {
    this.#ticks++
    if (serving === null) return
    // A roll that was asked for and has not happened is asked for again after a while.
    if (this.#asked === serving.epoch && this.#ticks < this.#limits.planTicks) return
    this.#asked = serving.epoch
    this.#ticks = 0
    const { topic, epoch, members, mode, decider, membersMin, order } = serving
    this.#host.coordinate(topic, { changeId: `roll-${epoch}`, members, mode, decider, membersMin, order }, out)
  }
}
