import type { Position } from '../../proto/machine/store.ts'

const pattern = /^(\d{20})\.log$/
/** A file gets its name only when all of it is on disk; a segment that still has this suffix never held a record. */
const unfinished = '.new'

/** A segment is named by the position of its first byte. */
export function segmentName(first: Position): string {
  return `${String(first).padStart(20, '0')}.log`
}

/** What the file is called until it is finished. */
export function unfinishedName(name: string): string {
  return name + unfinished
}

export function isUnfinished(name: string): boolean {
  return name.endsWith(unfinished) && pattern.test(name.slice(0, -unfinished.length))
}

/** What a file is called once it is finished. */
export function finishedName(name: string): string {
  return name.endsWith(unfinished) ? name.slice(0, -unfinished.length) : name
}

/** First position of the segment with this name, or null for another kind of file. */
export function parseSegmentName(name: string): Position | null {
  const match = pattern.exec(name)
  return match === null ? null : Number(match[1])
}
