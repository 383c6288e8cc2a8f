/** One topic, as a client publishes to it and reads it. */
import type { Configuration } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import { parseMessageId, type TopicName } from '../proto/ids.ts'
import { emptySet } from '../proto/message-set.ts'
import { shown } from '../proto/shown.ts'
import type { Codec } from './codecs.ts'
import { formatCursor, type Position, parseCursor } from './cursor.ts'
import { waitOptions } from './door/admin-calls.ts'
import {
  configurationOptions,
  getOptions,
  groupOptions,
  outcomeOptions,
  publishOptions,
  requestOptions,
  respondOptions,
  subscribeOptions,
  viewsOptions,
} from './door/calls.ts'
import { method } from './door/checks.ts'
import { encoded } from './door/payload.ts'
import { asRefusal, refusal } from './door/refusal.ts'
import { entriesOf, type Headers } from './entries.ts'
import { type FlushResult, flush } from './flushing.ts'
import type { EpochFollower, Follower } from './follower.ts'
import type { GroupPorts } from './groups/ports.ts'
import { type GroupMessage, GroupStream } from './groups/stream.ts'
import type { ClientMachine } from './machine.ts'
import type { Publisher } from './operations/add.ts'
import type { Consumer, StartAt } from './operations/delivery.ts'
import { Get, type GetResult } from './operations/get.ts'
import type { Reading } from './operations/reading.ts'
import { Subscription } from './operations/subscribe.ts'
import type { Together } from './operations/together.ts'
import { Many, One, type PublishedRun, type PublishResult, type Waiter } from './operations/waiters.ts'
import { durableNow, type Outcome, type OutcomeOptions, outcomeOf } from './outcome.ts'
import { mustExist } from './positions.ts'
import { type AllProperties, encodeProperties } from './properties.ts'
import { unknownOutcome } from './refusals.ts'
import { epochAt, isTime, knownPosition, SinceTime, type Start, startOf } from './replay.ts'
import { Requester, Responder, respond } from './replies.ts'
import { EventStream, Message, MessageStream } from './stream.ts'
import type { TogetherOptions, TogetherStream } from './together-stream.ts'
import type { TopicContext } from './topic-context.ts'
import {
  type GetOptions,
  type GroupOptions,
  type PublishOptions,
  type Received,
  type RequestOptions,
  type RespondOptions,
  readingOf,
  type SubscribeOptions,
} from './topic-options.ts'
import type { View } from './view.ts'
import { viewsOf } from './views.ts'
import { type WaitOptions, waitFor, watch } from './waiting.ts'

/** What a topic needs of its client. */
interface Context extends TopicContext {
  /** Another topic of the same client, in bytes. */
  topic(name: string): Topic<Uint8Array>
}

const noOptions: PublishOptions = {}
const requestTimeoutMs = 30_000
const flushOptions = waitOptions('flush')

export class Topic<T> {
  readonly name: TopicName
  readonly #context: Context
  readonly #codec: Codec<T>
  #publisher: Publisher | null = null
  #isTurnDue = false
  /** By the codec of the replies. */
  readonly #requesters = new Map<Codec<unknown>, Requester<unknown>>()

  constructor(name: TopicName, codec: Codec<T>, context: Context) {
    this.name = name
    this.#codec = codec
    this.#context = context
  }

  /**
   * Publishes one message to all members of the current configuration (an Add; Figures 4 to 6).
   * @param value encoded at once by the topic's codec, at most `messageBytesMax` bytes
   * @returns the id, epoch and status of the Add that had an outcome; after an epoch change that is not the first one
   * @throws EpochcastError `EC_BAD_ARGUMENT` for a value or an option that is none, `EC_MESSAGE_TOO_LARGE`, `EC_QUEUE_FULL`
   *   (retryable), `EC_OUTCOME_UNKNOWN` when the caller gave up while it was under way (`messageId` says which Add to ask `outcome`
   *   about), `EC_TIMEOUT` or `EC_ABORTED` when it had not been sent, `EC_UNKNOWN_TOPIC`
   */
  publish(value: T, given: PublishOptions = noOptions): Promise<PublishResult> {
    return new Promise((resolve, reject) => {
      const options = given === noOptions ? noOptions : publishOptions(given)
      const header = encodeProperties(options)
      const payload = this.#encode(value, header.length)
      const waiter = new One(resolve, reject, options.onEpochEnd === 'settle')
      if (options.signal === undefined && options.timeoutMs === undefined) this.#add(payload, header, waiter)
      else this.#addPatiently(payload, header, waiter, options)
    })
  }

