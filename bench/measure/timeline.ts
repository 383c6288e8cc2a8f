/** How much happened when, in slices of 10 ms from a moment on. */
export const sliceUs = 10_000
const slicesMax = 3_600_000_000 / sliceUs

export class Timeline {
  readonly fromUs: number
  #slices = new Float64Array(1024)
  #length = 0

  constructor(fromUs: number) {
    this.fromUs = fromUs
  }

  add(atUs: number, count: number): void {
    const slice = Math.floor((atUs - this.fromUs) / sliceUs)
    if (slice < 0 || slice >= slicesMax) return
    if (slice >= this.#slices.length) {
      const larger = new Float64Array(Math.max(this.#slices.length * 2, slice + 1))
      larger.set(this.#slices)
      this.#slices = larger
    }
    this.#slices[slice] = (this.#slices[slice] ?? 0) + count
    this.#length = Math.max(this.#length, slice + 1)
  }

  slices(): number[] {
    return Array.from(this.#slices.subarray(0, this.#length))
  }
}

/** Adds up timelines that begin at the same moment. */
export function sumSlices(parts: readonly (readonly number[])[]): number[] {
  const total: number[] = []
  for (const part of parts) {
    for (const [at, count] of part.entries()) total[at] = (total[at] ?? 0) + count
  }
  return total
}

/** What happened from one moment to another, in microseconds since the slices began; a slice that is cut counts by its share. */
export function countBetween(slices: readonly number[], fromUs: number, toUs: number): number {
  let count = 0
  const last = Math.min(slices.length - 1, Math.floor(toUs / sliceUs))
  for (let at = Math.max(0, Math.floor(fromUs / sliceUs)); at <= last; at++) {
    const within = Math.min(toUs, (at + 1) * sliceUs) - Math.max(fromUs, at * sliceUs)
    if (within > 0) count += ((slices[at] ?? 0) * within) / sliceUs
  }
  return count
}
