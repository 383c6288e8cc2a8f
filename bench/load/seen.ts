/** Which messages of each stream one subscriber was given, and how often. */
export interface Range {
  readonly stream: number
  readonly first: number
  readonly last: number
}

export class Seen {
  /** Different messages. */
  distinct = 0
  duplicated = 0
  /** Messages that came after a later one of their stream. */
  disordered = 0
  readonly #streams = new Map<number, Bits>()

  add(stream: number, sequence: number): void {
    let bits = this.#streams.get(stream)
    if (bits === undefined) {
      bits = new Bits()
      this.#streams.set(stream, bits)
    }
    if (bits.has(sequence)) {
      this.duplicated++
      return
    }
    if (sequence < bits.end) this.disordered++
    bits.set(sequence)
    this.distinct++
  }

  /** What is lacking of the first `published` messages of a stream, as runs. */
  missing(stream: number, published: number): Range[] {
    const bits = this.#streams.get(stream)
    const runs: Range[] = []
    let first: number | null = null
    for (let sequence = 0; sequence <= published; sequence++) {
      const isMissing = sequence < published && bits?.has(sequence) !== true
      if (isMissing) first ??= sequence
      else if (first !== null) {
        runs.push({ stream, first, last: sequence - 1 })
        first = null
      }
    }
    return runs
  }
}

class Bits {
  /** One above the highest that is set. */
  end = 0
  #words = new Uint32Array(64)

  has(at: number): boolean {
    return at < this.end && (((this.#words[at >>> 5] ?? 0) >>> (at & 31)) & 1) === 1
  }

  set(at: number): void {
    const word = at >>> 5
    if (word >= this.#words.length) {
      const larger = new Uint32Array(Math.max(this.#words.length * 2, word + 1))
      larger.set(this.#words)
      this.#words = larger
    }
    this.#words[word] = (this.#words[word] ?? 0) | (1 << (at & 31))
    if (at >= this.end) this.end = at + 1
  }
}

/** Messages of a burst that failed: at most `count` of these. */
export interface Failed extends Range {
  readonly count: number
}

/**
 * How many messages are lost that were acknowledged: a missing one is excused by a publish that failed, as often as it failed.
 */
export function countLost(missing: readonly Range[], failed: readonly Failed[]): number {
  let lost = 0
  for (const run of missing) lost += run.last - run.first + 1
  for (const { stream, first, last, count } of failed) {
    let within = 0
    for (const run of missing) {
      if (run.stream !== stream) continue
      within += Math.max(0, Math.min(run.last, last) - Math.max(run.first, first) + 1)
    }
    lost -= Math.min(within, count)
  }
  return lost
}
