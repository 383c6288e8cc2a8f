/**
 * Spreads the steps over the stream: each has its part of the lines, which flow as long as the step takes, ever slower towards
 * the part's end; the next part begins when the step is made.
 */
const slicesPerPart = 80
const slowing = 100

export class Pace {
  readonly #total: number
  readonly #parts: number
  #part = 0
  #isStepRunning = false

  constructor(total: number, steps: number) {
    this.#total = total
    this.#parts = steps + 1
  }

  /** Lines that may go now, after `published` of them. */
  slice(published: number): number {
    const left = this.#endOf(this.#part) - published
    const steady = Math.ceil(this.#total / this.#parts / slicesPerPart)
    return Math.max(0, Math.min(left, steady, this.#isStepRunning ? Math.ceil(left / slowing) : left))
  }

  /** The part before the next step has been published. */
  isStepDue(published: number): boolean {
    return !this.#isStepRunning && published >= this.#endOf(this.#part)
  }

  begin(): void {
    this.#part++
    this.#isStepRunning = true
  }

  made(): void {
    this.#isStepRunning = false
  }

  #endOf(part: number): number {
    return Math.round((this.#total * (part + 1)) / this.#parts)
  }
}
