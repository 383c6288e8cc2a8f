/** Virtual time: what happens next, in the order of its moment and, within one moment, of its scheduling. */

interface Entry {
  at: number
  order: number
  /** Of what comes again and again; 0 for what comes once. */
  readonly period: number
  /** Ticks go on for ever: they do not keep a world from being quiet. */
  readonly background: boolean
  run: (() => void) | null
}

export class EventQueue {
  /** Milliseconds of virtual time since the world began. */
  now = 0
  readonly #heap: Entry[] = []
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
    const entry: Entry = { at: this.now + delay, order: this.#order++, period: 0, background, run }
    if (!background) this.#foreground++
    if (delay <= 0) this.#soon.push(entry)
    else this.#push(entry)
  }

  /** @returns a function that takes it off again */
  every(period: number, run: () => void): () => void {
    const entry: Entry = { at: this.now + period, order: this.#order++, period, background: true, run }
    this.#push(entry)
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
      if (next.period > 0) {
        next.at += next.period
        next.order = this.#order++
        this.#push(next)
      } else {
        next.run = null
        if (!next.background) this.#foreground--
      }
      run()
      return true
    }
  }

  #next(until: number): Entry | null {
    const later = this.#heap[0]
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
    this.#pop()
    return later
  }

  #push(entry: Entry): void {
    const heap = this.#heap
    let at = heap.push(entry) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent] as Entry
      if (!isBefore(entry, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = entry
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++
      if (!isBefore(heap[child] as Entry, last)) break
      heap[at] = heap[child] as Entry
      at = child
    }
    heap[at] = last
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}
