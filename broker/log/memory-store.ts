import { EpochcastError, InvariantViolation } from '../../proto/errors.ts'
import type { Position, RecordKind, Store } from '../../proto/machine/store.ts'

interface MemoryRecord {
  readonly kind: RecordKind
  readonly body: Uint8Array
  readonly position: Position
}

/** A store without a disk: for tests, simulations and in-process clusters. A flush takes one turn of the event loop. */
export class MemoryStore implements Store {
  readonly #records: MemoryRecord[] = []
  readonly #byPosition = new Map<Position, Uint8Array>()
  #phase: 'new' | 'open' | 'closed' = 'new'
  #end: Position = 0
  #flushed = 0

  /** Memory has no end here. */
  get full(): boolean {
    return false
  }

  admits(): boolean {
    return true
  }

  get dirty(): boolean {
    return this.#flushed < this.#records.length
  }

  get flushedTo(): Position {
    return this.#records[this.#flushed]?.position ?? this.#end
  }

  get writtenTo(): Position {
    return this.flushedTo
  }

  append(kind: RecordKind, body: Uint8Array): Position {
    this.#mustBeOpen()
    const position = this.#end
    this.#keep({ kind, body: Uint8Array.from(body), position })
    return position
  }

  async flush(): Promise<void> {
    this.#mustBeOpen()
    const count = this.#records.length
    if (count === this.#flushed) return
    await Promise.resolve()
    this.#mustBeOpen()
    this.#flushed = Math.max(this.#flushed, count)
  }

  read(position: Position): Uint8Array | Promise<Uint8Array> {
    const body = this.#byPosition.get(position)
    if (body !== undefined) return body
    return Promise.reject(new EpochcastError('EC_LOG_DAMAGED', `no record is at position ${position}`))
  }

  async recover(visit: (kind: RecordKind, body: Uint8Array, position: Position) => void): Promise<void> {
    if (this.#phase !== 'new') throw new InvariantViolation('log', 'recover was called twice')
    for (const { kind, body, position } of this.#records) visit(kind, body, position)
    this.#phase = 'open'
  }

  idle(): void {}

  /** Memory does not fail. */
  onFailure(): void {}

  async close(): Promise<void> {
    if (this.#phase === 'open') await this.flush()
    this.#phase = 'closed'
  }

  /** What the server finds when it starts again after a crash now: the flushed records alone. Ends this store. */
  reopen(): MemoryStore {
    this.#phase = 'closed'
    const next = new MemoryStore()
    for (const record of this.#records.slice(0, this.#flushed)) next.#keep(record)
    next.#flushed = this.#flushed
    return next
  }

  #keep(record: MemoryRecord): void {
    this.#records.push(record)
    this.#byPosition.set(record.position, record.body)
    this.#end = record.position + record.body.length + 1
  }

  #mustBeOpen(): void {
    if (this.#phase === 'closed') throw new EpochcastError('EC_CLOSED', 'the store is closed')
    if (this.#phase === 'new') throw new InvariantViolation('log', 'the store was used before it had recovered')
  }
}
