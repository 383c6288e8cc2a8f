/**
 * Parts of the log that were read from disk lately. Records lie one after the other and are mostly read that way, so one read serves
 * all records of its block: those that are asked for while it is under way, and those that are asked for after it.
 */
import type { Position } from '../../proto/machine/store.ts'

/** Bytes of one read; most batches fit. */
export const blockBytes: number = 64 * 1024
/** Blocks that are kept: one for each of so many readers at different places. */
const blocksMax = 32

interface Block {
  readonly first: Position
  /** Position behind the last byte that is served from here. */
  end: Position
  readonly bytes: Promise<Buffer>
  /** Null while the read is under way. */
  loaded: Buffer | null
}

export class ReadBlocks {
  readonly #read: (position: Position, bytes: number) => Promise<Buffer>
  /** Oldest use first. */
  readonly #blocks = new Set<Block>()

  /** @param read gives fewer bytes than asked for only at the end of a segment */
  constructor(read: (position: Position, bytes: number) => Promise<Buffer>) {
    this.#read = read
  }

  /** Bytes from `position` to the end of a block that is there; null where none is. */
  get(position: Position): Buffer | null {
    const block = this.#blockOf(position)
    return block?.loaded?.subarray(position - block.first) ?? null
  }

  /**
   * Bytes from `position` on, by the read of another where that covers it.
   * @param writtenTo what is behind it may still be written
   */
  async load(position: Position, writtenTo: Position): Promise<Buffer> {
    const block = this.#blockOf(position) ?? this.#begin(position, writtenTo)
    const bytes = await block.bytes
    return bytes.subarray(Math.min(bytes.length, position - block.first))
  }

  /** Bytes from `position` on, by a read of their own: for what was cut off by the end of a block, or was damaged. */
  reload(position: Position, writtenTo: Position): Promise<Buffer> {
    return this.#begin(position, writtenTo).bytes
  }

  /** What begins at `position` is read from disk when it is asked for again. */
  forget(position: Position): void {
    const block = this.#blockOf(position)
    if (block !== null) block.end = position
  }

  #blockOf(position: Position): Block | null {
    for (const block of this.#blocks) {
      if (position < block.first || position >= block.end) continue
      this.#blocks.delete(block)
      this.#blocks.add(block)
      return block
    }
    return null
  }

  #begin(position: Position, writtenTo: Position): Block {
    this.forget(position)
    const end = Math.min(position + blockBytes, writtenTo)
    const bytes = this.#read(position, end - position)
    const block: Block = { first: position, end, bytes, loaded: null }
    this.#blocks.add(block)
    for (const oldest of this.#blocks) {
      if (this.#blocks.size <= blocksMax) break
      this.#blocks.delete(oldest)
    }
    bytes.then(
      (read) => {
        block.loaded = read
        block.end = Math.min(block.end, block.first + read.length)
      },
      () => this.#blocks.delete(block),
    )
    return block
  }
}
