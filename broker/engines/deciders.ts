/** Which engine decides: the cluster's arbiters, or one outside of it that this server has by its configuration. */
import type { Configuration, Decision } from '../../proto/configuration.ts'
import { type Decider, outsideEngine } from '../../proto/decider.ts'
import type { Epoch, TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { DecisionEngine, Proposal, ProposalListener } from './engine.ts'
import type { OutsideEngines } from './outside.ts'

export class Deciders {
  readonly #arbiters: DecisionEngine
  readonly #outside: OutsideEngines
  readonly #founding: () => Decider

  /** @param founding who decides about new topics of this cluster */
  constructor(arbiters: DecisionEngine, outside: OutsideEngines, founding: () => Decider) {
    this.#arbiters = arbiters
    this.#outside = outside
    this.#founding = founding
  }

  /** Who decides about new topics, for the whole life of the cluster; and where no decider is named, about changes. */
  get founding(): Decider {
    return this.#founding()
  }

  has(decider: Decider): boolean {
    return this.#outside.has(decider)
  }

  /** @throws EpochcastError `EC_NO_DECIDER` where this server cannot ask who decides */
  check(decider: Decider): void {
    const engine = outsideEngine(decider)
    if (engine !== null && !this.#outside.has(decider)) throw this.#outside.unknown(engine.id)
  }

  /** As it goes into a configuration. @throws EpochcastError `EC_NO_DECIDER` where it does not answer */
  resolve(decider: Decider): Decider {
    return this.#outside.resolve(decider)
  }

  /** @throws EpochcastError as `check` does */
  open(decider: Decider, topic: TopicName, epoch: Epoch, listener: ProposalListener, out: Effect[]): Proposal {
    if (outsideEngine(decider) === null) return this.#arbiters.open(topic, epoch, listener, out)
    this.check(decider)
    return this.#outside.open(decider, topic, epoch, listener, out)
  }

  /** Asks an engine outside of the cluster how an epoch ended; elsewhere members know. `done` only where it is decided. */
  learn(of: Configuration, done: (decision: Decision, out: Effect[]) => void, out: Effect[]): void {
    if (outsideEngine(of.decider) !== null) this.#outside.learn(of, done, out)
  }
}
