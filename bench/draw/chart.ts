/** What is to be drawn, before anybody knows how: pictures and pages are made from the same. */

/** Something per second over time. */
export interface TimeChart {
  readonly kind: 'time'
  readonly title: string
  readonly unit: string
  readonly sliceMs: number
  /** Counts of each slice. */
  readonly series: readonly { readonly name: string; readonly counts: readonly number[] }[]
  /** Moments, in seconds. */
  readonly marks: readonly { readonly at: number; readonly label: string }[]
  /** The stretch that is shown, in seconds. */
  readonly from: number
  readonly to: number
}

/** One value at each of some moments of the same time. */
export interface StemChart {
  readonly kind: 'stems'
  readonly title: string
  readonly unit: string
  readonly stems: readonly { readonly at: number; readonly value: number; readonly label: string }[]
  /** A level to compare with. */
  readonly level: { readonly value: number; readonly label: string } | null
  readonly from: number
  readonly to: number
}

/** How often which duration occurred. */
export interface HistogramChart {
  readonly kind: 'histogram'
  readonly title: string
  /** Bounds in milliseconds. */
  readonly series: readonly {
    readonly name: string
    readonly buckets: readonly { readonly from: number; readonly to: number; readonly count: number }[]
  }[]
}

/** One figure of several, with its range over the repeats. */
export interface BarChart {
  readonly kind: 'bars'
  readonly title: string
  readonly unit: string
  /** Each tick is ten times the one before. */
  readonly isLog: boolean
  readonly bars: readonly {
    readonly name: string
    readonly value: number
    readonly min?: number
    readonly max?: number
    readonly note?: string
    readonly isOurs: boolean
  }[]
}

export type Chart = TimeChart | StemChart | HistogramChart | BarChart

export interface Picture {
  readonly title: string
  /** How it was measured, in one line. */
  readonly subtitle: string
  readonly charts: readonly Chart[]
}

const binsPerDecade = 8
/** What came together is not told apart. */
const shortestMs = 0.1

/** The same counts, from a tenth of a millisecond on, in bins as wide on a logarithmic axis; bounds in milliseconds. */
export function logBins(
  buckets: readonly { readonly from: number; readonly to: number; readonly count: number }[],
): { readonly from: number; readonly to: number; readonly count: number }[] {
  const counts = new Map<number, number>()
  for (const { from, to, count } of buckets) {
    if ((from + to) / 2 < shortestMs) continue
    const bin = Math.floor(Math.log10((from + to) / 2) * binsPerDecade)
    counts.set(bin, (counts.get(bin) ?? 0) + count)
  }
  return [...counts]
    .sort(([one], [other]) => one - other)
    .map(([bin, count]) => ({ from: 10 ** (bin / binsPerDecade), to: 10 ** ((bin + 1) / binsPerDecade), count }))
}

/** Counts per second of so many slices together, from one moment to another. */
export function ratesOf(
  { sliceMs, from, to }: TimeChart,
  counts: readonly number[],
  slicesEach: number,
): { readonly at: number; readonly rate: number }[] {
  const rates: { at: number; rate: number }[] = []
  const first = Math.ceil((from * 1000) / sliceMs)
  const last = Math.floor((to * 1000) / sliceMs)
  for (let at = first; at + slicesEach <= last; at += slicesEach) {
    let count = 0
    for (let slice = at; slice < at + slicesEach; slice++) count += counts[slice] ?? 0
    rates.push({ at: ((at + slicesEach / 2) * sliceMs) / 1000, rate: (count * 1000) / (slicesEach * sliceMs) })
  }
  return rates
}
