/**
 * How long next members fetch in advance. What is published meanwhile has to be fetched too, so it goes in rounds, each of what
 * came during the one before: as long as they get shorter, waiting pays. What is left then is fetched while the epoch stands
 * still, and takes about as long as the last round; so that one has to be short.
 *
 * Source: section 9.3 (transfer in advance). Departs from it: the paper does not say when to stop.
 */
import type { Limits } from '../host.ts'
import type { ServerTimers } from '../timers.ts'

/** A round of so many ticks is as short as it needs to be. */
const shortTicks = 2
/** Rounds that are not clearly shorter than the one before, until what is left is taken as it is, or the plan fails. */
const stuckRoundsMax = 4
/** What a round has to be of the one before. */
const shrinkingPart = 0.75

export type RoundVerdict = 'enough' | 'again' | 'hopeless'

export class Rounds {
  readonly #limits: Limits
  readonly #timers: Pick<ServerTimers, 'now'>
  #beganAt: number
  #ticksBefore = Number.POSITIVE_INFINITY
  #stuckRounds = 0

  constructor(limits: Limits, timers: Pick<ServerTimers, 'now'>) {
    this.#limits = limits
    this.#timers = timers
    this.#beganAt = timers.now
  }

  /** Everything that was asked for at the beginning of this round is there; the next one begins. */
  ended(): RoundVerdict {
    const { now } = this.#timers
    const [ticks, before] = [now - this.#beganAt, this.#ticksBefore]
    this.#beganAt = now
    this.#ticksBefore = ticks
    if (ticks <= shortTicks) return 'enough'
    if (ticks < before * shrinkingPart) return 'again'
    if (++this.#stuckRounds < stuckRoundsMax) return 'again'
    return ticks <= this.#limits.stageTicks ? 'enough' : 'hopeless'
  }
}
