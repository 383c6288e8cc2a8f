import type { Placement } from '../../proto/machine/contract.ts'
import type { Position } from '../../proto/machine/store.ts'

const dead = 0xffff_ffff

/** Where the batches of one epoch stand in the store, in order of arrival. Numbers only: some forty bytes a batch. */
export class BatchIndex implements Placement {
  #publishers = new Uint32Array(8)
  #counts = new Uint32Array(8)
  #sizes = new Uint32Array(8)
  #checks = new Uint32Array(8)
  #lasts = new Float64Array(8)
  #positions = new Float64Array(8)
  #length = 0
  /** Batches taken over from another index before they had a position. */
  readonly #linked = new Map<number, { index: BatchIndex; slot: number }>()

  get length(): number {
    return this.#length
  }

  /** @returns the new batch's slot; its position is told by `place` */
  add(publisher: number, first: number, last: number, size: number, check: number): number {
    const slot = this.#length
    if (slot === this.#lasts.length) this.#grow()
    this.#publishers[slot] = publisher
    this.#counts[slot] = last - first + 1
    this.#sizes[slot] = size
    this.#checks[slot] = check
    this.#lasts[slot] = last
    this.#positions[slot] = -1
    this.#length++
    return slot
  }

  place(slot: number, position: Position): void {
    this.#positions[slot] = position
  }

  positionOf(slot: number): Position {
    const position = this.#positions[slot] ?? -1
    if (position >= 0) return position
    const linked = this.#linked.get(slot)
    return linked === undefined ? -1 : linked.index.positionOf(linked.slot)
  }

  /** Takes over a batch of another index under `publisher`, its number here. */
  takeOver(publisher: number, from: BatchIndex, slot: number): void {
    const own = this.add(publisher, from.firstOf(slot), from.lastOf(slot), from.sizeOf(slot), from.checkOf(slot))
    const position = from.positionOf(slot)
    if (position >= 0) this.place(own, position)
    else this.#linked.set(own, { index: from, slot })
  }

  /** Number of the publisher within its holdings, or -1 for a batch that is not read any more. */
  publisherOf(slot: number): number {
    const publisher = this.#publishers[slot] ?? dead
    return publisher === dead ? -1 : publisher
  }

  firstOf(slot: number): number {
    return this.lastOf(slot) - (this.#counts[slot] ?? 0) + 1
  }

  lastOf(slot: number): number {
    return this.#lasts[slot] ?? 0
  }

  sizeOf(slot: number): number {
    return this.#sizes[slot] ?? 0
  }

  checkOf(slot: number): number {
    return this.#checks[slot] ?? 0
  }

  discard(slot: number): void {
    this.#publishers[slot] = dead
  }

  #grow(): void {
    const length = this.#lasts.length * 2
    this.#publishers = grown(new Uint32Array(length), this.#publishers)
    this.#counts = grown(new Uint32Array(length), this.#counts)
    this.#sizes = grown(new Uint32Array(length), this.#sizes)
    this.#checks = grown(new Uint32Array(length), this.#checks)
    this.#lasts = grown(new Float64Array(length), this.#lasts)
    this.#positions = grown(new Float64Array(length), this.#positions)
  }
}

function grown<T extends Uint32Array | Float64Array>(larger: T, from: T): T {
  larger.set(from)
  return larger
}
