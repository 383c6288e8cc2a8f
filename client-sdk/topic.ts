/** One topic, as a client publishes to it and reads it. */
import { type Configuration, type Decision, type Order, orders } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type Epoch, parseMessageId, type TopicName } from '../proto/ids.ts'
import type { Loop } from '../proto/machine/loop.ts'
import { endOf, type MessageSet } from '../proto/message-set.ts'
import type { GetLevel } from '../proto/wire/messages.ts'
import type { Codec } from './codecs.ts'
import { type Cursor, formatCursor, parseCursor } from './cursor.ts'
import { entriesOf } from './entries.ts'
import type { EpochFollower, Follower } from './follower.ts'
import type { ClientCall, ClientMachine } from './machine.ts'
import type { Publisher } from './operations/add.ts'
import { Get, type GetResult } from './operations/get.ts'
import { type StartAt, Subscription } from './operations/subscribe.ts'
import { Many, One, type PublishedRun, type PublishResult, type Waiter } from './operations/waiters.ts'
import { Watch } from './operations/watch.ts'
import { EventStream, Message, MessageStream } from './stream.ts'
import { type View, viewOf } from './view.ts'
import { type OpenWaits, type WaitOptions, waitFor, watch } from './waiting.ts'

export interface PublishOptions extends WaitOptions {
  /**
   * What happens when the epoch ends and its closing set does not hold the message: `republish` (default) adds it again in the
   * next epoch, `settle` resolves with status `dropped`.
   */
  readonly onEpochEnd?: 'republish' | 'settle'
}

export interface GetOptions extends WaitOptions {
  readonly level?: GetLevel
  /** Leaves out what came before this cursor. */
  readonly since?: Cursor
}

export interface SubscribeOptions {
  /** `start`: everything that is kept; `new` (default): what becomes durable from now on; or a cursor. */
  readonly from?: 'start' | 'new' | Cursor
  /** `fifo` (default): each publisher's messages in the order of its calls; `none` promises less and gives the same. */
  readonly order?: Order
  readonly signal?: AbortSignal
}

export interface Received<T> {
  readonly messages: readonly Message<T>[]
  readonly cursor: Cursor
  /** First epoch whose messages are still kept. */
  readonly floor: Epoch
}

/**
 * - durable: on the disks of the quorum of an open epoch
 * - included, dropped: the epoch ended with it, without it
 * - pending: the epoch is open and no quorum holds it
 */
export type Outcome = 'durable' | 'included' | 'dropped' | 'pending'

/** What a topic needs of its client. */
export interface TopicContext {
  readonly loop: Loop<ClientCall>
  readonly machine: ClientMachine
  readonly messageBytesMax: number
  readonly waits: OpenWaits
  /** This client's publisher to the topic, made at its first use. */
  publisherOf(topic: TopicName): Publisher
  closed(): EpochcastError | null
  /** Ends the open epoch with the same members, and waits for the decision. */
  roll(topic: TopicName, epoch: Epoch): Promise<void>
  track(stream: EventStream<unknown>): void
  /** @returns a function that takes it back */
  onClose(run: () => void): () => void
}

const noOptions: PublishOptions = {}

export class Topic<T> {
  readonly name: TopicName
  readonly #context: TopicContext
  readonly #codec: Codec<T>
  #publisher: Publisher | null = null
  #isTurnDue = false

  constructor(name: TopicName, codec: Codec<T>, context: TopicContext) {
    this.name = name
    this.#codec = codec
    this.#context = context
  }

  /**
   * Publishes one message to all members of the current configuration (an Add; Figures 4 to 6).
   * @param value encoded at once by the topic's codec, at most `messageBytesMax` bytes
   * @returns the id, epoch and status of the Add that had an outcome; after an epoch change that is not the first one
   * @throws EpochcastError `EC_MESSAGE_TOO_LARGE`, `EC_QUEUE_FULL` (retryable), `EC_OUTCOME_UNKNOWN` when the caller gave up
   *   while it was under way (`messageId` says which Add to ask `outcome` about), `EC_TIMEOUT` or `EC_ABORTED` when it had not
   *   been sent, `EC_UNKNOWN_TOPIC`
   */
  publish(value: T, options: PublishOptions = noOptions): Promise<PublishResult> {
    return new Promise((resolve, reject) => {
      const payload = this.#encode(value)
      const waiter = new One(resolve, reject, options.onEpochEnd === 'settle')
      if (options.signal === undefined && options.timeoutMs === undefined) this.#add(payload, waiter)
      else this.#addPatiently(payload, waiter, options)
    })
  }

