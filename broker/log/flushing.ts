import type { Position } from '../../proto/machine/store.ts'
import { intervalMsOf, type Sync } from '../../proto/sync.ts'
import type { After } from '../../proto/timer.ts'
import type { Segments } from './segments.ts'

/**
 * How far a log is on disk, and what is written and not there yet: flushed with a commit that asks for it, or by the clock,
 * one flush at a time. What a failed flush was about never counts; the log stops then.
 */
export class Flushing {
  readonly #segments: Segments
  /** Milliseconds between a commit that is only written and the flush by the clock; null for none. */
  readonly #intervalMs: number | null
  readonly #after: After
  readonly #flushByClock: () => void
  /** Segments with something that is written and not on disk. */
  readonly #unflushed = new Set<Position>()
  /** The flush by the clock that is under way. */
  #behind: Promise<void> | null = null
  /** Takes back the next flush by the clock; null while nothing waits for one. */
  #cancel: (() => void) | null = null
  /** The next flush by the clock is to begin as soon as the one under way has ended. */
  #isOverdue = false
  /** Everything below is on disk. */
  flushedTo: Position = 0

  /** @param flushByClock called when it is time: begins `behind` */
  constructor(segments: Segments, sync: Sync, after: After, flushByClock: () => void) {
    this.#segments = segments
    this.#intervalMs = intervalMsOf(sync)
    this.#after = after
    this.#flushByClock = flushByClock
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

  /** What was written stays with the system for now: it is flushed by the clock, where there is one. */
  later(): void {
    if (this.#intervalMs === null || this.#cancel !== null || this.#isOverdue) return
    this.#cancel = this.#after(this.#intervalMs, () => {
      this.#cancel = null
      if (this.#behind === null) this.#flushByClock()
      else this.#isOverdue = true
    })
  }

  /** Flushes what was written so far, while the next commit may be written. */
  behind(writtenTo: Position): Promise<void> {
    const before = this.#behind ?? Promise.resolve()
    const flushed = before
      .then(() => this.#flush(writtenTo))
      .finally(() => {
        if (this.#behind === flushed) this.#behind = null
      })
    this.#behind = flushed
    return flushed.then(() => {
      if (!this.#isOverdue || this.#behind !== null) return
      this.#isOverdue = false
      this.#flushByClock()
    })
  }

  /** No flush by the clock begins any more. */
  stop(): void {
    this.#cancel?.()
    this.#cancel = null
    this.#isOverdue = false
  }

  async #flush(to: Position): Promise<void> {
    // What is written from here on waits for a clock of its own.
    this.stop()
    const segments = [...this.#unflushed]
    this.#unflushed.clear()
    for (const segment of segments) await this.#segments.datasync(segment)
    this.flushedTo = Math.max(this.flushedTo, to)
  }
}
