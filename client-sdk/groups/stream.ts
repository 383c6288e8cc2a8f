/** A group as its reader sees it: messages that this member holds, one after the other. */

import { whole } from '../../proto/door/checks.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { TopicName } from '../../proto/ids.ts'
import type { Codec } from '../codecs.ts'
import { groupLogName } from '../companion.ts'
import { Registrations } from '../registrations.ts'
import { Message } from '../stream.ts'
import { checkDeadLetter } from './dead-letters.ts'
import type { Job } from './inbox.ts'
import { delayMsMax, leaseMsMax, type Start } from './messages.ts'
import type { GroupPorts } from './ports.ts'
import { type Answered, GroupSession } from './session.ts'

export interface GroupLimits {
  /**
   * `auto` (default): a message is done when the reader asks for the next one; `explicit`: when `ack()` says so. A message that is not done
   * when its member leaves or dies goes to another one.
   */
  readonly ack?: 'auto' | 'explicit'
  /** Messages that this member may hold at once, 64 by default. */
  readonly maxPending?: number
  /** Silence in milliseconds after which the others take this member for dead, 10,000 by default. */
  readonly leaseMs?: number
  /**
   * Deliveries of one message after which it goes to `deadLetter`; never by default. Only what a reader was given counts. Each
   * message then costs a round trip to the group's log before the reader is given it.
   */
  readonly deliveriesMax?: number
  /**
   * Topic for messages that were delivered too often, made when the group is joined. Neither the topic itself nor one of the
   * product's own; a message that comes round to a topic again stays there.
   */
  readonly deadLetter?: string
  readonly signal?: AbortSignal
}

/** A time that every member can write down, counted from any clock's. */
const nakDelay = whole(0, delayMsMax)
const defaults = { maxPending: 64, leaseMs: 10_000 }
const pendingMax = 1_000
const leaseMinMs = 200

/** A message of a group. Its reader's member holds it: no other one is given it until it is given back. */
export class GroupMessage<T> extends Message<T> {
  /** How often it was given to a reader, this time included. */
  readonly deliveries: number
  readonly #session: GroupSession
  readonly #job: Job
  #isAnswered = false

  constructor(job: Job, codec: Codec<T>, session: GroupSession) {
    super(job.batch, job.index, job.content, codec, job.header)
    this.deliveries = job.deliveries
    this.#session = session
    this.#job = job
  }

  /**
   * It is done: no member is given it again. Resolves when that is on the servers.
   * @throws EpochcastError `EC_NOT_HELD` when this member does not hold it: it was answered, or given back; `EC_OUTCOME_UNKNOWN`
   *   when the member ended before that was agreed
   */
  ack(): Promise<void> {
    return this.#answered(this.#session.ack(this.#job))
  }

  /**
   * It is not done: a member is given it again, not before `delayMs` milliseconds, at most a year.
   * @throws EpochcastError `EC_NOT_HELD`, `EC_OUTCOME_UNKNOWN`, `EC_BAD_ARGUMENT`
   */
  nak(delayMs = 0): Promise<void> {
    return this.#answered(this.#session.nak(this.#job, nakDelay(delayMs, 'delayMs')))
  }

  protected override more(): object {
    return { deliveries: this.deliveries }
  }

  #answered(told: Promise<Answered>): Promise<void> {
    const isRepeated = this.#isAnswered
    this.#isAnswered = true
    const answered = told.then((what) => {
      if (what !== 'done') throw notDone(this.id, isRepeated ? 'answered' : what)
    })
    // A caller that does not wait for it does not want to know.
    answered.catch(() => {})
    return answered
  }
}

function notDone(id: string, what: 'answered' | 'not-held' | 'unknown'): EpochcastError {
  switch (what) {
    case 'answered':
      return new EpochcastError('EC_NOT_HELD', `message ${id} was answered before`)
    case 'not-held':
      return new EpochcastError('EC_NOT_HELD', `message ${id} is not held here any more`, {
        hint: 'this member left, or was silent for longer than its lease: another one is given the message',
      })
    case 'unknown':
      return new EpochcastError('EC_OUTCOME_UNKNOWN', `this member ended before the answer to ${id} was agreed`, {
        messageId: id,
        hint: 'wait for ack() before the client is closed; if it was not agreed, another member is given the message',
      })
  }
}

