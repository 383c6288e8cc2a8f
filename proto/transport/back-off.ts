import type { Address } from '../ids.ts'

const firstMs = 25
const longestMs = 1_000
const addressesMax = 1_024

interface Failure {
  readonly waitMs: number
  readonly untilMs: number
}

/** Keeps an endpoint from dialling an address again and again that does not answer: 25 ms, doubling to 1 s. */
export class BackOff {
  readonly #failures = new Map<Address, Failure>()

  /** @param nowMs monotonic time, as in both other places */
  waiting(address: Address, nowMs: number): boolean {
    const failure = this.#failures.get(address)
    return failure !== undefined && nowMs < failure.untilMs
  }

  failed(address: Address, nowMs: number): void {
    const before = this.#failures.get(address)
    const waitMs = before === undefined ? firstMs : Math.min(before.waitMs * 2, longestMs)
    this.#failures.delete(address)
    this.#failures.set(address, { waitMs, untilMs: nowMs + waitMs })
    if (this.#failures.size <= addressesMax) return
    for (const oldest of this.#failures.keys()) {
      this.#failures.delete(oldest)
      return
    }
  }

  succeeded(address: Address): void {
    this.#failures.delete(address)
  }
}
