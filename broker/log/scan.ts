import { EpochcastError } from '../../proto/errors.ts'
import type { Position } from '../../proto/machine/store.ts'
import {
  alignmentBytes,
  checkRecord,
  codeAt,
  codes,
  headerBytes,
  kindOf,
  type Mark,
  markBodyBytes,
  readMark,
  recordBytes,
} from './record.ts'
import { segmentName } from './segment-name.ts'

export type Visit = (code: number, body: Buffer, position: Position) => void

/** Where the intact records of one segment end. */
export interface ScanEnd {
  readonly at: number
  /** The log goes on in the next segment; else no intact record is at `at`. */
  readonly continues: boolean
}

/** Visits the records of a segment, given whole, from its first byte until one is not intact. */
export function scanSegment(buffer: Buffer, first: Position, seed: number, visit: Visit): ScanEnd {
  let at = 0
  for (;;) {
    if (at + headerBytes > buffer.length) return { at: buffer.length, continues: true }
    const length = checkRecord(buffer, at, first + at, seed)
    if (length < 0) return { at, continues: false }
    const code = codeAt(buffer, at)
    if (code === codes.end) return { at: buffer.length, continues: true }
    if (code !== codes.mark && kindOf(code) === null) throw newerKind(first, at, code)
    visit(code, buffer.subarray(at + headerBytes, at + headerBytes + length), first + at)
    at += recordBytes(length)
  }
}

/**
 * Looks behind the first bad record for a mark that says that it was flushed: its offset in the segment, or -1.
 * @param buffer a whole segment, its memory aligned to 8 bytes
 */
export function findMark(buffer: Buffer, first: Position, from: number, seed: number, bad: Position): number {
  const words = new Uint32Array(buffer.buffer, buffer.byteOffset, buffer.length >>> 2)
  const last = buffer.length - headerBytes - markBodyBytes
  for (let at = from - (from % alignmentBytes); at <= last; at += alignmentBytes) {
    // The low half of the own position rules out nearly everything, and nearly everything is zeros.
    if (words[(at >>> 2) + 2] !== (first + at) >>> 0) continue
    if (checkRecord(buffer, at, first + at, seed) !== markBodyBytes || codeAt(buffer, at) !== codes.mark) continue
    if (readMark(buffer, at).flushedTo > bad) return at
  }
  return -1
}

/** The mark whose body this is. */
export function markOf(body: Buffer): Mark {
  return readMark(body, -headerBytes)
}

function newerKind(first: Position, at: number, code: number): EpochcastError {
  return new EpochcastError(
    'EC_LOG_FORMAT',
    `${segmentName(first)} holds a record of the unknown kind ${code} at byte ${at}`,
    { hint: 'A newer version wrote it: start that version.' },
  )
}
