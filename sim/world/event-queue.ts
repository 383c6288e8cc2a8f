/** Virtual time: what happens next, in the order of its moment and, within one moment, of its scheduling. */
import { Heap } from '../../proto/heap.ts'

interface Entry {
  at: number
  order: number
  /** Timers go on for ever: they do not keep a world from being quiet. */
  readonly background: boolean
  run: (() => void) | null
}

export class EventQueue {
  /** Milliseconds of virtual time since the world began. */
  now = 0
  readonly #heap = new Heap<Entry>(isBefore)
  /** What is due at once comes behind everything that was due by now: a plain queue is enough for it. */
  #soon: Entry[] = []
  #soonAt = 0
  #order = 0
  #foreground = 0

  /** Whether nothing is left to happen but the passing of time. */
  get quiet(): boolean {
    return this.#foreground === 0
  }

  after(delay: number, run: () => void, background = false): void {
    const entry: Entry = { at: this.now + delay, order: this.#order++, background, run }
    if (!background) this.#foreground++
    if (delay <= 0) this.#soon.push(entry)
    else this.#heap.push(entry)
  }

  /** Timers of processes, which keep no world from being quiet. @returns a function that takes it off again */
  later(delay: number, run: () => void): () => void {
    const entry: Entry = { at: this.now + delay, order: this.#order++, background: true, run }
    if (delay <= 0) this.#soon.push(entry)
    else this.#heap.push(entry)
    return () => {
      entry.run = null
    }
  }

  /** Runs the next event that is due by `until`. @returns false when there is none */
  step(until: number): boolean {
    for (;;) {
      const next = this.#next(until)
      if (next === null) return false
      const { run } = next
      if (run === null) continue
      this.now = next.at
      next.run = null
      if (!next.background) this.#foreground--
      run()
      return true
    }
  }

  #next(until: number): Entry | null {
    const later = this.#heap.first
    const soon = this.#soon[this.#soonAt]
    if (soon !== undefined && (later === undefined || isBefore(soon, later))) {
      if (soon.at > until) return null
      if (++this.#soonAt === this.#soon.length) {
        this.#soon = []
        this.#soonAt = 0
      }
      return soon
    }
    if (later === undefined || later.at > until) return null
    this.#heap.pop()
    return later
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}
