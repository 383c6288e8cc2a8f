import { crc32 } from 'node:zlib'
import type { Position, RecordKind } from '../../proto/machine/store.ts'

/**
 * Layout of one record, little endian, beginning at a multiple of 8:
 *
 *     0  u32  crc32 of everything after it, header and body, begun with the seed of the storage
 *     4  u32  length of the body
 *     8  u64  own position in the log
 *    16  u8   kind
 *    17       seven zeros
 *    24       body
 *
 * The own position finds a record written or read at the wrong place, and lets a scan find records behind a damaged one.
 * The seed keeps bytes of another storage, and records that somebody placed inside a message, from being taken for ours.
 */
export const headerBytes = 24
/** Body of a mark: u64 the position up to which all was flushed, u64 the first position that the log still keeps. */
export const markBodyBytes = 16
export const alignmentBytes = 8

export const codes = { batch: 1, staged: 2, protocol: 3, mark: 4, end: 5 } as const
export type Code = (typeof codes)[keyof typeof codes]

const twoTo32 = 0x1_0000_0000
const nothing = new Uint8Array(0)
const scratch = Buffer.alloc(headerBytes)
const scratchCovered = scratch.subarray(4)

/** Bytes that a record takes in the log, with the zeros up to the next record. */
export function recordBytes(bodyLength: number): number {
  return (headerBytes + bodyLength + alignmentBytes - 1) & ~(alignmentBytes - 1)
}

/** Writes the header of a record with this body to `target` at `at`. */
export function writeHeader(
  target: Buffer,
  at: number,
  code: Code,
  position: Position,
  body: Uint8Array,
  seed: number,
) {
  scratch.writeUInt32LE(body.length, 4)
  writePosition(scratch, 8, position)
  scratch[16] = code
  const head = crc32(scratchCovered, seed)
  scratch.writeUInt32LE(body.length === 0 ? head : crc32(body, head), 0)
  scratch.copy(target, at)
}

/** Writes an `end`: the rest of the segment is unused, the log goes on in the next one. */
export function writeEnd(target: Buffer, at: number, position: Position, seed: number): void {
  writeHeader(target, at, codes.end, position, nothing, seed)
}

/** Writes a whole mark, header and body. */
export function writeMark(target: Buffer, at: number, position: Position, mark: Mark, seed: number): void {
  const body = target.subarray(at + headerBytes, at + headerBytes + markBodyBytes)
  writePosition(body, 0, mark.flushedTo)
  writePosition(body, 8, mark.start)
  writeHeader(target, at, codes.mark, position, body, seed)
}

export interface Mark {
  /** Everything below was flushed before this mark was written. */
  readonly flushedTo: Position
  /** First position that the log keeps: segments from here on must exist. */
  readonly start: Position
}

/**
 * Length of the body of the record at `at`, or -1 when no intact record of `position` is there.
 * @param seed 32 bits of the storage, see above
 */
export function checkRecord(buffer: Buffer, at: number, position: Position, seed: number): number {
  const bodyAt = at + headerBytes
  if (bodyAt > buffer.length) return -1
  const length = buffer.readUInt32LE(at + 4)
  if (length > buffer.length - bodyAt) return -1
  if (readPosition(buffer, at + 8) !== position) return -1
  return crc32(buffer.subarray(at + 4, bodyAt + length), seed) === buffer.readUInt32LE(at) ? length : -1
}

/** What the header at `at` says about the length of its body; nothing is checked. */
export function claimedLength(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at + 4)
}

export function codeAt(buffer: Buffer, at: number): number {
  return buffer[at + 16] ?? 0
}

/** Body of an intact record of kind `mark`. */
export function readMark(buffer: Buffer, at: number): Mark {
  return {
    flushedTo: readPosition(buffer, at + headerBytes),
    start: readPosition(buffer, at + headerBytes + 8),
  }
}

/** The kind that users of the log know, or null for what is the log's own or unknown. */
export function kindOf(code: number): RecordKind | null {
  switch (code) {
    case codes.batch:
      return 'batch'
    case codes.staged:
      return 'staged'
    case codes.protocol:
      return 'protocol'
    default:
      return null
  }
}

function writePosition(target: Buffer, at: number, position: Position): void {
  target.writeUInt32LE(position % twoTo32, at)
  target.writeUInt32LE(Math.floor(position / twoTo32), at + 4)
}

function readPosition(buffer: Buffer, at: number): Position {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * twoTo32
}
