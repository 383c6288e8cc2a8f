/** Who waits for the outcome of what was published: one message, or a part of many. */
import { EpochcastError } from '../../proto/errors.ts'
import { type Epoch, formatMessageId, type PublisherId, type Sequence } from '../../proto/ids.ts'
import type { Sync } from '../../proto/sync.ts'

/**
 * What became of a publish.
 * - durable: on the disks of the mode's quorum, or as safe there as `sync` says
 * - included: its epoch ended, and the closing set holds it
 * - dropped: its epoch ended, and the closing set does not hold it; it will never appear
 */
export type PublishStatus = 'durable' | 'included' | 'dropped'

export interface PublishResult {
  /** Id of the Add that had this outcome: `epoch-publisher-sequence`. */
  readonly id: string
  readonly epoch: Epoch
  readonly status: PublishStatus
  /**
   * What the quorum's acknowledgements meant, where the status is `durable`: `always` for on disk; else what may be lost, if
   * machines of more members than the mode tolerates stop at once. Null where no acknowledgement was counted.
   */
  readonly sync: Sync | null
}

/** Messages of one `publishMany` that had their outcome together: neighbours, in the order of the call. */
export interface PublishedRun {
  /** Ids of its first and its last message; those between have the numbers between. */
  readonly firstId: string
  readonly lastId: string
  readonly count: number
  readonly epoch: Epoch
  readonly status: PublishStatus
  /** As of a `PublishResult`. */
  readonly sync: Sync | null
}

/** Somebody who waits for `count` messages that follow one another in one store. */
export interface Waiter {
  readonly count: number
  /** Wants to know that their epoch dropped them, instead of having them added again. */
  readonly settleAtEpochEnd: boolean
  /** @param first sequence of the first of them */
  settled(status: PublishStatus, epoch: Epoch, publisher: PublisherId, first: number, sync: Sync | null): void
  reject(error: EpochcastError): void
}

/** Waits for one message. One object a message: nothing more is made until it is settled. */
export class One implements Waiter {
  readonly count = 1
  readonly settleAtEpochEnd: boolean
  readonly reject: (error: EpochcastError) => void
  readonly resolve: (result: PublishResult) => void

  constructor(
    resolve: (result: PublishResult) => void,
    reject: (error: EpochcastError) => void,
    settleAtEpochEnd: boolean,
  ) {
    this.resolve = resolve
    this.reject = reject
    this.settleAtEpochEnd = settleAtEpochEnd
  }

  settled(status: PublishStatus, epoch: Epoch, publisher: PublisherId, first: number, sync: Sync | null): void {
    this.resolve({ id: idOf(epoch, publisher, first), epoch, status, sync })
  }
}

/** Nobody waits any more for these messages, but they are on their way. */
export class Nobody implements Waiter {
  readonly count: number
  readonly settleAtEpochEnd = false

  constructor(count: number) {
    this.count = count
  }

  settled(): void {}

  reject(): void {}
}

/** Waits for all messages of one call, which may be spread over several stores. */
export class Many {
  readonly parts: Part[] = []
  readonly settleAtEpochEnd: boolean
  readonly #resolve: (runs: readonly PublishedRun[]) => void
  readonly #reject: (error: EpochcastError) => void
  #open = 0

  constructor(
    resolve: (runs: readonly PublishedRun[]) => void,
    reject: (error: EpochcastError) => void,
    settleAtEpochEnd: boolean,
  ) {
    this.#resolve = resolve
    this.#reject = reject
    this.settleAtEpochEnd = settleAtEpochEnd
  }

  part(count: number): Part {
    const part = new Part(this, count)
    this.parts.push(part)
    this.#open++
    return part
  }

  /**
   * The caller gives up: what has not left is withdrawn.
   * @returns the id of the first message that left, null where none did
   */
  withdraw(from: { withdraw(waiter: Waiter): string | null }): string | null {
    // Every part is withdrawn, also behind one that left.
    const left = this.parts.map((part) => part.run?.firstId ?? from.withdraw(part))
    return left.find((id) => id !== null) ?? null
  }

  /** One part has its outcome. */
  told(): void {
    if (--this.#open > 0) return
    this.#resolve(this.parts.flatMap(({ run }) => (run === null ? [] : [run])))
  }

  failed(error: EpochcastError): void {
    this.#reject(error)
  }
}

class Part implements Waiter {
  readonly count: number
  run: PublishedRun | null = null
  readonly #of: Many

  constructor(of: Many, count: number) {
    this.#of = of
    this.count = count
  }

  get settleAtEpochEnd(): boolean {
    return this.#of.settleAtEpochEnd
  }

  settled(status: PublishStatus, epoch: Epoch, publisher: PublisherId, first: number, sync: Sync | null): void {
    const { count } = this
    const lastId = idOf(epoch, publisher, first + count - 1)
    this.run = { firstId: idOf(epoch, publisher, first), lastId, count, epoch, status, sync }
    this.#of.told()
  }

  reject(error: EpochcastError): void {
    this.#of.failed(error)
  }
}

function idOf(epoch: Epoch, publisher: PublisherId, sequence: number): string {
  return formatMessageId({ epoch, publisher, sequence: sequence as Sequence })
}

/** A caller gave up before any of its messages had left: they have been withdrawn. */
export function neverSent(error: EpochcastError): EpochcastError {
  const { code, cause } = error
  return new EpochcastError(code, `${error.message}; no message was sent, and none will be`, { cause })
}

/**
 * A caller gave up on a message that had left.
 * @param why what kept it from an outcome, where that is known
 */
export function unknownOutcome(id: string, cause: EpochcastError, why: EpochcastError | null): EpochcastError {
  const reason = why === null ? cause.message : `${cause.message} (${why.message})`
  return new EpochcastError('EC_OUTCOME_UNKNOWN', `${reason}; whether ${id} was stored is not known`, {
    cause: why ?? cause,
    messageId: id,
    hint: `ask outcome('${id}')`,
  })
}
