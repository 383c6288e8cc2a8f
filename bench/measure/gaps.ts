/** How long it took from each event to the next one. */
import { Histogram, type HistogramData } from './histogram.ts'

const notedUs = 500
const notedMax = 200_000

export interface Gap {
  readonly fromUs: number
  readonly toUs: number
}

export interface GapsData {
  readonly histogram: HistogramData
  /** Those of half a millisecond and more, in order. */
  readonly noted: readonly Gap[]
}

export class Gaps {
  readonly #histogram = new Histogram()
  readonly #noted: Gap[] = []
  #lastUs: number | null = null

  /** Nothing before this moment counts. */
  begin(atUs: number): void {
    this.#lastUs = atUs
  }

  event(atUs: number): void {
    const lastUs = this.#lastUs
    if (lastUs !== null && atUs <= lastUs) return
    this.#lastUs = atUs
    if (lastUs === null) return
    this.#histogram.record(atUs - lastUs)
    if (atUs - lastUs >= notedUs && this.#noted.length < notedMax) this.#noted.push({ fromUs: lastUs, toUs: atUs })
  }

  data(): GapsData {
    return { histogram: this.#histogram.data(), noted: this.#noted }
  }
}

/** The longest gap that touches a window, in full length, in milliseconds; 0 where none was of half a millisecond and more. */
export function longestGapMs(gaps: readonly Gap[], fromUs: number, toUs: number): number {
  let longest = 0
  for (const gap of gaps) {
    if (gap.toUs >= fromUs && gap.fromUs <= toUs) longest = Math.max(longest, gap.toUs - gap.fromUs)
  }
  return Math.round(longest) / 1000
}
