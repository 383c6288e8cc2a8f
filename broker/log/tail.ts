import type { Position } from '../../proto/machine/store.ts'
import {
  type Code,
  claimedLength,
  headerBytes,
  type Mark,
  markBodyBytes,
  recordBytes,
  writeEnd,
  writeHeader,
  writeMark,
} from './record.ts'

const chunkBytesMax = 1024 * 1024
const chunkBytesMin = 64 * 1024

interface Chunk {
  memory: Buffer
  /** Position of its first byte. */
  first: Position
  /** Position behind its last record. */
  end: Position
  /** Somebody holds a view of it: its memory is left to the garbage collector. */
  lent: boolean
}

/**
 * The newest records in memory, laid out as they are in the segments: what is appended goes here, commits are written from
 * here, and what was appended last is read from here. Its memory is used again and again: a server that stores a hundred
 * megabytes a second would otherwise keep its garbage collector busy.
 */
export class Tail {
  readonly #bytesMax: number
  readonly #chunkBytes: number
  readonly #seed: number
  readonly #chunks: Chunk[] = []
  #bytes = 0
  /** Memory to be used again. */
  #spare: Chunk | null = null

  /** @param bytesMax how much to keep of what is on disk already */
  constructor(bytesMax: number, seed: number) {
    this.#bytesMax = bytesMax
    this.#chunkBytes = Math.max(chunkBytesMin, Math.min(chunkBytesMax, bytesMax >>> 4))
    this.#seed = seed
  }

  /** Copies a record; positions grow from call to call. */
  record(code: Code, position: Position, body: Uint8Array): void {
    const bytes = recordBytes(body.length)
    const { memory, first } = this.#room(position, bytes)
    const at = position - first
    memory.set(body, at + headerBytes)
    memory.fill(0, at + headerBytes + body.length, at + bytes)
    writeHeader(
      memory,
      at,
      code,
      position,
      memory.subarray(at + headerBytes, at + headerBytes + body.length),
      this.#seed,
    )
  }

  mark(position: Position, mark: Mark): void {
    const { memory, first } = this.#room(position, recordBytes(markBodyBytes))
    writeMark(memory, position - first, position, mark, this.#seed)
  }

  /** The end of a segment: what follows goes to the next one. */
  end(position: Position): void {
    const { memory, first } = this.#room(position, headerBytes)
    writeEnd(memory, position - first, position, this.#seed)
  }

  /** The bytes from `from` to `to`, which lie in one segment and are not on disk yet; valid until they are. */
  parts(from: Position, to: Position): Uint8Array[] {
    const parts: Uint8Array[] = []
    for (let index = this.#chunks.length - 1; index >= 0; index--) {
      const { memory, first, end } = this.#chunks[index] as Chunk
      if (end <= from) break
      if (first < to) parts.push(memory.subarray(Math.max(from, first) - first, Math.min(to, end) - first))
    }
    return parts.reverse()
  }

  /** Lets go of the oldest that are on disk, below `flushedTo`, until the rest fits. */
  trim(flushedTo: Position): void {
    while (this.#bytes > this.#bytesMax && (this.#chunks[0]?.end ?? Number.POSITIVE_INFINITY) <= flushedTo) {
      const oldest = this.#chunks.shift() as Chunk
      this.#bytes -= oldest.memory.length
      if (!oldest.lent && oldest.memory.length === this.#chunkBytes) this.#spare = oldest
    }
  }

  /** The body of the record at `position`, a view for good; null when it is not kept any more. */
  get(position: Position): Uint8Array | null {
    const chunk = this.#chunkOf(position)
    if (chunk === null) return null
    chunk.lent = true
    const at = position - chunk.first
    return chunk.memory.subarray(at + headerBytes, at + headerBytes + claimedLength(chunk.memory, at))
  }

  #room(position: Position, bytes: number): Chunk {
    const last = this.#chunks[this.#chunks.length - 1]
    if (last !== undefined && last.end === position && position - last.first + bytes <= last.memory.length) {
      last.end += bytes
      return last
    }
    const chunk = this.#take(Math.max(bytes, this.#chunkBytes))
    chunk.first = position
    chunk.end = position + bytes
    this.#chunks.push(chunk)
    this.#bytes += chunk.memory.length
    return chunk
  }

  #take(bytes: number): Chunk {
    const spare = this.#spare
    if (spare === null || spare.memory.length !== bytes) {
      return { memory: Buffer.allocUnsafeSlow(bytes), first: 0, end: 0, lent: false }
    }
    this.#spare = null
    return spare
  }

  #chunkOf(position: Position): Chunk | null {
    let low = 0
    let high = this.#chunks.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const chunk = this.#chunks[middle] as Chunk
      if (position < chunk.first) high = middle - 1
      else if (position >= chunk.end) low = middle + 1
      else return chunk
    }
    return null
  }
}
