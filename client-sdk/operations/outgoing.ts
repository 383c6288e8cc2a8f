import type { EpochcastError } from '../../proto/errors.ts'
import { type Epoch, formatMessageId, type PublisherId, type Sequence } from '../../proto/ids.ts'
import type { Settleable } from '../../proto/machine/contract.ts'
import { BodyWriter, type Headers, readEntries } from '../entries.ts'

/**
 * What became of a publish.
 * - durable: on the disks of the mode's quorum
 * - included: its epoch ended, and the closing set holds it
 * - dropped: its epoch ended, and the closing set does not hold it; it will never appear
 */
export type PublishStatus = 'durable' | 'included' | 'dropped'

export interface PublishResult {
  /** Id of the Add that had this outcome: `epoch-publisher-sequence`. */
  readonly id: string
  readonly epoch: Epoch
  readonly status: PublishStatus
}

/** Somebody who waits for one message, or for a run of them. */
export interface Waiter {
  resolve(result: PublishResult): void
  reject(error: EpochcastError): void
  /** Wants to know that its epoch dropped it, instead of having it added again. */
  readonly settleAtEpochEnd: boolean
}

/** A run of messages that is stored, acknowledged, included or dropped as one. Its bytes never change. */
export class Outgoing implements Settleable {
  readonly body: Uint8Array
  readonly count: number
  readonly check: number
  readonly time: number
  /** One for each message; null where the caller gave up. */
  readonly waiters: (Waiter | null)[]
  first = 0
  last = 0
  epoch: Epoch | null = null
  #status: PublishStatus = 'durable'
  #publisher: PublisherId | null = null

  constructor(body: Uint8Array, check: number, time: number, waiters: (Waiter | null)[]) {
    this.body = body
    this.count = waiters.length
    this.check = check
    this.time = time
    this.waiters = waiters
  }

  /** Becomes part of an epoch under the numbers from `first` on. */
  assign(epoch: Epoch, publisher: PublisherId, first: number): void {
    this.epoch = epoch
    this.#publisher = publisher
    this.first = first
    this.last = first + this.count - 1
  }

  get assigned(): boolean {
    return this.epoch !== null
  }

  conclude(status: PublishStatus): void {
    this.#status = status
  }

  idOf(index: number): string {
    if (this.epoch === null || this.#publisher === null) return ''
    return formatMessageId({
      epoch: this.epoch,
      publisher: this.#publisher,
      sequence: (this.first + index) as Sequence,
    })
  }

  settle(): void {
    const { epoch } = this
    if (epoch === null) return
    for (let index = 0; index < this.waiters.length; index++) {
      const waiter = this.waiters[index]
      this.waiters[index] = null
      waiter?.resolve({ id: this.idOf(index), epoch, status: this.#status })
    }
  }

  rejectAll(error: (id: string) => EpochcastError): void {
    for (let index = 0; index < this.waiters.length; index++) {
      const waiter = this.waiters[index]
      this.waiters[index] = null
      waiter?.reject(error(this.idOf(index)))
    }
  }

  /** Whether it has to be written anew before it is added again: somebody gave up, or wants to be told. */
  get needsRewriting(): boolean {
    return this.waiters.some((waiter) => waiter === null || waiter.settleAtEpochEnd)
  }

  /** The messages that are still wanted, as entries of a new run. */
  *remaining(): Iterable<{ payload: Uint8Array; header: Uint8Array | undefined; waiter: Waiter }> {
    const headers: Headers = new Map()
    const payloads = readEntries(this.body, this.count, headers)
    for (let index = 0; index < payloads.length; index++) {
      const [payload, waiter] = [payloads[index], this.waiters[index]]
      if (payload !== undefined && waiter !== null && waiter !== undefined) {
        yield { payload, header: headers.get(index), waiter }
      }
    }
  }
}

/** The run that is being filled by the calls of this turn. */
export class OutgoingDraft {
  readonly #writer = new BodyWriter()
  #waiters: (Waiter | null)[] = []

  get bytes(): number {
    return this.#writer.length
  }

  get count(): number {
    return this.#waiters.length
  }

  /** @returns the place of the message in its run */
  add(payload: Uint8Array, waiter: Waiter, header?: Uint8Array): number {
    this.#writer.add(payload, header)
    return this.#waiters.push(waiter) - 1
  }

  take(check: (body: Uint8Array) => number, time: number): Outgoing {
    const body = this.#writer.take()
    const waiters = this.#waiters
    this.#waiters = []
    return new Outgoing(body, check(body), time, waiters)
  }
}