/**
 * One member of a group. Ends with `break`, `return()`, its signal, or `close()` and `drain()` of its client: all of them give
 * back at once what it holds. While no server answers that takes a few seconds, and the others wait for its lease.
 */
export class GroupStream<T> implements AsyncIterableIterator<GroupMessage<T>>, AsyncDisposable {
  readonly #session: GroupSession
  readonly #codec: Codec<T>
  readonly #isAuto: boolean
  readonly #registered = new Registrations()
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
    const options = checked(topic, limits)
    this.#codec = codec
    this.#isAuto = limits.ack !== 'explicit'
    this.#session = new GroupSession(ports, { topic, log, start, ...options }, () => this.#wakeUp())
    this.#registered.add(ports.onClose(() => this.#session.end()))
    this.#registered.add(ports.onLeave(() => this.return()))
    this.#registered.onAbort(limits.signal, () => void this.return())
  }

  /** Members of the group, as far as this one knows; 0 until it has joined. */
  get memberCount(): number {
    return this.#session.memberCount
  }

  /** Where the group began to read its topic; null until this member has joined. */
  get founded(): Start | null {
    return this.#session.founded
  }

  /** It has ended or is about to: what it held is given to others. */
  get isEnding(): boolean {
    return this.#session.isLeaving
  }

  /** Resolves once this member has joined. @throws EpochcastError whatever keeps it from joining */
  async joined(): Promise<this> {
    while (!this.#session.isJoined) {
      if (this.#session.failure !== null) throw this.#session.failure
      if (this.#session.isLeaving) throw new EpochcastError('EC_CLOSED', 'the group was left')
      await this.#change()
    }
    return this
  }

  async next(): Promise<IteratorResult<GroupMessage<T>>> {
    const last = this.#last
    this.#last = null
    if (this.#isAuto) void last?.ack()
    for (;;) {
      const { failure, isLeaving } = this.#session
      if (failure !== null) throw failure
      if (isLeaving) return { done: true, value: undefined }
      const job = this.#session.take()
      if (job !== null) {
        const message = new GroupMessage(job, this.#codec, this.#session)
        this.#last = message
        return { done: false, value: message }
      }
      await this.#change()
    }
  }

  /** Leaves the group: what was not answered goes to the others. Takes a few seconds at the most. */
  async return(): Promise<IteratorResult<GroupMessage<T>>> {
    await this.#session.leave()
    this.#registered.takeBack()
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
    if (this.#session.isOver) this.#registered.takeBack()
    const wakes = this.#wakes
    this.#wakes = []
    for (const wake of wakes) wake()
  }
}

function checked(topic: TopicName, limits: GroupLimits) {
  const { maxPending = defaults.maxPending, leaseMs = defaults.leaseMs, deliveriesMax = 0, deadLetter = '' } = limits
  if (limits.ack !== undefined && limits.ack !== 'auto' && limits.ack !== 'explicit') {
    throw new EpochcastError('EC_BAD_ARGUMENT', `ack ${JSON.stringify(limits.ack)} is neither auto nor explicit`)
  }
  check('maxPending', maxPending, 1, pendingMax)
  check('leaseMs', leaseMs, leaseMinMs, leaseMsMax)
  check('deliveriesMax', deliveriesMax, 0, pendingMax)
  if (deliveriesMax > 0 !== (deadLetter !== '')) {
    throw new EpochcastError('EC_BAD_ARGUMENT', 'deliveriesMax and deadLetter go together', {
      hint: 'a message that is delivered too often needs a topic to go to: nothing is thrown away',
    })
  }
  if (deadLetter !== '') checkDeadLetter(topic, deadLetter)
  return { capacity: maxPending, leaseMs, settings: { deliveriesMax, deadLetter } }
}

function check(what: string, value: number, min: number, max: number): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return
  throw new EpochcastError('EC_BAD_ARGUMENT', `${what} ${value} is not a whole number from ${min} to ${max}`)
}
