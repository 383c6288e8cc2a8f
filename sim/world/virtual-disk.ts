/**
 * A disk in virtual time: a flush ends when the world says so, and a crash keeps what was flushed by then. Everything is
 * synchronous, so one event of the world is one step of one machine. Where `sync` is weaker than `always`, batches alone are
 * written at once; the end of the process keeps them, and a loss of power only what was flushed.
 */
import type { Position, RecordKind, Store } from '../../proto/machine/store.ts'
import { intervalMsOf, type Sync } from '../../proto/sync.ts'
import type { After } from '../../proto/timer.ts'

export interface DiskRecord {
  readonly kind: RecordKind
  readonly body: Uint8Array
  readonly position: Position
}

/** What the world does with a disk. */
export interface DiskOwner {
  /** Ends the flush, now or later, or never. */
  flushing(end: () => void): void
  /** Time of the process. */
  readonly after: After
  appended(record: DiskRecord): void
  /** These are safe now, in this order: on disk, or written where that is enough. */
  flushed(records: readonly DiskRecord[]): void
}

export class VirtualDisk implements Store {
  full = false
  readonly #owner: DiskOwner
  readonly #records: DiskRecord[] = []
  readonly #byPosition = new Map<Position, Uint8Array>()
  readonly #sync: Sync
  readonly #intervalMs: number | null
  /** Takes back the next flush by the clock. */
  #cancel: (() => void) | null = null
  #written = 0
  #flushed = 0
  #end: Position = 0
  #detached = false

  constructor(owner: DiskOwner, records: readonly DiskRecord[] = [], sync: Sync = 'always') {
    this.#owner = owner
    this.#sync = sync
    this.#intervalMs = intervalMsOf(sync)
    for (const record of records) this.#keep(record)
    this.#written = this.#records.length
    this.#flushed = this.#records.length
  }

  admits(): boolean {
    return !this.full
  }

  get dirty(): boolean {
    return this.#written < this.#records.length
  }

  get flushedCount(): number {
    return this.#flushed
  }

  get flushedTo(): Position {
    return this.#records[this.#flushed]?.position ?? this.#end
  }

  get writtenTo(): Position {
    return this.#records[this.#written]?.position ?? this.#end
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
    const isWrittenOnly =
      this.#sync !== 'always' && this.#records.slice(this.#written).every(({ kind }) => kind === 'batch')
    const end = () => {
      if (this.#detached) return
      const fresh = this.#records.slice(this.#written, count)
      this.#written = Math.max(this.#written, count)
      if (isWrittenOnly) this.#flushLater()
      else this.#flushed = Math.max(this.#flushed, count)
      if (fresh.length > 0) this.#owner.flushed(fresh)
      completion.end()
    }
    if (isWrittenOnly || count === this.#written) end()
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

  /** A disk in virtual time does not fail. */
  onFailure(): void {}

  async close(): Promise<void> {}

  /** The process is gone, or all of the machine: what was being flushed never ends. @returns what the next one finds */
  crash(power: boolean): readonly DiskRecord[] {
    this.#detached = true
    this.#cancel?.()
    return this.#records.slice(0, power ? this.#flushed : this.#written)
  }

  #flushLater(): void {
    if (this.#intervalMs === null || this.#cancel !== null) return
    this.#cancel = this.#owner.after(this.#intervalMs, () => {
      this.#cancel = null
      const count = this.#written
      if (this.#flushed < count)
        this.#owner.flushing(() => {
          if (!this.#detached) this.#flushed = Math.max(this.#flushed, count)
        })
    })
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
