/** Who waits until everything that was given early up to a point is confirmed or retracted. */
import type { OrderFilter } from '../orders/order-filter.ts'

interface Waiting {
  readonly filter: OrderFilter
  readonly upTo: number
  told(): void
}

export class Confirming {
  #waiting: readonly Waiting[] = []

  /** @param filter of the epoch that is being read; null where nothing is given early */
  wait(filter: OrderFilter | null, told: () => void): void {
    if (filter === null) told()
    else this.#waiting = [...this.#waiting, { filter, upTo: filter.earlyCount, told }]
  }

  /** @param filter of the epoch that is being read now: whatever waited for another one is over */
  wake(filter: OrderFilter | null): void {
    if (this.#waiting.length === 0) return
    const isDone = (one: Waiting) => one.filter !== filter || one.filter.oldestUnconfirmed() > one.upTo
    const done = this.#waiting.filter(isDone)
    this.#waiting = this.#waiting.filter((one) => !done.includes(one))
    for (const { told } of done) told()
  }
}
