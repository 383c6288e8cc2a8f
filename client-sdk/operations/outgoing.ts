import type { EpochcastError } from '../../proto/errors.ts'
import { type Epoch, formatMessageId, type PublisherId, type Sequence } from '../../proto/ids.ts'
import type { Settleable } from '../../proto/machine/contract.ts'
import type { Sync } from '../../proto/sync.ts'
import type { Batch } from '../../proto/wire/messages.ts'
import { BodyWriter, type Headers, readEntries } from '../entries.ts'
import { Nobody, type PublishStatus, type Waiter } from './waiters.ts'

/** What a batch's envelope may say about order. */
export type Stamp = Partial<Pick<Batch, 'after' | 'ranks'>>

/** A run of messages that is stored, acknowledged, included or dropped as one. Its bytes never change. */
export class Outgoing implements Settleable {
  readonly body: Uint8Array
  readonly count: number
  readonly check: number
  readonly time: number
  /** In the order of the messages; each stands for `count` of them. */
  #waiters: Waiter[]
  /** A caller gave up: its messages are left out before it is added, or added again. */
  isStale = false
  /** A caller wants to know that the epoch dropped its messages, instead of having them added again. */
  readonly #isToldOfDrops: boolean
  first = 0
  last = 0
  epoch: Epoch | null = null
  /** What its envelope says beyond its range: set anew for every epoch. */
  stamp: Stamp | null
  /** When its first message was published, among all of its client. */
  ticket = 0
  /** How many messages its publisher had taken before its first. */
  ordinal = 0
  #status: PublishStatus = 'durable'
  #sync: Sync = 'always'
  #refusal: EpochcastError | null = null
  #publisher: PublisherId | null = null

  constructor(
    body: Uint8Array,
    count: number,
    check: number,
    time: number,
    waiters: Waiter[],
    stamp: Stamp | null = null,
  ) {
    this.stamp = stamp
    this.body = body
    this.count = count
    this.check = check
    this.time = time
    this.#waiters = waiters
    this.#isToldOfDrops = waiters.some((waiter) => waiter.settleAtEpochEnd)
  }

  /** Becomes part of an epoch under the numbers from `first` on. */
  assign(epoch: Epoch, publisher: PublisherId, first: number): void {
    this.epoch = epoch
    this.#publisher = publisher
    this.first = first
    this.last = first + this.count - 1
  }

  /** Not all of its messages are to be added again. */
  get needsRewriting(): boolean {
    return this.isStale || this.#isToldOfDrops
  }

  /** Its quorum has acknowledged it. */
  acknowledged(sync: Sync): void {
    this.#sync = sync
  }

  conclude(status: PublishStatus): void {
    this.#status = status
  }

  /** Id of the message at `index`; empty before it belongs to an epoch. */
  idOf(index: number): string {
    if (this.epoch === null || this.#publisher === null) return ''
    return formatMessageId({
      epoch: this.epoch,
      publisher: this.#publisher,
      sequence: (this.first + index) as Sequence,
    })
  }

  /** Nothing of it will be stored: `settle` says so. */
  refuse(error: EpochcastError): void {
    this.#refusal = error
  }

  settle(): void {
    const refusal = this.#refusal
    if (refusal !== null) this.rejectAll(() => refusal)
    else this.#settleAll(this.#status, this.#takeWaiters())
  }

  rejectAll(error: (id: string) => EpochcastError): void {
    let index = 0
    for (const waiter of this.#takeWaiters()) {
      waiter.reject(error(this.idOf(index)))
      index += waiter.count
    }
  }

  /** Tells those that want to know that the epoch dropped their messages; they do not wait any more. */
  settleDropped(): void {
    const waiters = this.#waiters
    const isTold = (waiter: Waiter) => waiter.settleAtEpochEnd
    this.#settleAll(
      'dropped',
      waiters.map((waiter) => (isTold(waiter) ? waiter : new Nobody(waiter.count))),
    )
    this.#waiters = waiters.map((waiter) => (isTold(waiter) ? new Nobody(waiter.count) : waiter))
  }

  /** Messages that somebody waits for. */
  get awaitedCount(): number {
    return this.#waiters.reduce((sum, waiter) => sum + (waiter instanceof Nobody ? 0 : waiter.count), 0)
  }

  /** Ids of the messages that are not added again. */
  settlingIds(): string[] {
    const ids: string[] = []
    let index = 0
    for (const waiter of this.#waiters) {
      for (let at = 0; at < waiter.count; at++) if (waiter.settleAtEpochEnd) ids.push(this.idOf(index + at))
      index += waiter.count
    }
    return ids
  }

  /** @returns the index of the first message of a waiter that gives up, or -1 when it waits for none here */
  abandon(waiter: Waiter): number {
    let index = 0
    for (let at = 0; at < this.#waiters.length; at++) {
      const known = this.#waiters[at] as Waiter
      if (known === waiter) {
        this.#waiters[at] = new Nobody(waiter.count)
        this.isStale = true
        return index
      }
      index += known.count
    }
    return -1
  }

  /** The messages that are still wanted, as entries of a new run. */
  *remaining(): Iterable<{
    entries: readonly { readonly payload: Uint8Array; readonly header: Uint8Array | undefined }[]
    waiter: Waiter
  }> {
    const headers: Headers = new Map()
    const payloads = readEntries(this.body, this.count, headers)
    const all = payloads.map((payload, at) => ({ payload, header: headers.get(at) }))
    let index = 0
    for (const waiter of this.#waiters) {
      if (!(waiter instanceof Nobody)) yield { entries: all.slice(index, index + waiter.count), waiter }
      index += waiter.count
    }
  }

  #settleAll(status: PublishStatus, waiters: readonly Waiter[]): void {
    const { epoch } = this
    const publisher = this.#publisher
    if (epoch === null || publisher === null) return
    const sync = status === 'durable' ? this.#sync : null
    let { first } = this
    for (const waiter of waiters) {
      waiter.settled(status, epoch, publisher, first, sync)
      first += waiter.count
    }
  }

  #takeWaiters(): readonly Waiter[] {
    const waiters = this.#waiters
    this.#waiters = []
    return waiters
  }
}

/** The run that is being filled by the calls of this turn. */
export class OutgoingDraft {
  readonly #writer = new BodyWriter()
  #waiters: Waiter[] = []

  get bytes(): number {
    return this.#writer.length
  }

  get count(): number {
    return this.#writer.count
  }

  /** Takes a payload; `wait` says who waits for it, and for those before it that nobody waits for yet. */
  add(payload: Uint8Array, header?: Uint8Array): void {
    this.#writer.add(payload, header)
  }

  wait(waiter: Waiter): void {
    this.#waiters.push(waiter)
  }

  take(check: (body: Uint8Array) => number, time: number): Outgoing {
    const { count } = this.#writer
    const body = this.#writer.take()
    const waiters = this.#waiters
    this.#waiters = []
    return new Outgoing(body, count, check(body), time, waiters)
  }
}
