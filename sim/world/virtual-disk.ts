/**
 * A disk in virtual time: a flush ends when the world says so, and a crash keeps what was flushed by then. Everything is
 * synchronous, so one event of the world is one step of one machine.
 */
import type { Position, RecordKind, Store } from '../../proto/machine/store.ts'

export interface DiskRecord {
  readonly kind: RecordKind
  readonly body: Uint8Array
  readonly position: Position
}

/** What the world does with a disk. */
export interface DiskOwner {
  /** Ends the flush, now or later, or never. */
  flushing(end: () => void): void
  appended(record: DiskRecord): void
  /** These are on disk now, in this order. */
  flushed(records: readonly DiskRecord[]): void
}

export class VirtualDisk implements Store {
  full = false
  readonly #owner: DiskOwner
  readonly #records: DiskRecord[] = []
  readonly #byPosition = new Map<Position, Uint8Array>()
  #flushed = 0
  #end: Position = 0
  #detached = false

  constructor(owner: DiskOwner, records: readonly DiskRecord[] = []) {
    this.#owner = owner
    for (const record of records) this.#keep(record)
    this.#flushed = this.#records.length
  }

  get dirty(): boolean {
    return this.#flushed < this.#records.length
  }

  get flushedCount(): number {
    return this.#flushed
  }

  get flushedTo(): Position {
    return this.#records[this.#flushed]?.position ?? this.#end
  }

  get records(): readonly DiskRecord[] {
    return this.#records
  }

  append(kind: RecordKind, body: Uint8Array): Position {
    const record = { kind, body: Uint8Array.from(body), position: this.#end }
    this.#keep(record)
    this.#owner.appended(record)
    return record.position
  }

  flush(): Promise<void> {
    const count = this.#records.length
    const completion = new Completion()
    const end = () => {
      if (this.#detached) return
      const fresh = this.#records.slice(this.#flushed, count)
      this.#flushed = Math.max(this.#flushed, count)
      if (fresh.length > 0) this.#owner.flushed(fresh)
      completion.end()
    }
    if (count === this.#flushed) end()
    else this.#owner.flushing(end)
    // The loop only calls `then`; a real promise would end in a turn of its own, outside of virtual time.
    return completion as unknown as Promise<void>
  }

  read(position: Position): Uint8Array {
    const body = this.#byPosition.get(position)
    if (body === undefined) throw new Error(`no record at position ${position}`)
    return body
  }

  /** Hands over what a server finds when it starts. */
  replay(visit: (kind: RecordKind, body: Uint8Array, position: Position) => void): void {
    for (const { kind, body, position } of this.#records) visit(kind, body, position)
  }

  async recover(visit: (kind: RecordKind, body: Uint8Array, position: Position) => void): Promise<void> {
    this.replay(visit)
  }

  idle(): void {}

  async close(): Promise<void> {}

  /** The process is gone: what was being flushed never ends. @returns what the next one finds */
  crash(): readonly DiskRecord[] {
    this.#detached = true
    return this.#records.slice(0, this.#flushed)
  }

  #keep(record: DiskRecord): void {
    this.#records.push(record)
    this.#byPosition.set(record.position, record.body)
    this.#end = record.position + record.body.length + 1
  }
}

type Outcome = { readonly error: unknown } | 'done'

/** The part of a promise that the loop uses, without a turn of the event loop in between. */
class Completion {
  #outcome: Outcome | null = null
  #listeners: ((outcome: Outcome) => void)[] = []

  // biome-ignore lint/suspicious/noThenProperty: it stands in for a promise
  then(done: () => void, failed?: (error: unknown) => void): Completion {
    const next = new Completion()
    this.#when((outcome) => next.#follow(outcome, done, failed))
    return next
  }

  catch(failed: (error: unknown) => void): Completion {
    return this.then(() => {}, failed)
  }

  end(): void {
    this.#settle('done')
  }

  #follow(outcome: Outcome, done: () => void, failed?: (error: unknown) => void): void {
    try {
      if (outcome === 'done') done()
      else if (failed === undefined) throw outcome.error
      else failed(outcome.error)
      this.#settle('done')
    } catch (error) {
      this.#settle({ error })
    }
  }

  #when(listener: (outcome: Outcome) => void): void {
    if (this.#outcome === null) this.#listeners.push(listener)
    else listener(this.#outcome)
  }

  #settle(outcome: Outcome): void {
    this.#outcome = outcome
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener(outcome)
  }
}
