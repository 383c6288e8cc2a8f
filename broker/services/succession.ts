/**
 * Notices that an epoch of order `total` has no sequencer any more: its process is gone, or its server does not answer, while
 * messages wait for a place. Then the epoch is ended, and the next one has another sequencer. Every member watches, after a
 * patience of its own, so that they do not rival; one of them wins.
 */
import { type Configuration, type Intent, isMember, type Member, maySucceed } from '../../proto/configuration.ts'
import { sequencerPublisher, type TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { Host, Limits } from '../host.ts'
import { place } from '../membership/placement.ts'
import type { Holdings } from '../replica/holdings.ts'
import type { Sequencer } from './sequencer.ts'

/**
 * Ticks that a member of a fault-recovery epoch is silent before another takes its place. A process that has just started has heard of
 * nobody yet, and what moves to a spare is the whole history.
 */
const missingTicksMin = 250

/** Ticks between two looks while messages may wait for their place. */
const lookTicks = 10

/** What is watched: the epoch that takes stores here, and its sequencer where it is of this process. */
export interface Watched {
  readonly serving: Configuration
  readonly holdings: Holdings
  readonly sequencer: Sequencer | null
}

export class Succession {
  readonly #host: Host
  readonly #limits: Limits
  readonly #looking: Timer
  /** The epoch that is watched, and where its sequencer was when it was heard of last. */
  #epoch = 0
  #recordsEnd = 0
  /** Tick since which messages wait and the sequencer says nothing; null while none wait. */
  #silentSince: number | null = null
  #patience = 0
  /** Tick since which not all members answer. */
  #missingSince: number | null = null

  /** @param watched null where no epoch with a sequencer takes stores here */
  constructor(topic: TopicName, host: Host, limits: Limits, watched: () => Watched | null) {
    this.#host = host
    this.#limits = limits
    this.#looking = host.timers.timer('sequencer-silent', topic, (out) => {
      const now = watched()
      if (now !== null) this.#look(now, out)
    })
  }

  /** Another epoch takes stores here, or a server has fallen silent, or answers again. */
  serversChanged({ serving }: Watched): void {
    const isWhole = serving.members.every(({ name }) => this.#host.isAlive(name))
    if (isWhole) this.#missingSince = null
    else this.#missingSince ??= this.#host.timers.now
    this.#looking.setIfStopped(lookTicks)
  }

  /** The end of a turn in which something was stored. */
  settle(): void {
    this.#looking.setIfStopped(lookTicks)
  }

  #look({ serving, holdings, sequencer }: Watched, out: Effect[]): void {
    const { now } = this.#host.timers
    // The process that opened the epoch is gone: nobody will ever order in it again.
    const isLost = sequencer === null && serving.sequencer === this.#host.self.name
    const recordsEnd = holdings.endOf(sequencerPublisher)
    if (!isLost && (serving.epoch !== this.#epoch || recordsEnd !== this.#recordsEnd)) this.#rest()
    this.#epoch = serving.epoch
    this.#recordsEnd = recordsEnd
    const waits = isLost || (sequencer !== null ? sequencer.blockedSince !== null : holdings.hasUnordered)
    if (!waits) {
      this.#silentSince = null
      return
    }
    this.#looking.set(lookTicks)
    // One of this process waits for a cause that is not here: for that long it is nobody's silence.
    const since = sequencer === null ? now : (sequencer.blockedSince ?? now) + this.#limits.sequencerTicks
    this.#silentSince = Math.max(this.#silentSince ?? since, sequencer === null ? 0 : since)
    if (!isLost && now - this.#silentSince < this.#patience) return
    this.#rest()
    const members = this.#nextMembers(serving)
    if (members === null) return
    const { topic, epoch, mode, decider, membersMin, order } = serving
    const intent: Intent = { changeId: `sequence-${epoch}`, members, mode, decider, membersMin, order }
    this.#host.coordinate(topic, intent, out)
  }

  /** Not at once and not at the same time as the others; and again after a while, should nothing come of it. */
  #rest(): void {
    this.#silentSince = null
    this.#patience = this.#limits.sequencerTicks + this.#host.random.below(this.#limits.sequencerTicks)
  }

  /** The same; where every member is needed and one stays away, another in its place, or none while two are left. */
  #nextMembers(serving: Configuration): readonly Member[] | null {
    const alive = serving.members.filter(({ name }) => this.#host.isAlive(name))
    if (serving.mode === 'fault-masking' || alive.length === serving.members.length) return serving.members
    const { now } = this.#host.timers
    if (now - (this.#missingSince ?? now) < missingTicksMin) return null
    const spares = this.#host.alive().filter(({ name }) => !isMember(serving, name))
    const members = [...alive, ...place(serving.topic, spares, serving.members.length - alive.length)]
    return maySucceed(serving, members) ? members : null
  }
}
