/** When a server flushes what it stores, and so what its acknowledgement means. */
import { EpochcastError } from './errors.ts'

/**
 * - `always`: on disk before it is acknowledged.
 * - `interval N`: written before it is acknowledged, on disk some N milliseconds later.
 * - `memory`: written before it is acknowledged; the system brings it to the disk when it likes.
 *
 * In every mode the end of the process alone loses nothing that was written. What a server promises to other servers is on
 * disk first in every mode.
 */
export type Sync = 'always' | 'memory' | `interval ${number}`

export const intervalMsMin = 10
export const intervalMsMax = 60_000

const pattern = /^interval[ :=](\d{1,9})$/

/** Takes what people write; also `interval:50`. @throws EpochcastError `EC_BAD_ARGUMENT` */
export function parseSync(text: string): Sync {
  if (text === 'always' || text === 'memory') return text
  const ms = Number(pattern.exec(text)?.[1] ?? Number.NaN)
  if (ms >= intervalMsMin && ms <= intervalMsMax) return `interval ${ms}`
  const hint = `sync: always, interval <milliseconds> from ${intervalMsMin} to ${intervalMsMax}, or memory`
  throw new EpochcastError('EC_BAD_ARGUMENT', `${JSON.stringify(text)} is no way to flush${whyNot(text, ms)}`, { hint })
}

/** Milliseconds between two flushes; null where none is made by the clock. */
export function intervalMsOf(sync: Sync): number | null {
  const ms = pattern.exec(sync)?.[1]
  return ms === undefined ? null : Number(ms)
}

/** The one that keeps less when machines stop. */
export function weaker(one: Sync, other: Sync): Sync {
  return weakness(one) >= weakness(other) ? one : other
}

/** Larger for what keeps less. */
export function weakness(sync: Sync): number {
  if (sync === 'always') return 0
  return intervalMsOf(sync) ?? Number.POSITIVE_INFINITY
}

function whyNot(text: string, ms: number): string {
  if (text === 'interval') return ': it does not say how many milliseconds'
  if (Number.isNaN(ms)) return ''
  return ms < intervalMsMin ? `: shorter than ${intervalMsMin} ms is "always"` : `: longer than ${intervalMsMax} ms`
}
