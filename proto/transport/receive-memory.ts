/**
 * Where a connection receives. Node makes a new buffer for every read; at a hundred megabytes a second that keeps the garbage
 * collector busy. Here one connection reads into the same memory again and again, as far as its owner is done with the frames
 * that lay in it.
 */

/** How far the owner of many connections is with what it was given. */
export interface Rounds {
  /** Grows when everything that was handed over before is not needed any more; null when that is never known. */
  readonly round: number | null
}

const slabBytesMin = 16 * 1024
const slabBytesMax = 1024 * 1024
/** Without reuse a kept payload keeps its whole slab. */
const keptSlabBytesMax = 256 * 1024

interface Block {
  readonly memory: Buffer
  /** Round in which something in it was handed over last. */
  handed: number
}

/** Two blocks by turns: while the frames of one are looked at, the other is filled. */
class Blocks {
  readonly #rounds: Rounds
  #current: Block | null = null
  #other: Block | null = null

  constructor(rounds: Rounds) {
    this.#rounds = rounds
  }

  get memory(): Buffer | null {
    return this.#current?.memory ?? null
  }

  /** Something in the current block has been handed over. */
  handed(): void {
    if (this.#current !== null) this.#current.handed = this.#rounds.round ?? 0
  }

  /** Another block: the one before, if nobody looks at it any more and it is large enough. */
  next(bytes: number): Buffer {
    const { round } = this.#rounds
    const before = this.#other
    const isFree = before !== null && round !== null && before.handed < round && before.memory.length >= bytes
    this.#other = this.#current
    this.#current = isFree ? before : { memory: Buffer.allocUnsafeSlow(bytes), handed: -1 }
    return this.#current.memory
  }
}

export class ReceiveMemory {
  readonly #slabs: Blocks
  readonly #frames: Blocks
  readonly #bytesMax: number
  #slabBytes = slabBytesMin
  #at = 0

  constructor(rounds: Rounds) {
    this.#slabs = new Blocks(rounds)
    this.#frames = new Blocks(rounds)
    this.#bytesMax = rounds.round === null ? keptSlabBytesMax : slabBytesMax
  }

  /** Where the next read goes. */
  region(): Buffer {
    const slab = this.#slabs.memory
    if (slab !== null && slab.length - this.#at >= slab.length >>> 2) return slab.subarray(this.#at)
    this.#at = 0
    return this.#slabs.next(this.#slabBytes)
  }

  /** A read filled `bytes` of the last region; what was in them has been handed over. */
  filled(bytes: number, of: number): void {
    this.#slabs.handed()
    this.#at += bytes
    // Whoever fills what it is given gets more at once.
    if (bytes === of && this.#slabBytes < this.#bytesMax) this.#slabBytes *= 2
  }

  /** Memory for one frame that came in pieces; the one before it has been handed over. */
  frame(bytes: number): Buffer {
    this.#frames.handed()
    // Small ones of different sizes share: what is free need not have the same size.
    return this.#frames.next(Math.max(bytes, Math.min(this.#slabBytes, 64 * 1024))).subarray(0, bytes)
  }
}
