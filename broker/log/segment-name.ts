import type { Position } from '../../proto/machine/store.ts'

const pattern = /^(\d{20})\.log$/
/** A segment gets its name only when all of it is on disk; what still has this suffix never held a record. */
const unfinished = '.new'

/** A segment is named by the position of its first byte. */
export function segmentName(first: Position): string {
  return `${String(first).padStart(20, '0')}.log`
}

export function unfinishedName(first: Position): string {
  return segmentName(first) + unfinished
}

export function isUnfinished(name: string): boolean {
  return name.endsWith(unfinished) && pattern.test(name.slice(0, -unfinished.length))
}

/** First position of the segment with this name, or null for another kind of file. */
export function parseSegmentName(name: string): Position | null {
  const match = pattern.exec(name)
  return match === null ? null : Number(match[1])
}
