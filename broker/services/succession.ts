/**
 * Notices that an epoch of order `total` has no sequencer any more: its process is gone, or its server does not answer, while
 * messages wait for a place. Then the epoch is ended, and the next one has another sequencer. Every member watches, after a
 * patience of its own, so that they do not rival; one of them wins.
 */
import { type Configuration, type Intent, isMember, type Member, maySucceed } from '../../proto/configuration.ts'
import { sequencerPublisher } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Host, Limits } from '../host.ts'
import { place } from '../membership/placement.ts'
import type { Holdings } from '../replica/holdings.ts'
import type { Sequencer } from './sequencer.ts'

/**
 * Ticks that a member of a fault-recovery epoch is silent before another takes its place. A process that has just started has heard of
 * nobody yet, and what moves to a spare is the whole history.
 */
const missingTicksMin = 250

export class Succession {
  readonly #host: Host
  readonly #limits: Limits
  /** The epoch that is watched, and where its sequencer was when it was heard of last. */
  #epoch = 0
  #recordsEnd = 0
  #silentTicks = 0
  #patience = 0
  /** How long not all members have answered. */
  #missingTicks = 0

  constructor(host: Host, limits: Limits) {
    this.#host = host
    this.#limits = limits
  }

  /** @param serving the epoch that takes stores here; `sequencer`: of this process */
  tick(serving: Configuration | null, holdings: Holdings, sequencer: Sequencer | null, out: Effect[]): void {
    if (serving?.sequencer === undefined) return
    const isWhole = serving.members.every(({ name }) => this.#host.isAlive(name))
    this.#missingTicks = isWhole ? 0 : this.#missingTicks + 1
    const recordsEnd = holdings.endOf(sequencerPublisher)
    if (serving.epoch !== this.#epoch || recordsEnd !== this.#recordsEnd) {
      this.#epoch = serving.epoch
      this.#recordsEnd = recordsEnd
      this.#rest()
      return
    }
    if (sequencer === null && serving.sequencer === this.#host.self.name) {
      // The process that opened the epoch is gone: nobody will ever order in it again.
      this.#silentTicks += this.#limits.sequencerTicks
    } else if (sequencer !== null ? sequencer.blockedTicks < this.#limits.sequencerTicks : !holdings.hasUnordered) {
      this.#silentTicks = 0
      return
    }
    if (++this.#silentTicks < this.#patience) return
    this.#rest()
    const members = this.#nextMembers(serving)
    if (members === null) return
    const { topic, epoch, mode, decider, membersMin, order } = serving
    const intent: Intent = { changeId: `sequence-${epoch}`, members, mode, decider, membersMin, order }
    this.#host.coordinate(topic, intent, out)
  }

  /** Not at once and not at the same time as the others; and again after a while, should nothing come of it. */
  #rest(): void {
    this.#silentTicks = 0
    this.#patience = this.#limits.sequencerTicks + this.#host.random.below(this.#limits.sequencerTicks)
  }

  /** The same; where every member is needed and one stays away, another in its place, or none while two are left. */
  #nextMembers(serving: Configuration): readonly Member[] | null {
    const alive = serving.members.filter(({ name }) => this.#host.isAlive(name))
    if (serving.mode === 'fault-masking' || alive.length === serving.members.length) return serving.members
    if (this.#missingTicks < missingTicksMin) return null
    const spares = this.#host.alive().filter(({ name }) => !isMember(serving, name))
    const members = [...alive, ...place(serving.topic, spares, serving.members.length - alive.length)]
    return maySucceed(serving, members) ? members : null
  }
}
