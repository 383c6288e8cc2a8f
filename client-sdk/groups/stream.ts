/** A group as its reader sees it: messages that this member holds, one after the other. */
import { EpochcastError } from '../../proto/errors.ts'
import { type TopicName, topicName } from '../../proto/ids.ts'
import type { Codec } from '../codecs.ts'
import { groupLogName } from '../companion.ts'
import { whole } from '../door/checks.ts'
import { Message } from '../stream.ts'
import type { Job } from './inbox.ts'
import { delayMsMax, type Start } from './messages.ts'
import type { GroupPorts } from './ports.ts'
import { GroupSession } from './session.ts'

export interface GroupLimits {
  /**
   * `auto` (default): a message is done when the reader asks for the next one; `explicit`: when `ack()` says so. What is not done
   * when its member leaves or dies goes to another one.
   */
  readonly ack?: 'auto' | 'explicit'
  /** Messages that this member may hold at once, 64 by default. */
  readonly maxPending?: number
  /** Silence in milliseconds after which the others take this member for dead, 10,000 by default. */
  readonly leaseMs?: number
  /** Deliveries of one message after which it goes to `deadLetter`; never by default. */
  readonly deliveriesMax?: number
  /** Topic for messages that were delivered too often. */
  readonly deadLetter?: string
  readonly signal?: AbortSignal
}

/** A time that every member can write down, counted from any clock's. */
const nakDelay = whole(0, delayMsMax)
const defaults = { maxPending: 64, leaseMs: 10_000 }
const pendingMax = 1_000
const leaseMaxMs = 600_000
const leaseMinMs = 200

/** A message of a group. Whoever reads it holds it: nobody else is given it until it is given back. */
export class GroupMessage<T> extends Message<T> {
  /** How often it was handed out, this time included. */
  readonly deliveries: number
  readonly #session: GroupSession
  readonly #job: Job

  constructor(job: Job, codec: Codec<T>, session: GroupSession) {
    super(job.batch, job.index, job.content, codec, job.header)
    this.deliveries = job.deliveries
    this.#session = session
    this.#job = job
  }

  /**
   * It is done: nobody is given it again. Resolves when that is on the servers.
   * @throws EpochcastError `EC_NOT_HELD` when this member does not hold it: it was answered, or its member was taken for dead
   */
  ack(): Promise<void> {
    return this.#answered(this.#session.ack(this.#job))
  }

  /**
   * It is not done: somebody is given it again, not before `delayMs` milliseconds, at most a year.
   * @throws EpochcastError `EC_NOT_HELD`, `EC_BAD_ARGUMENT`
   */
  nak(delayMs = 0): Promise<void> {
    return this.#answered(this.#session.nak(this.#job, nakDelay(delayMs, 'delayMs')))
  }

  protected override more(): object {
    return { deliveries: this.deliveries }
  }

  #answered(held: Promise<boolean>): Promise<void> {
    const answered = held.then((isHeld) => {
      if (isHeld) return
      throw new EpochcastError('EC_NOT_HELD', `message ${this.id} is not held here any more`, {
        hint: 'it was answered before, or this process was silent for longer than its lease: another member has it',
      })
    })
    // Who does not wait for it does not want to be told.
    answered.catch(() => {})
    return answered
  }
}

/** One member of a group. Ends with `break`, `return()`, its signal or its client; only the first three say so to the others. */
export class GroupStream<T> implements AsyncIterableIterator<GroupMessage<T>>, AsyncDisposable {
  readonly #session: GroupSession
  readonly #codec: Codec<T>
  readonly #isAuto: boolean
  readonly #untrack: () => void
  #last: GroupMessage<T> | null = null
  #wakes: (() => void)[] = []

  constructor(
    topic: TopicName,
    group: string,
    codec: Codec<T>,
    ports: GroupPorts,
    limits: GroupLimits,
    start: () => Promise<Start>,
  ) {
    const log = groupLogName(topic, group)
    const options = checked(limits)
    this.#codec = codec
    this.#isAuto = limits.ack !== 'explicit'
    this.#session = new GroupSession(ports, { topic, log, start, ...options }, () => this.#wakeUp())
    this.#untrack = ports.onClose(() => this.#session.end())
    if (limits.signal?.aborted === true) void this.return()
    else limits.signal?.addEventListener('abort', () => void this.return(), { once: true })
  }

  /** Members of the group, as far as this one knows; 0 until it has joined. */
  get memberCount(): number {
    return this.#session.memberCount
  }

  /** Resolves once this member has joined. @throws EpochcastError whatever keeps it from joining */
  async joined(): Promise<this> {
    while (!this.#session.isJoined) {
      if (this.#session.failure !== null) throw this.#session.failure
      if (this.#session.isOver) throw new EpochcastError('EC_CLOSED', 'the group was left')
      await this.#change()
    }
    return this
  }

  async next(): Promise<IteratorResult<GroupMessage<T>>> {
    const last = this.#last
    this.#last = null
    if (this.#isAuto) void last?.ack()
    for (;;) {
      const { failure, isOver } = this.#session
      if (failure !== null) throw failure
      if (isOver) return { done: true, value: undefined }
      const job = this.#session.take()
      if (job !== null) {
        const message = new GroupMessage(job, this.#codec, this.#session)
        this.#last = message
        return { done: false, value: message }
      }
      await this.#change()
    }
  }

  /** Leaves the group: what was not answered goes to the others. */
  async return(): Promise<IteratorResult<GroupMessage<T>>> {
    await this.#session.leave()
    this.#untrack()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakes.push(resolve)
    })
  }

  #wakeUp(): void {
    const wakes = this.#wakes
    this.#wakes = []
    for (const wake of wakes) wake()
  }
}

function checked(limits: GroupLimits) {
  const { maxPending = defaults.maxPending, leaseMs = defaults.leaseMs, deliveriesMax = 0, deadLetter = '' } = limits
  if (limits.ack !== undefined && limits.ack !== 'auto' && limits.ack !== 'explicit') {
    throw new EpochcastError('EC_BAD_ARGUMENT', `ack ${JSON.stringify(limits.ack)} is neither auto nor explicit`)
  }
  check('maxPending', maxPending, 1, pendingMax)
  check('leaseMs', leaseMs, leaseMinMs, leaseMaxMs)
  check('deliveriesMax', deliveriesMax, 0, pendingMax)
  if (deliveriesMax > 0 !== (deadLetter !== '')) {
    throw new EpochcastError('EC_BAD_ARGUMENT', 'deliveriesMax and deadLetter go together', {
      hint: 'a message that is delivered too often needs a topic to go to: nothing is thrown away',
    })
  }
  if (deadLetter !== '') topicName(deadLetter)
  return { capacity: maxPending, leaseMs, settings: { deliveriesMax, deadLetter } }
}

function check(what: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return
  throw new EpochcastError('EC_BAD_ARGUMENT', `${what} ${value} is not a whole number from ${min} to ${max}`)
}
