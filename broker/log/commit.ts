import type { Position } from '../../proto/machine/store.ts'
import {
  type Code,
  headerBytes,
  type Mark,
  markBodyBytes,
  recordBytes,
  writeEnd,
  writeHeader,
  writeMark,
} from './record.ts'

/** Bytes that go into one segment, from offset `at` of it. */
export interface SegmentWrite {
  readonly segment: Position
  readonly at: number
  readonly parts: Uint8Array[]
}

const chunkBytes = 64 * 1024
/** A body up to this size is copied beside its header: one part more costs more than the copy. */
const inlineBytesMax = 512

/**
 * Gathers the records of one commit. Headers and small bodies lie behind one another in chunks that are used again;
 * larger bodies are parts of their own, as they were given.
 */
export class Commit {
  readonly writes: SegmentWrite[] = []
  readonly #seed: number
  readonly #chunks: Buffer[] = [Buffer.allocUnsafeSlow(chunkBytes)]
  #chunk: Buffer
  #chunkIndex = 0
  #runFrom = 0
  #cursor = 0
  /** Zeros due before the next record. */
  #gap = 0
  #parts: Uint8Array[] = []

  constructor(seed: number) {
    this.#seed = seed
    this.#chunk = this.#chunks[0] as Buffer
  }

  get empty(): boolean {
    return this.writes.length === 0
  }

  /** What follows goes into this segment, from `position` on. */
  begin(segment: Position, position: Position): void {
    this.close()
    this.#gap = 0
    this.#parts = []
    this.writes.push({ segment, at: position - segment, parts: this.#parts })
  }

  record(code: Code, position: Position, body: Uint8Array): void {
    const inline = body.length <= inlineBytesMax
    const at = this.#take(headerBytes + (inline ? body.length : 0))
    writeHeader(this.#chunk, at, code, position, body, this.#seed)
    if (inline) {
      this.#chunk.set(body, at + headerBytes)
    } else {
      this.close()
      this.#parts.push(body)
    }
    this.#gap = recordBytes(body.length) - headerBytes - body.length
  }

  mark(position: Position, mark: Mark): void {
    writeMark(this.#chunk, this.#take(headerBytes + markBodyBytes), position, mark, this.#seed)
  }

  end(position: Position): void {
    writeEnd(this.#chunk, this.#take(headerBytes), position, this.#seed)
  }

  /** Hands the run of bytes gathered so far over to the parts. */
  close(): void {
    if (this.#cursor > this.#runFrom) this.#parts.push(this.#chunk.subarray(this.#runFrom, this.#cursor))
    this.#runFrom = this.#cursor
  }

  clear(): void {
    this.writes.length = 0
    this.#parts = []
    // One large commit does not keep its memory for good.
    this.#chunks.length = 1
    this.#chunk = this.#chunks[0] as Buffer
    this.#chunkIndex = 0
    this.#runFrom = 0
    this.#cursor = 0
    this.#gap = 0
  }

  /** Room for `bytes` behind the zeros that are due; where it begins in the chunk. */
  #take(bytes: number): number {
    if (this.#cursor + this.#gap + bytes > chunkBytes) this.#nextChunk()
    const at = this.#cursor + this.#gap
    this.#chunk.fill(0, this.#cursor, at)
    this.#cursor = at + bytes
    this.#gap = 0
    return at
  }

  #nextChunk(): void {
    this.close()
    this.#chunkIndex++
    this.#chunks[this.#chunkIndex] ??= Buffer.allocUnsafeSlow(chunkBytes)
    this.#chunk = this.#chunks[this.#chunkIndex] as Buffer
    this.#runFrom = 0
    this.#cursor = 0
  }
}
