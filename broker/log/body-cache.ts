import type { Position } from '../../proto/machine/store.ts'

/** What an entry costs beside its bytes, so that empty bodies are bounded too. */
const entryBytes = 64

/** The bodies appended last, found by position. A ring: adding and dropping make no object. */
export class BodyCache {
  readonly #bytesMax: number
  #positions = new Float64Array(256)
  #bodies: (Uint8Array | null)[] = new Array<Uint8Array | null>(256).fill(null)
  #head = 0
  #count = 0
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Positions grow from call to call. Whatever is not below `flushedTo` stays, whatever its size. */
  add(position: Position, body: Uint8Array, flushedTo: Position): void {
    if (this.#count === this.#positions.length) this.#grow()
    const slot = (this.#head + this.#count) & (this.#positions.length - 1)
    this.#positions[slot] = position
    this.#bodies[slot] = body
    this.#count++
    this.#bytes += body.length + entryBytes
    this.trim(flushedTo)
  }

  /** Drops the oldest that are on disk until the rest fits. */
  trim(flushedTo: Position): void {
    while (this.#bytes > this.#bytesMax && this.#count > 0 && this.#at(0) < flushedTo) {
      this.#bytes -= (this.#bodies[this.#head]?.length ?? 0) + entryBytes
      this.#bodies[this.#head] = null
      this.#head = (this.#head + 1) & (this.#positions.length - 1)
      this.#count--
    }
  }

  get(position: Position): Uint8Array | null {
    let low = 0
    let high = this.#count - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const found = this.#at(middle)
      if (found === position) return this.#bodies[(this.#head + middle) & (this.#positions.length - 1)] ?? null
      if (found < position) low = middle + 1
      else high = middle - 1
    }
    return null
  }

  #at(index: number): Position {
    return this.#positions[(this.#head + index) & (this.#positions.length - 1)] as number
  }

  #grow(): void {
    const size = this.#positions.length * 2
    const positions = new Float64Array(size)
    const bodies = new Array<Uint8Array | null>(size).fill(null)
    for (let index = 0; index < this.#count; index++) {
      positions[index] = this.#at(index)
      bodies[index] = this.#bodies[(this.#head + index) & (this.#positions.length - 1)] ?? null
    }
    this.#positions = positions
    this.#bodies = bodies
    this.#head = 0
  }
}
