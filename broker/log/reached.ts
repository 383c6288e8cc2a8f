/**
 * The note of how far a log reached, in a file of its own: every commit that is safe raises it. A log that ends earlier lacks
 * something that was acknowledged: a segment of it was deleted, emptied, cut, or put back from an older copy. Recovery alone
 * would take the end of such a log for a torn tail.
 *
 * A commit raises the note by a write alone, behind the flush of the commit, so the note is never ahead of the disk, and the end
 * of the process loses nothing of it. Power that is lost may set it back, but never by more than one segment: the first commit of
 * every segment flushes it.
 *
 * Layout, little endian: u32 crc32 of the rest, begun with the seed of the storage, so that the note of another storage is none;
 * u32 flags; u64 the position; the word `ecreach1`. All of it lies in one sector.
 */
import { crc32 } from 'node:zlib'
import type { Position } from '../../proto/machine/store.ts'
import { storageLacks } from './failure.ts'
import type { Files, OpenFile } from './files.ts'

export const reachedFileName = 'reached'
const word = Buffer.from('ecreach1', 'latin1')
export const noteBytes = 16 + word.length
const twoTo32 = 0x1_0000_0000
const [laxFlag, lostFlag] = [1, 2]

export interface Reached {
  /** Everything below was safe in this log. */
  readonly position: Position
  /** A log is written here that flushes later than it acknowledges: another note says since when (`unflushed.ts`). */
  readonly isLax: boolean
  /** The storage was set aside as lost, and is never to be used again. */
  readonly isLost: boolean
}

const nothingYet: Reached = { position: 0, isLax: false, isLost: false }

/** Makes the note of a new log, in place of one that may be there. */
export async function createReached(files: Files, seed: number): Promise<void> {
  const file = await files.create(reachedFileName, noteBytes)
  try {
    await file.writev([encoded(nothingYet, seed)], 0)
    await file.datasync()
  } finally {
    await file.close()
  }
  await files.flushDirectory()
}

/**
 * The note in a directory, or null when it has none.
 * @throws EpochcastError `EC_LOG_DAMAGED` when it is not intact, or that of another storage
 */
export async function readReached(files: Files, seed: number): Promise<Reached | null> {
  if (!(await files.list()).includes(reachedFileName)) return null
  const file = await files.open(reachedFileName)
  try {
    return await read(file, seed)
  } finally {
    await file.close()
  }
}

/** The note of a log that is being written. */
export class ReachedNote {
  readonly #file: OpenFile
  readonly #seed: number
  readonly #buffer = Buffer.alloc(noteBytes)
  readonly #parts = [this.#buffer]
  /** The segment in which the note was flushed last. */
  #flushedIn: Position = -1
  #isLax = false

  private constructor(file: OpenFile, seed: number) {
    this.#file = file
    this.#seed = seed
  }

  static async open(files: Files, seed: number): Promise<ReachedNote> {
    return new ReachedNote(await files.open(reachedFileName), seed)
  }

  /** Says anew what kind of log is written from here on; on disk when this resolves. @param segment that of `position` */
  async begin(position: Position, segment: Position, isLax: boolean): Promise<void> {
    this.#isLax = isLax
    await this.#write(position)
    await this.#file.datasync()
    this.#flushedIn = segment
  }

  /** Everything below `position` is safe. @param segment the segment that the newest commit wrote to last */
  raise(position: Position, segment: Position): Promise<void> | undefined {
    const written = this.#write(position)
    // Where commits are not flushed, the loss of power is noticed by other means.
    if (segment === this.#flushedIn || this.#isLax) return written
    this.#flushedIn = segment
    return Promise.resolve(written).then(() => this.#file.datasync())
  }

  /** Brings the note to the disk as it stands. */
  flush(): Promise<void> {
    return this.#file.datasync()
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  #write(position: Position): Promise<void> | undefined {
    encode(this.#buffer, { position, isLax: this.#isLax, isLost: false }, this.#seed)
    return this.#file.writev(this.#parts, 0)
  }
}

/** Marks the storage in a directory as lost, whatever becomes of its files. */
export async function markLost(files: Files, seed: number): Promise<void> {
  const file = await files.open(reachedFileName)
  try {
    await file.writev([encoded({ ...nothingYet, isLost: true }, seed)], 0)
    await file.datasync()
  } finally {
    await file.close()
  }
}

async function read(file: OpenFile, seed: number): Promise<Reached> {
  const buffer = Buffer.alloc(noteBytes)
  const count = await file.read(buffer, 0)
  const isIntact = count === noteBytes && crc32(buffer.subarray(4), seed) === buffer.readUInt32LE(0)
  if (!isIntact || !buffer.subarray(16).equals(word)) {
    throw storageLacks(`${reachedFileName} is damaged, or that of another storage`)
  }
  const flags = buffer.readUInt32LE(4)
  return {
    position: buffer.readUInt32LE(8) + buffer.readUInt32LE(12) * twoTo32,
    isLax: (flags & laxFlag) !== 0,
    isLost: (flags & lostFlag) !== 0,
  }
}

function encoded(note: Reached, seed: number): Buffer {
  const buffer = Buffer.alloc(noteBytes)
  encode(buffer, note, seed)
  return buffer
}

function encode(target: Buffer, { position, isLax, isLost }: Reached, seed: number): void {
  target.writeUInt32LE((isLax ? laxFlag : 0) | (isLost ? lostFlag : 0), 4)
  target.writeUInt32LE(position % twoTo32, 8)
  target.writeUInt32LE(Math.floor(position / twoTo32), 12)
  target.set(word, 16)
  target.writeUInt32LE(crc32(target.subarray(4), seed), 0)
}