  /**
   * Publishes many messages, in their order, with one promise for all of them: much cheaper than a promise for each.
   * @param values encoded at once, each at most `messageBytesMax` bytes; all are taken or none is
   * @returns neighbours that had their outcome together, in the order of `values`: one run, or a few
   * @throws EpochcastError as `publish`; `EC_OUTCOME_UNKNOWN` names the first message that had no outcome
   */
  publishMany(values: Iterable<T>, given: PublishOptions = noOptions): Promise<readonly PublishedRun[]> {
    return new Promise((resolve, reject) => {
      const options = given === noOptions ? noOptions : publishOptions(given)
      const header = encodeProperties(options)
      const payloads = eachOf(values, (value) => this.#encode(value, header.length))
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
      this.#publishing().publishMany(payloads, many, header)
    })
  }

  /**
   * Returns the topic's messages, oldest epoch first, each publisher's in order (a Get).
   * @param options.level `linearizable` (default) sees every publish that completed before the call; `durable` and `early` ask
   *   fewer servers
   * @throws EpochcastError `EC_TIMEOUT`, `EC_ABORTED`, `EC_UNKNOWN_TOPIC`, `EC_BAD_ARGUMENT` for a bad cursor, `EC_OTHER_CLUSTER`
   *   for one of another cluster
   */
  async get(given: GetOptions = {}): Promise<Received<T>> {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const options = getOptions(given)
    const { machine, loop } = this.#context
    const since = options.since === undefined ? null : parseCursor(machine.cluster, this.name, options.since)
    if (since !== null) await mustExist(this.#context, this.name, since.epoch, 0, options)
    const result = await waitFor<GetResult>(this.#context.waits, options, `get of ${this.name}`, (resolve, reject) => {
      const done = (outcome: GetResult | EpochcastError) =>
        outcome instanceof Error ? reject(outcome) : resolve(outcome)
      const level = options.level ?? 'linearizable'
      const get = new Get(level, since, this.#follower, machine.servers, machine.requests, done)
      loop.call((out) => machine.addGet(get, this.name, out), reject)
      return () => loop.call((out) => get.failed(new EpochcastError('EC_ABORTED', 'given up'), out))
    })
    const messages: Message<T>[] = []
    for (const { batch, skip } of result.given) {
      const headers: Headers = new Map()
      const payloads = entriesOf(batch, headers)
      for (let index = skip; index < payloads.length; index++) {
        const payload = payloads[index]
        if (payload !== undefined) messages.push(new Message(batch, index, payload, this.#codec, headers.get(index)))
      }
    }
    return { messages, cursor: formatCursor(machine.cluster, this.name, result.position), floor: result.floor }
  }

  /**
   * Reads the topic as it grows: durable messages only, each once, each publisher's in order, across epochs. With
   * `events: true` the ends of epochs stand between them, at the same place for every subscriber.
   */
  subscribe(options: SubscribeOptions & { readonly events: true }): EventStream<T>
  subscribe(options?: SubscribeOptions & { readonly events?: false }): MessageStream<T>
  subscribe(given: SubscribeOptions & { readonly events?: boolean } = {}): EventStream<T> | MessageStream<T> {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const options = subscribeOptions(given)
    const reading = readingOf(options)
    const { cluster } = this.#context.machine
    const start = startOf(cluster, this.name, options.from ?? 'new')
    const events = new EventStream<T>(this.name, this.#codec, knownPosition(start), cluster)
    this.#subscribe(start, reading, events, events, options.signal)
    return options.events === true ? events : new MessageStream(events)
  }

  /** Whether the topic is one of the client with this machine. */
  isOf(machine: ClientMachine): boolean {
    return this.#context.machine === machine
  }

  /** Becomes one of the topics of `client.together`. */
  join(stream: TogetherStream<T>, together: Together, options: TogetherOptions): void {
    const { from, durability } = options
    const reading = { ...readingOf({ order: 'causal', ...(durability && { durability }) }), gate: together }
    const { cluster } = this.#context.machine
    const start = startOf(cluster, this.name, typeof from === 'object' ? (from[this.name] ?? 'new') : (from ?? 'new'))
    const events = new EventStream<T>(this.name, this.#codec, knownPosition(start), cluster)
    const consumer = stream.add(this.name, events)
    const made = (subscription: Subscription) => this.#context.loop.call(() => together.add(subscription))
    this.#subscribe(start, reading, events, consumer, options.signal, made, () => stream.end())
  }

  #subscribe(
    start: Start,
    reading: Reading,
    events: EventStream<T>,
    consumer: Consumer,
    signal: AbortSignal | undefined,
    told: (made: Subscription) => void = () => {},
    ended: () => void = () => {},
  ): void {
    const { machine, loop } = this.#context
    let subscription: Subscription | null = null
    let isOver = false
    let endLooking = () => {}
    const close = () => {
      isOver = true
      endLooking()
      events.end()
      ended()
      loop.call((out) => {
        if (subscription !== null) machine.removeSubscription(subscription, out)
      })
    }
    const begin = (at: StartAt, reader: Consumer) => {
      const made = new Subscription(at, this.#follower, machine.servers, machine.requests, reader, reading)
      subscription = made
      told(made)
      loop.call((out) => {
        if (!isOver) machine.addSubscription(made, this.name, out)
      }, consumer.failed.bind(consumer))
    }
    const consumed = (count: number) => loop.call((out) => subscription?.consumed(count, out))
    events.attach({ consumed, close })
    if (isTime(start)) {
      const since = new SinceTime(consumer, start.timeMs, consumed)
      const found = epochAt(this.name, start.timeMs, machine, loop)
      found.then(
        (epoch) => begin({ epoch, seen: emptySet }, since),
        (error) => events.failed(error),
      )
    } else if (typeof start === 'string') begin(start, consumer)
    else {
      const looking = new AbortController()
      endLooking = () => looking.abort()
      mustExist(this.#context, this.name, start.epoch, 1, { signal: looking.signal }).then(
        () => begin(start, consumer),
        (error) => {
          if (!isOver) consumer.failed(error)
        },
      )
    }
    this.#context.track(events)
    this.#context.onClose(ended)
    if (signal?.aborted === true) close()
    else signal?.addEventListener('abort', close, { once: true })
  }

  /**
   * The same as the client's `flush`, for this topic alone.
   * @throws EpochcastError `EC_TIMEOUT`, `EC_ABORTED`
   */
  async flush(options: WaitOptions = {}): Promise<FlushResult> {
    const { machine, loop, waits } = this.#context
    return flush(machine, loop, waits, flushOptions(options), this.name)
  }

  /**
   * Joins a group: its members share the topic's messages, each message is held by one of them at a time, and the group goes on
   * where it was, whoever joins. A group of one is a durable subscription.
   * @param name 1 to 64 letters, digits, `_` or `-`
   * @throws EpochcastError `EC_BAD_ARGUMENT`
   */
  group(name: string, given: GroupOptions = {}): GroupStream<T> {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const options = groupOptions(given)
    const from = startOf(this.#context.machine.cluster, this.name, options.from ?? 'new')
    const { loop, machine, admin, onClose, newId, topic } = this.#context
    const ports: GroupPorts = {
      ...{ loop, machine, admin, onClose, newId, topic },
      configuration: () => this.configuration({ create: true }),
      closed: this.#context.closed,
    }
    const start = async () => {
      const { epoch, seen } = await this.#positionOf(from)
      return { epoch, seen: [...seen].map(([publisher, { end }]) => [publisher, end] as const) }
    }
    return new GroupStream(this.name, name, this.#codec, ports, options, start)
  }

  /**
   * Publishes a request and waits for the first reply that a responder of this topic gives.
   * @param options.codec of the reply, the topic's own by default
   * @param options.timeoutMs 30,000 by default
   * @throws EpochcastError `EC_OUTCOME_UNKNOWN` when no reply came in time: the request may have been handled, or still be;
   *   `EC_REQUEST_FAILED` when the responder said so; and what `publish` throws
   */
  async request(value: T, options?: RequestOptions<T>): Promise<Message<T>>
  async request<R>(value: T, options: RequestOptions<R> & { readonly codec: Codec<R> }): Promise<Message<R>>
  async request<R>(value: T, given: RequestOptions<R> = {}): Promise<Message<R>> {
    const options = requestOptions(given) as RequestOptions<R>
    const { codec, timeoutMs = requestTimeoutMs, signal, ...properties } = options
    const requester = this.#requesterOf(codec ?? (this.#codec as Codec<unknown> as Codec<R>))
    let isPublished = false
    let unwatch = () => {}
    const giveUp = new Promise<never>((_, reject) => {
      unwatch = watch({ timeoutMs, ...(signal && { signal }) }, `request in ${this.name}`, (error) => {
        reject(isPublished ? noReply(error) : error)
      })
    })
    giveUp.catch(() => {})
    const publish = (correlation: AllProperties) => {
      isPublished = true
      return this.publish(value, { ...properties, ...correlation })
    }
    try {
      return await requester.ask(publish, giveUp)
    } finally {
      unwatch()
    }
  }

  /**
   * Answers requests, as one of a group: each request is held by one responder at a time. What the handler returns is the reply;
   * what it throws is told to whoever asked, as text.
   */
  respond(handler: (request: GroupMessage<T>) => T | Promise<T>, options?: RespondOptions<T>): Responder
  respond<R>(
    handler: (request: GroupMessage<T>) => R | Promise<R>,
    options: RespondOptions<R> & { readonly codec: Codec<R> },
  ): Responder
  respond<R>(handler: (request: GroupMessage<T>) => R | Promise<R>, given: RespondOptions<R> = {}): Responder {
    method(handler, 'the handler')
    const options = respondOptions(given) as RespondOptions<R>
    const { codec = this.#codec as Codec<unknown> as Codec<R>, group = 'responders', ...limits } = options
    const requests = this.group(group, { ...limits, ack: 'explicit' })
    const answer = async (request: GroupMessage<T>) => encoded(codec, await handler(request))
    const publish = (to: TopicName, payload: Uint8Array, properties: AllProperties) =>
      this.#context.topic(to).publish(payload, properties)
    const done = respond(this.name, requests, answer, publish)
    return new Responder(
      done,
      () => requests.joined(),
      () => requests.return(),
    )
  }

  /** The topic's memberships as they follow each other, beginning with the current one. Ends with its client, or by `break`. */
  views(options: { readonly signal?: AbortSignal } = {}): AsyncGenerator<View, void, undefined> {
    return viewsOf(this.#context, this.name, viewsOptions(options).signal)
  }

  /**
   * Asks what became of a publish, also of another client or before a restart.
   * @param options.settle ends the epoch when the answer would be `pending`, so that there is one
   * @throws EpochcastError `EC_OUTCOME_EXPIRED` when nobody knows any more how that epoch ended
   */
  async outcome(id: string, given: OutcomeOptions = {}): Promise<Outcome> {
    const { settle, ...limits } = outcomeOptions(given)
    const message = parseMessageId(id)
    await mustExist(this.#context, this.name, message.epoch, 0, limits)
    return outcomeOf(this.#context, message, await this.configuration(limits), { ...limits, ...(settle && { settle }) })
  }

  /** The newest configuration, as this client knows it. `create`: made when it is not there, where the servers allow that. */
  async configuration(given: WaitOptions & { readonly create?: boolean } = {}): Promise<Configuration> {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const options = configurationOptions(given)
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
      this.#context.loop.call((out) => this.#follower.add(once, out, options.create === true), reject)
      return () => this.#follower.remove(once)
    })
  }

  get #follower(): Follower {
    return this.#context.machine.follower(this.name)
  }

  #requesterOf<R>(codec: Codec<R>): Requester<R> {
    const known = this.#requesters.get(codec as Codec<unknown>)
    if (known !== undefined) return known as Requester<unknown> as Requester<R>
    const { admin, onClose, newId } = this.#context
    const ports = { admin, onClose, newId, configuration: () => this.configuration({ create: true }) }
    const made = new Requester<R>(this.name, ports, (name) => {
      const replies = new Topic<R>(name, codec, this.#context)
      const { machine } = this.#context
      const position = async () =>
        formatCursor(machine.cluster, name, (await durableNow(this.#context, name, {})).position)
      return { subscribe: (options) => replies.subscribe(options), position }
    })
    this.#requesters.set(codec as Codec<unknown>, made as Requester<unknown>)
    return made
  }

  /** The position of a place to begin. */
  async #positionOf(from: ReturnType<typeof startOf>): Promise<Position> {
    if (from === 'new') return (await durableNow(this.#context, this.name, {})).position
    if (from === 'start') return { epoch: (await this.configuration()).floor, seen: emptySet }
    if (!isTime(from)) {
      await mustExist(this.#context, this.name, from.epoch, 1, {})
      return from
    }
    const { machine, loop } = this.#context
    return { epoch: await epochAt(this.name, from.timeMs, machine, loop), seen: emptySet }
  }

  #encode(value: T, headerLength: number): Uint8Array {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const payload = encoded(this.#codec, value)
    const { messageBytesMax } = this.#context
    if (payload.length + headerLength <= messageBytesMax) return payload
    throw new EpochcastError(
      'EC_MESSAGE_TOO_LARGE',
      `a message of ${payload.length} bytes is larger than the ${messageBytesMax} that are allowed`,
      { hint: 'split it, or store it elsewhere and publish its address' },
    )
  }

  #add(payload: Uint8Array, header: Uint8Array, waiter: Waiter): void {
    this.#publishing().publish(payload, waiter, header)
  }

  /** The publisher, and a turn for all that is published in this one. */
  #publishing(): Publisher {
    if (this.#publisher === null || this.#publisher.isClosed) {
      this.#publisher = this.#context.publisherOf(this.name)
    }
    if (!this.#isTurnDue) {
      this.#isTurnDue = true
      this.#context.loop.call(() => {
        this.#isTurnDue = false
      })
    }
    return this.#publisher
  }

  #addPatiently(payload: Uint8Array, header: Uint8Array, waiter: One, options: PublishOptions): void {
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
    this.#add(payload, header, patient)
  }

  #abandon(waiters: readonly Waiter[], error: EpochcastError): void {
    for (const waiter of waiters) {
      this.#publisher?.abandon(waiter, (id) => (id === null ? error : unknownOutcome(id, error)))
    }
  }
}

/** All of several values, each encoded. A string is a list of letters only where somebody forgot the brackets. */
function eachOf<T>(values: Iterable<T>, encode: (value: T) => Uint8Array): Uint8Array[] {
  const isList = typeof values === 'object' && values !== null && typeof values[Symbol.iterator] === 'function'
  if (!isList || ArrayBuffer.isView(values)) throw refusal(`${shown(values)} is not a list of values`, 'e.g. [value]')
  try {
    return Array.from(values, encode)
  } catch (error) {
    throw asRefusal(error, 'the values cannot be listed')
  }
}

function noReply(cause: EpochcastError): EpochcastError {
  return new EpochcastError('EC_OUTCOME_UNKNOWN', `${cause.message}; whether it was handled is not known`, {
    cause,
    hint: 'ask again only where handling a request twice does no harm',
  })
}
