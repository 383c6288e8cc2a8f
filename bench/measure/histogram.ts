/**
 * Counts of whole microseconds, 0 to an hour, in buckets that are at most 1/64 of their value wide: exact below 128, then 64
 * buckets for each doubling. Recording takes no allocation.
 */
const exactMax = 128
const perDoubling = 64
const bucketCount = 26 * perDoubling + perDoubling
const valueMax = 2 ** 32 - 1

/** As it travels between processes: bucket, count, bucket, count … */
export interface HistogramData {
  readonly cells: readonly number[]
  readonly min: number
  readonly max: number
}

/** In milliseconds; null where nothing was recorded. */
export interface Percentiles {
  readonly p50: number | null
  readonly p99: number | null
  readonly p999: number | null
  readonly max: number | null
}

export class Histogram {
  readonly #counts = new Float64Array(bucketCount)
  #count = 0
  #min = valueMax
  #max = 0

  get count(): number {
    return this.#count
  }

  /** Microseconds; what is below 0 counts as 0. */
  record(valueUs: number, times = 1): void {
    const value = valueUs <= 0 ? 0 : valueUs >= valueMax ? valueMax : Math.round(valueUs)
    const index = bucketOf(value)
    this.#counts[index] = (this.#counts[index] ?? 0) + times
    this.#count += times
    if (value < this.#min) this.#min = value
    if (value > this.#max) this.#max = value
  }

  add(other: Histogram | HistogramData): void {
    const { cells, min, max } = other instanceof Histogram ? other.data() : other
    for (let at = 0; at + 1 < cells.length; at += 2) {
      const [bucket, count] = [cells[at] ?? 0, cells[at + 1] ?? 0]
      this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count
      this.#count += count
    }
    if (cells.length === 0) return
    this.#min = Math.min(this.#min, min)
    this.#max = Math.max(this.#max, max)
  }

  /** The value that so much of all that was recorded (0 to 1) does not exceed, in microseconds; null when there is none. */
  quantile(share: number): number | null {
    if (this.#count === 0) return null
    const wanted = Math.max(1, Math.ceil(share * this.#count))
    let seen = 0
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      seen += this.#counts[bucket] ?? 0
      if (seen < wanted) continue
      const { from, to } = boundsOf(bucket)
      return Math.min(this.#max, Math.max(this.#min, (from + to) / 2))
    }
    return this.#max
  }

  get max(): number | null {
    return this.#count === 0 ? null : this.#max
  }

  percentiles(): Percentiles {
    const ms = (valueUs: number | null) => (valueUs === null ? null : Math.round(valueUs) / 1000)
    return {
      p50: ms(this.quantile(0.5)),
      p99: ms(this.quantile(0.99)),
      p999: ms(this.quantile(0.999)),
      max: ms(this.max),
    }
  }

  /** Non-empty buckets, lowest first; bounds in microseconds, the upper one included. */
  *buckets(): Iterable<{ readonly from: number; readonly to: number; readonly count: number }> {
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const count = this.#counts[bucket] ?? 0
      if (count > 0) yield { ...boundsOf(bucket), count }
    }
  }

  data(): HistogramData {
    const cells: number[] = []
    for (let bucket = 0; bucket < bucketCount; bucket++) {
      const count = this.#counts[bucket] ?? 0
      if (count > 0) cells.push(bucket, count)
    }
    return { cells, min: this.#min, max: this.#max }
  }

  static of(...parts: readonly (Histogram | HistogramData)[]): Histogram {
    const sum = new Histogram()
    for (const part of parts) sum.add(part)
    return sum
  }
}

function bucketOf(value: number): number {
  if (value < exactMax) return value
  const exponent = 31 - Math.clz32(value)
  return (exponent - 6) * perDoubling + (value >>> (exponent - 6))
}

function boundsOf(bucket: number): { readonly from: number; readonly to: number } {
  if (bucket < exactMax) return { from: bucket, to: bucket }
  const shift = Math.floor(bucket / perDoubling) - 1
  const from = (bucket - shift * perDoubling) * 2 ** shift
  return { from, to: from + 2 ** shift - 1 }
}
