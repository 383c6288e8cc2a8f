/**
 * How a proposer gives way: each time that a rival was ahead, or that nothing moved, it waits up to twice as long before the next
 * round, and is patient for twice as long in it. Where frames and flushes take longer than any fixed pause, rivals with fixed pauses
 * outrank each other for ever.
 */
import type { Random } from '../../proto/machine/ports.ts'

/** Pauses grow to 32 times the first. */
const pauseDoublings = 5
/** Patience grows to eight times the first. */
const patienceDoublings = 3

export class Rivalry {
  readonly #random: Random
  readonly #firstTicks: number
  #rounds = 0

  /** @param firstTicks the longest first pause */
  constructor(random: Random, firstTicks: number) {
    this.#random = random
    this.#firstTicks = firstTicks
  }

  /** One more round came to nothing. @returns ticks until the next one, at random */
  pause(): number {
    const longest = this.#firstTicks * 2 ** Math.min(this.#rounds, pauseDoublings)
    this.#rounds++
    return 1 + this.#random.below(longest)
  }

  /** A patience of so many ticks, as it is by now. */
  patience(ticks: number): number {
    return grown(ticks, this.#rounds)
  }
}

/** A patience of so many ticks after so many rounds or requests that came to nothing. */
export function grown(ticks: number, failures: number): number {
  return ticks * 2 ** Math.min(failures, patienceDoublings)
}
