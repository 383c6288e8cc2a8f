/**
 * The topics of one server by whether lost clients find them. The coordinator of an epoch notes it with the arbiters and may be gone
 * before they keep it, or all of them lose power in that moment. So each member notes the epoch that it is in after a while, once in
 * each process.
 */
import type { Epoch, TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Registry } from '../engines/engine.ts'
import type { Limits } from '../host.ts'
import type { Replica } from './replica.ts'

/** Topics that are looked at in each tick: a server of ten thousand has noted them all five seconds after its start. */
const topicsPerTick = 20
/** Time for whoever made the epoch to note it. */
const patienceTicks = 50

interface Entry {
  readonly epoch: Epoch
  /** Tick at which it is to be noted, again if nobody answered. */
  due: number
  isNoted: boolean
}

export class Noting {
  readonly #registry: Registry
  readonly #limits: Limits
  readonly #entries = new Map<TopicName, Entry>()
  #ticks = 0
  /** Next of the list to be looked at. */
  #at = 0

  constructor(registry: Registry, limits: Limits) {
    this.#registry = registry
    this.#limits = limits
  }

  tick(replicas: readonly Replica[], out: Effect[]): void {
    this.#ticks++
    for (let count = Math.min(topicsPerTick, replicas.length); count > 0; count--) {
      const replica = replicas[this.#at % replicas.length]
      this.#at = (this.#at + 1) % replicas.length
      if (replica !== undefined) this.#look(replica, out)
    }
  }

  #look({ phase, state }: Replica, out: Effect[]): void {
    if (state.opened === null || phase === 'closed') return
    const { configuration } = state.opened
    const known = this.#entries.get(state.topic)
    if (known === undefined || known.epoch !== configuration.epoch) {
      const due = this.#ticks + patienceTicks
      this.#entries.set(state.topic, { epoch: configuration.epoch, due, isNoted: false })
      return
    }
    if (known.isNoted || this.#ticks < known.due) return
    known.due = this.#ticks + this.#limits.planTicks
    const noted = () => {
      known.isNoted = true
    }
    this.#registry.note(configuration, noted, out)
  }
}
