/**
 * Lost clients find a topic by what the arbiters keep. The coordinator of an epoch notes it there and may be gone before they keep it,
 * or all of them lose power in that moment. So each member notes the epoch that it is in after a while, once in each process.
 */
import type { Configuration } from '../../proto/configuration.ts'
import type { Epoch, TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { Host, Limits } from '../host.ts'

/** Topics that are noted in each tick: a server of ten thousand has noted them all five seconds after its start. */
const topicsPerTick = 20
/** Time for whoever made the epoch to note it. */
const patienceTicks = 50

export class Noting {
  readonly #host: Host
  readonly #limits: Limits
  readonly #noting: Timer
  /** The epoch that is noted, or will be. */
  #epoch: Epoch | null = null
  #isNoted = false

  /** @param open the configuration of the epoch that is opened here and not closed */
  constructor(topic: TopicName, host: Host, limits: Limits, open: () => Configuration | null) {
    this.#host = host
    this.#limits = limits
    this.#noting = host.timers.timer('note', topic, (out) => this.#note(open(), out))
  }

  /** The end of a turn with this epoch open. */
  settle(epoch: Epoch): void {
    if (epoch === this.#epoch) return
    this.#epoch = epoch
    this.#isNoted = false
    this.#noting.set(patienceTicks + this.#host.random.below(1 + Math.floor(this.#host.topicCount() / topicsPerTick)))
  }

  /** Again, where nobody answered. */
  #note(open: Configuration | null, out: Effect[]): void {
    if (this.#isNoted || open === null || open.epoch !== this.#epoch) return
    this.#noting.set(this.#limits.planTicks)
    const noted = () => {
      if (open.epoch !== this.#epoch) return
      this.#isNoted = true
      this.#noting.stop()
    }
    this.#host.note(open, noted, out)
  }
}