  /**
   * Publishes many messages, in their order, with one promise for all of them: much cheaper than a promise for each.
   * @param values encoded at once, each at most `messageBytesMax` bytes; all are taken or none is
   * @returns neighbours that had their outcome together, in the order of `values`: one run, or a few
   * @throws EpochcastError as `publish`; `EC_OUTCOME_UNKNOWN` names the first message that had no outcome
   */
  publishMany(values: Iterable<T>, options: PublishOptions = noOptions): Promise<readonly PublishedRun[]> {
    return new Promise((resolve, reject) => {
      const payloads = Array.from(values, (value) => this.#encode(value))
      if (payloads.length === 0) {
        resolve([])
        return
      }
      const isSettled = options.onEpochEnd === 'settle'
      let unwatch = () => {}
      const many = new Many(
        (runs) => {
          unwatch()
          resolve(runs)
        },
        (error) => {
          unwatch()
          reject(error)
        },
        isSettled,
      )
      if (options.signal !== undefined || options.timeoutMs !== undefined) {
        unwatch = watch(options, `publish to ${this.name}`, (error) => this.#abandon(many.parts, error))
      }
      this.#publishing().publishMany(payloads, many)
    })
  }

  /**
   * Returns the topic's messages, oldest epoch first, each publisher's in order (a Get).
   * @param options.level `linearizable` (default) sees every publish that completed before the call; `durable` and `early` ask
   *   fewer servers
   * @throws EpochcastError `EC_TIMEOUT`, `EC_ABORTED`, `EC_UNKNOWN_TOPIC`, `EC_BAD_ARGUMENT` for a bad cursor
   */
  async get(options: GetOptions = {}): Promise<Received<T>> {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const since = options.since === undefined ? null : parseCursor(this.name, options.since)
    const { machine, loop } = this.#context
    const result = await waitFor<GetResult>(this.#context.waits, options, `get of ${this.name}`, (resolve, reject) => {
      const done = (outcome: GetResult | EpochcastError) =>
        outcome instanceof Error ? reject(outcome) : resolve(outcome)
      const level = options.level ?? 'linearizable'
      const get = new Get(level, since, this.#follower, machine.servers, machine.requests, done)
      loop.call((out) => machine.addGet(get, this.name, out))
      return () => loop.call((out) => get.failed(new EpochcastError('EC_ABORTED', 'given up'), out))
    })
    const messages: Message<T>[] = []
    for (const { batch, skip } of result.given) {
      const payloads = entriesOf(batch)
      for (let index = skip; index < payloads.length; index++) {
        const payload = payloads[index]
        if (payload !== undefined) messages.push(new Message(batch, index, payload, this.#codec))
      }
    }
    return { messages, cursor: formatCursor(this.name, result.position), floor: result.floor }
  }

  /**
   * Reads the topic as it grows: durable messages only, each once, each publisher's in order, across epochs. With
   * `events: true` the ends of epochs stand between them, at the same place for every subscriber.
   */
  subscribe(options: SubscribeOptions & { readonly events: true }): EventStream<T>
  subscribe(options?: SubscribeOptions & { readonly events?: false }): MessageStream<T>
  subscribe(options: SubscribeOptions & { readonly events?: boolean } = {}): EventStream<T> | MessageStream<T> {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    if (options.order !== undefined && !orders.includes(options.order)) {
      throw new EpochcastError('EC_BAD_ARGUMENT', `order ${options.order} is not one of ${orders.join(', ')}`)
    }
    const startAt: StartAt = startOf(this.name, options.from ?? 'new')
    const events = new EventStream<T>(this.name, this.#codec, typeof startAt === 'string' ? null : startAt)
    const { machine, loop } = this.#context
    const subscription = new Subscription(startAt, this.#follower, machine.servers, machine.requests, events)
    const close = () => {
      events.end()
      loop.call((out) => machine.removeSubscription(subscription, out))
    }
    events.attach({ consumed: (count) => loop.call((out) => subscription.consumed(count, out)), close })
    loop.call((out) => machine.addSubscription(subscription, this.name, out))
    this.#context.track(events)
    if (options.signal?.aborted === true) close()
    else options.signal?.addEventListener('abort', close, { once: true })
    return options.events === true ? events : new MessageStream(events)
  }

  /** The topic's memberships as they follow each other, beginning with the current one. Ends with its client, or by `break`. */
  async *views(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<View, void, undefined> {
    const queue: View[] = []
    let wake: (() => void) | null = null
    let failure: EpochcastError | null = null
    let before: Configuration | null = null
    const push = (configuration: Configuration, decision: Decision | null) => {
      queue.push(viewOf(configuration, before, decision))
      before = configuration
      wake?.()
    }
    const { loop, machine } = this.#context
    const watch = new Watch(this.#follower, machine.requests, {
      begun: (configuration) => push(configuration, null),
      moved: (decision) => push(decision.next, decision),
      failed: (error) => {
        failure = error
        wake?.()
      },
    })
    const onAbort = () => wake?.()
    options.signal?.addEventListener('abort', onAbort, { once: true })
    loop.call((out) => machine.addWatch(watch, out))
    const untrack = this.#context.onClose(() => wake?.())
    try {
      while (options.signal?.aborted !== true && this.#context.closed() === null) {
        const view = queue.shift()
        if (view !== undefined) yield view
        else if (failure !== null) throw failure
        else {
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        }
      }
    } finally {
      untrack()
      loop.call((out) => machine.removeWatch(watch, out))
      options.signal?.removeEventListener('abort', onAbort)
    }
  }

  /**
   * Asks what became of a publish, also of another client or before a restart.
   * @param options.settle ends the epoch when the answer would be `pending`, so that there is one
   * @throws EpochcastError `EC_OUTCOME_EXPIRED` when nobody knows any more how that epoch ended
   */
  async outcome(id: string, options: WaitOptions & { readonly settle?: boolean } = {}): Promise<Outcome> {
    const { epoch, publisher, sequence } = parseMessageId(id)
    const configuration = await this.configuration(options)
    if (epoch > configuration.epoch) {
      throw new EpochcastError(
        'EC_BAD_ARGUMENT',
        `epoch ${epoch} of ${this.name} has not begun; the newest is ${configuration.epoch}`,
      )
    }
    if (epoch === configuration.epoch) {
      const stored = await this.#collect(options)
      if (this.#follower.epoch === epoch && stored !== null) {
        if (endOf(stored, publisher) >= sequence) return 'durable'
        if (options.settle !== true) return 'pending'
        await this.#context.roll(this.name, epoch)
      }
    }
    const decision = await this.#decision(epoch, options)
    if (decision === null) {
      throw new EpochcastError('EC_OUTCOME_EXPIRED', `nobody knows any more how epoch ${epoch} of ${this.name} ended`)
    }
    return endOf(decision.closing, publisher) >= sequence ? 'included' : 'dropped'
  }

  /** The newest configuration, as this client knows it. */
  configuration(options: WaitOptions = {}): Promise<Configuration> {
    const closed = this.#context.closed()
    if (closed !== null) return Promise.reject(closed)
    return waitFor(this.#context.waits, options, `looking for ${this.name}`, (resolve, reject) => {
      const once: EpochFollower = {
        begun: (configuration) => {
          this.#follower.remove(once)
          resolve(configuration)
        },
        moved: () => {},
        failed: (error) => {
          this.#follower.remove(once)
          reject(error)
        },
      }
      this.#context.loop.call((out) => this.#follower.add(once, out, false))
      return () => this.#follower.remove(once)
    })
  }

  get #follower(): Follower {
    return this.#context.machine.follower(this.name)
  }

  /** What is durable in the open epoch; null when it ended meanwhile. */
  async #collect(options: WaitOptions): Promise<MessageSet | null> {
    const { machine, loop } = this.#context
    const before = this.#follower.epoch
    const result = await waitFor<GetResult>(
      this.#context.waits,
      options,
      `outcome in ${this.name}`,
      (resolve, reject) => {
        const done = (outcome: GetResult | EpochcastError) =>
          outcome instanceof Error ? reject(outcome) : resolve(outcome)
        const get = new Get('durable', 'numbers', this.#follower, machine.servers, machine.requests, done)
        loop.call((out) => machine.addGet(get, this.name, out))
        return () => loop.call((out) => get.failed(new EpochcastError('EC_ABORTED', 'given up'), out))
      },
    )
    return result.position.epoch === before ? result.position.seen : null
  }

  #decision(of: Epoch, options: WaitOptions): Promise<Decision | null> {
    return waitFor(this.#context.waits, options, `outcome in ${this.name}`, (resolve) => {
      this.#context.loop.call((out) => this.#follower.want(of, resolve, out))
      return undefined
    })
  }

  #encode(value: T): Uint8Array {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const payload = this.#codec.encode(value)
    const { messageBytesMax } = this.#context
    if (payload.length <= messageBytesMax) return payload
    throw new EpochcastError(
      'EC_MESSAGE_TOO_LARGE',
      `a message of ${payload.length} bytes is larger than the ${messageBytesMax} that are allowed`,
      { hint: 'split it, or store it elsewhere and publish its address' },
    )
  }

  #add(payload: Uint8Array, waiter: Waiter): void {
    this.#publishing().publish(payload, waiter)
  }

