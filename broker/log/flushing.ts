import { tickMs } from '../../proto/machine/contract.ts'
import type { Position } from '../../proto/machine/store.ts'
import { intervalMsOf, type Sync } from '../../proto/sync.ts'
import type { Segments } from './segments.ts'

/**
 * How far a log is on disk, and what is written and not there yet: flushed with a commit that asks for it, or by the clock,
 * one flush at a time. What a failed flush was about never counts; the log stops then.
 */
export class Flushing {
  readonly #segments: Segments
  /** Ticks between two flushes by the clock; 0 for none. */
  readonly #intervalTicks: number
  /** Segments with something that is written and not on disk. */
  readonly #unflushed = new Set<Position>()
  /** The flush by the clock that is under way. */
  #behind: Promise<void> | null = null
  #ticks = 0
  /** Everything below is on disk. */
  flushedTo: Position = 0

  constructor(segments: Segments, sync: Sync) {
    this.#segments = segments
    this.#intervalTicks = Math.ceil((intervalMsOf(sync) ?? 0) / tickMs)
  }

  /** Something was written to the segment that begins there. */
  wrote(segment: Position): void {
    this.#unflushed.add(segment)
  }

  /** Brings to the disk what was written, of which everything below `to`. */
  async commit(to: Position): Promise<void> {
    // What a flush by the clock has under way is not on disk before it ends.
    if (this.#behind !== null) await this.#behind
    await this.#flush(to)
  }

  /** Whether it is time for a flush by the clock. */
  isDue(writtenTo: Position): boolean {
    if (this.#intervalTicks === 0 || ++this.#ticks < this.#intervalTicks) return false
    return this.#behind === null && this.flushedTo < writtenTo
  }

  /** Flushes what was written so far, while the next commit may be written. */
  behind(writtenTo: Position): Promise<void> {
    this.#ticks = 0
    const before = this.#behind ?? Promise.resolve()
    const flushed = before
      .then(() => this.#flush(writtenTo))
      .finally(() => {
        if (this.#behind === flushed) this.#behind = null
      })
    this.#behind = flushed
    return flushed
  }

  async #flush(to: Position): Promise<void> {
    const segments = [...this.#unflushed]
    this.#unflushed.clear()
    for (const segment of segments) await this.#segments.datasync(segment)
    this.flushedTo = Math.max(this.flushedTo, to)
  }
}
