import type { Outgoing } from './outgoing.ts'

/** One flush of one publisher: what became of the messages that were pending at the call. */
export class FlushTally {
  durableCount = 0
  /** Ids of those that their epoch's closing set does not hold, and that were not to be added again. */
  readonly dropped: string[] = []
  readonly #upTo: number
  #pendingCount: number
  readonly told: (tally: FlushTally) => void

  /** @param upTo messages that were published before the call, `pendingCount` of them without an outcome */
  constructor(upTo: number, pendingCount: number, told: (tally: FlushTally) => void) {
    this.#upTo = upTo
    this.#pendingCount = pendingCount
    this.told = told
  }

  get isDone(): boolean {
    return this.#pendingCount <= 0
  }

  durable(outgoing: Outgoing): void {
    if (outgoing.ordinal < this.#upTo) this.durableCount += outgoing.awaitedCount
  }

  drop(outgoing: Outgoing): void {
    if (outgoing.ordinal < this.#upTo) this.dropped.push(...outgoing.settlingIds())
  }

  ended(outgoing: Outgoing, count: number): void {
    if (outgoing.ordinal < this.#upTo) this.#pendingCount -= count
  }
}