  /** The publisher, and a turn for all that is published in this one. */
  #publishing(): Publisher {
    this.#publisher ??= this.#context.publisherOf(this.name)
    if (!this.#isTurnDue) {
      this.#isTurnDue = true
      this.#context.loop.call(() => {
        this.#isTurnDue = false
      })
    }
    return this.#publisher
  }

  #addPatiently(payload: Uint8Array, waiter: One, options: PublishOptions): void {
    const unwatch = watch(options, `publish to ${this.name}`, (error) => this.#abandon([patient], error))
    const patient = new One(
      (result) => {
        unwatch()
        waiter.resolve(result)
      },
      (error) => {
        unwatch()
        waiter.reject(error)
      },
      waiter.settleAtEpochEnd,
    )
    this.#add(payload, patient)
  }

  #abandon(waiters: readonly Waiter[], error: EpochcastError): void {
    for (const waiter of waiters) {
      this.#publisher?.abandon(waiter, (id) => (id === null ? error : unknownOutcome(id, error)))
    }
  }
}

export function unknownOutcome(id: string, cause: EpochcastError): EpochcastError {
  return new EpochcastError('EC_OUTCOME_UNKNOWN', `${cause.message}; whether ${id} was stored is not known`, {
    cause,
    messageId: id,
    hint: `ask outcome('${id}')`,
  })
}

function startOf(topic: TopicName, from: 'start' | 'new' | Cursor): StartAt {
  return from === 'start' || from === 'new' ? from : parseCursor(topic, from)
}
