/**
 * Finds the end of a log after a stop of any kind. The rules:
 * - Records are read in order until one is not intact, at X. A mark found behind X that says "flushed up to more than X"
 *   makes it damage, which is never cut. Otherwise the commit with X was never acknowledged as a whole: a torn tail.
 * - A torn tail is overwritten with zeros and later segments are removed, so that no record of it can come back behind
 *   records yet to be written.
 * - A log that ends before the position that its note says it reached (`reached.ts`) lacks segments or parts of them: nothing
 *   is changed.
 * - Everything from the newest mark on is written again and flushed, up to the end of its segment: what the page cache
 *   showed, zeros included, may never have reached the disk.
 */
import type { Position, RecordKind } from '../../proto/machine/store.ts'
import { damaged, storageLacks } from './failure.ts'
import type { Files, OpenFile } from './files.ts'
import type { LogOptions } from './options.ts'
import { codes, kindOf, type Mark } from './record.ts'
import { findMark, markOf, scanSegment } from './scan.ts'
import { isUnfinished, parseSegmentName, segmentName } from './segment-name.ts'
import type { SegmentFile } from './segments.ts'

export interface Recovered {
  readonly segments: readonly SegmentFile[]
  /** Where the next record goes. */
  readonly end: Position
  readonly start: Position
}

export type VisitRecord = (kind: RecordKind, body: Uint8Array, position: Position) => void

/** @param reached the position below which everything was safe, as its note says */
export async function recoverLog(
  files: Files,
  options: LogOptions,
  reached: Position,
  visit: VisitRecord,
): Promise<Recovered> {
  const found = await listSegments(files, options.segmentBytes)
  const reader = new SegmentReader(files)
  const { end, mark } = await scanAll(found, reader, options.seed, visit)
  const from = found[0]?.first ?? 0
  const start = mark?.start ?? 0
  if (start < from) throw damaged(from, 0, `the segments before it are missing, from ${segmentName(start)} on`)
  if (end < reached) throw await endsEarly(found, reader, end, reached)
  await removeBehind(files, found, end)
  const kept = found.filter((segment) => segment.first <= end)
  for (const segment of kept) await rewrite(reader, segment, mark?.flushedTo ?? from, end)
  return { segments: kept, end, start }
}

/**
 * The segments in order; what was being made when the server stopped is removed. The last one counts as at least
 * `segmentBytes` long: what a shorter file lacks is read as zeros, and recovery writes it.
 */
async function listSegments(files: Files, segmentBytes: number): Promise<SegmentFile[]> {
  const firsts: Position[] = []
  for (const name of await files.list()) {
    const first = parseSegmentName(name)
    if (first !== null) firsts.push(first)
    else if (isUnfinished(name)) await files.remove(name)
  }
  firsts.sort((a, b) => a - b)
  const found: SegmentFile[] = []
  for (const first of firsts) {
    const before = found.at(-1)
    const expected = before === undefined ? first : before.first + before.bytes
    if (first !== expected) throw damaged(expected, 0, `it is missing or short; the next one is ${segmentName(first)}`)
    const file = await files.open(segmentName(first))
    found.push({ first, bytes: first === firsts.at(-1) ? Math.max(file.bytes, segmentBytes) : file.bytes })
    await file.close()
  }
  return found
}

/** Reads whole segments into one buffer, used again for each. */
class SegmentReader {
  readonly #files: Files
  #buffer = Buffer.alloc(0)

  constructor(files: Files) {
    this.#files = files
  }

  async read(segment: SegmentFile): Promise<Buffer> {
    if (this.#buffer.length < segment.bytes) this.#buffer = Buffer.allocUnsafeSlow(segment.bytes)
    const target = this.#buffer.subarray(0, segment.bytes)
    await this.use(segment, async (file) => {
      target.fill(0, await file.read(target, 0))
    })
    return target
  }

  async use(segment: SegmentFile, action: (file: OpenFile) => Promise<void>): Promise<void> {
    const file = await this.#files.open(segmentName(segment.first))
    try {
      await action(file)
    } finally {
      await file.close()
    }
  }
}

async function scanAll(
  found: readonly SegmentFile[],
  reader: SegmentReader,
  seed: number,
  visit: VisitRecord,
): Promise<{ end: Position; mark: Mark | null }> {
  const newest: { mark: Mark | null } = { mark: null }
  let end = found[0]?.first ?? 0
  for (const [index, segment] of found.entries()) {
    const buffer = await reader.read(segment)
    const scanned = scanSegment(buffer, segment.first, seed, (code, body, position) => {
      if (code === codes.mark) newest.mark = markOf(body)
      // A copy: the buffer is used again, and a record that is kept must not keep a whole segment.
      else visit(kindOf(code) as RecordKind, Uint8Array.from(body), position)
    })
    end = segment.first + scanned.at
    if (scanned.continues) continue
    await refuseDamage(found.slice(index), reader, seed, end)
    break
  }
  return { end, mark: newest.mark }
}

/** @throws EpochcastError `EC_LOG_DAMAGED` when the record at `bad` had been flushed */
async function refuseDamage(
  segments: readonly SegmentFile[],
  reader: SegmentReader,
  seed: number,
  bad: Position,
): Promise<void> {
  const first = segments[0]?.first ?? 0
  for (const segment of segments) {
    const buffer = await reader.read(segment)
    const at = findMark(buffer, segment.first, Math.max(0, bad - segment.first), seed, bad)
    if (at < 0) continue
    const proof = `byte ${at} of ${segmentName(segment.first)} says that it had been flushed`
    throw damaged(first, bad - first, `the record there is not intact, and ${proof}`)
  }
}

/** Says which file is to blame for a log that ends before the position that it had reached. */
async function endsEarly(
  found: readonly SegmentFile[],
  reader: SegmentReader,
  end: Position,
  reached: Position,
): Promise<Error> {
  const proof = `the log had reached ${reached}`
  const segment = found.find(({ first, bytes }) => first <= end && end < first + bytes)
  if (segment === undefined) return storageLacks(`${segmentName(end)} is missing: ${proof}`)
  const name = segmentName(segment.first)
  if (end > segment.first)
    return storageLacks(`${name} ends at byte ${end - segment.first}, and ${proof}: it was cut or is an older copy`)
  const isEmpty = (await reader.read(segment)).every((byte) => byte === 0)
  return storageLacks(`${name} ${isEmpty ? 'was emptied' : 'is not of this storage'}: ${proof}`)
}

/** Newest first, each gone for good before the next: never a hole among the segments. */
async function removeBehind(files: Files, found: readonly SegmentFile[], end: Position): Promise<void> {
  for (const segment of found.toReversed()) {
    if (segment.first <= end) return
    await files.remove(segmentName(segment.first))
    await files.flushDirectory()
  }
}

/** Writes a segment's part of the tail again: its records as they were read, then zeros up to its end. */
async function rewrite(reader: SegmentReader, segment: SegmentFile, flushedTo: Position, end: Position): Promise<void> {
  const from = Math.max(0, flushedTo - segment.first)
  if (from >= segment.bytes) return
  const buffer = await reader.read(segment)
  if (end < segment.first + segment.bytes) buffer.fill(0, end - segment.first)
  await reader.use(segment, async (file) => {
    await file.writev([buffer.subarray(from)], from)
    await file.datasync()
  })
}
