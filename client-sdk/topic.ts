/** One topic, as a client publishes to it and reads it. */
import type { Configuration } from '../proto/configuration.ts'
import { method } from '../proto/door/checks.ts'
import { asRefusal, refusal } from '../proto/door/refusal.ts'
import { EpochcastError } from '../proto/errors.ts'
import { parseMessageId, type TopicName } from '../proto/ids.ts'
import { emptySet } from '../proto/message-set.ts'
import { shown } from '../proto/shown.ts'
import { messageBytesMax } from '../proto/transport/port.ts'
import { type Codec, mayBeWrittenAgain } from './codecs.ts'
import { madeBeside, replyTopicName } from './companion.ts'
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
import { encoded } from './door/payload.ts'
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
import { Many, neverSent, One, type PublishedRun, type PublishResult, type Waiter } from './operations/waiters.ts'
import { durableNow, type Outcome, type OutcomeOptions, outcomeOf } from './outcome.ts'
import { mustExist } from './positions.ts'
import { type AllProperties, addedBytesMax, encodeProperties } from './properties.ts'
import { Registrations } from './registrations.ts'
import { epochAt, isTime, knownPosition, SinceTime, type Start, startOf } from './replay.ts'
import { Requester } from './replies.ts'
import { failureOf, type ReplyPorts, type Responder, requestOf, respond } from './responding.ts'
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
import { ViewStream } from './views.ts'
import { limitsOf, type WaitOptions, waitFor, watch, wholeCall } from './waiting.ts'

/** Parts of a client that a topic uses. */
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
   *   about), `EC_TIMEOUT`, `EC_ABORTED` or `EC_CLOSED` when it had not left this client: then it is withdrawn, and never will;
   *   `EC_UNKNOWN_TOPIC`. No server is asked any more to make the topic then, unless another use wants it; one that was asked before
   *   may make it yet, empty.
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
   * Publishes bytes with a header that `properties.ts` wrote, for what the product itself publishes: what it adds to a message
   * comes on top of what a user may publish.
   * @internal
   */
  send(payload: Uint8Array, header: Uint8Array, onEpochEnd?: 'settle'): Promise<PublishResult> {
    return new Promise((resolve, reject) => {
      const closed = this.#context.closed()
      if (closed !== null) throw closed
      checkSize(payload.length + header.length, messageBytesMax + addedBytesMax)
      this.#add(payload, header, new One(resolve, reject, onEpochEnd === 'settle'))
    })
  }

  /**
   * Publishes many messages, in their order, with one promise for all of them: much cheaper than a promise for each.
   * @param values encoded at once, each at most `messageBytesMax` bytes; all are taken or none is
   * @returns neighbours that had their outcome together, in the order of `values`: one run, or a few
   * @throws EpochcastError as `publish`; `EC_OUTCOME_UNKNOWN` names the first message that had left; those behind it may have
   *   left, too, or be withdrawn, and have the numbers that follow
   */
  publishMany(values: Iterable<T>, given: PublishOptions = noOptions): Promise<readonly PublishedRun[]> {
    return new Promise((resolve, reject) => {
      const options = given === noOptions ? noOptions : publishOptions(given)
      const header = encodeProperties(options)
      const payloads = eachOf(values, (value, isArray) => {
        const payload = this.#encode(value, header.length)
        return mayBeWrittenAgain(this.#codec, isArray) ? Buffer.from(payload) : payload
      })
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
        unwatch = watch(options, `publish to ${this.name}`, (error) => this.#publishing().giveUp(many, error))
      }
      this.#publishing().publishMany(payloads, many, header)
    })
  }

  /**
   * Returns the topic's messages, oldest epoch first, each publisher's in order (a Get).
   * @param options.level `linearizable` (default) sees every publish that completed before the call; `durable` and `early` ask
   *   fewer servers
   * @throws EpochcastError `EC_TIMEOUT`, `EC_ABORTED`, `EC_UNKNOWN_TOPIC`, `EC_BAD_ARGUMENT` for a bad cursor,
   *   `EC_OTHER_CLUSTER` for one of another cluster
   */
  async get(given: GetOptions = {}): Promise<Received<T>> {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const options = wholeCall(getOptions(given))
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
    const { machine, loop, waits } = this.#context
    const registered = new Registrations()
    let subscription: Subscription | null = null
    const end = () => {
      events.end()
      ended()
      registered.takeBack()
    }
    const begin = (at: StartAt, reader: Consumer) => {
      if (registered.isOver) return
      const made = new Subscription(at, this.#follower, machine.servers, machine.requests, reader, reading)
      subscription = made
      told(made)
      loop.call((out) => machine.addSubscription(made, this.name, out), consumer.failed.bind(consumer))
      registered.add(() => loop.call((out) => machine.removeSubscription(made, out)))
    }
    const consumed = (count: number) => loop.call((out) => subscription?.consumed(count, out))
    events.attach({ consumed, close: () => registered.takeBack() })
    registered.add(waits.add(end))
    registered.onAbort(signal, end)
    if (isTime(start)) {
      const since = new SinceTime(consumer, start.timeMs, consumed)
      const found = epochAt(this.name, start.timeMs, machine, loop, registered)
      found.then(
        (epoch) => begin({ epoch, seen: emptySet }, since),
        (error) => events.failed(error),
      )
    } else if (typeof start === 'string') begin(start, consumer)
    else {
      const looking = new AbortController()
      registered.add(() => looking.abort())
      mustExist(this.#context, this.name, start.epoch, 1, { signal: looking.signal }).then(
        () => begin(start, consumer),
        (error) => {
          if (!registered.isOver) consumer.failed(error)
        },
      )
    }
  }

  /**
   * The same as the client's `flush`, for this topic alone.
   * @throws EpochcastError `EC_TIMEOUT`, `EC_ABORTED`
   */
  async flush(options: WaitOptions = {}): Promise<FlushResult> {
    const { machine, loop, waits } = this.#context
    return flush(machine, loop, waits, flushOptions(options), (topic) => topic === this.name)
  }

  /**
   * Joins a group: its members share the topic's messages, each message is held by one of them at a time, and the group goes on
   * where it was, whichever member joins. A group of one is a durable subscription.
   * @param name 1 to 64 letters, digits, `_` or `-`
   * @throws EpochcastError `EC_BAD_ARGUMENT`
   */
  group(name: string, options: GroupOptions = {}): GroupStream<T> {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    return this.#group(name, groupOptions(options))
  }

  #group(name: string, options: GroupOptions, putAside?: GroupPorts['putAside']): GroupStream<T> {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const from = startOf(this.#context.machine.cluster, this.name, options.from ?? 'new')
    const { loop, machine, admin, onClose, onLeave, newId, topic } = this.#context
    const ports: GroupPorts = {
      ...{ loop, machine, admin, onClose, onLeave, newId, topic, ...(putAside && { putAside }) },
      configuration: (signal) => this.configuration({ create: true, signal }),
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
   *   `EC_TIMEOUT` or `EC_ABORTED` when the request had not left this client: it never will;
   *   `EC_REQUEST_FAILED` when the responder said so; and what `publish` throws
   */
  async request(value: T, options?: RequestOptions<T>): Promise<Message<T>>
  async request<R>(value: T, options: RequestOptions<R> & { readonly codec: Codec<R> }): Promise<Message<R>>
  async request<R>(value: T, given: RequestOptions<R> = {}): Promise<Message<R>> {
    const options = requestOptions(given) as RequestOptions<R>
    const { codec, timeoutMs = requestTimeoutMs, signal, ...properties } = options
    const header = encodeProperties(properties)
    const payload = this.#encode(value, header.length)
    const withdrawal = new AbortController()
    let published: Promise<PublishResult> | null = null
    let id: string | undefined
    let unwatch = () => {}
    const giveUp = new Promise<never>((_, reject) => {
      unwatch = watch({ timeoutMs, ...(signal && { signal }) }, `request in ${this.name}`, (error) => {
        withdrawal.abort()
        const left = (of: string | undefined) => reject(noReply(error, of))
        const failed = ({ code, messageId }: EpochcastError) =>
          code === 'EC_OUTCOME_UNKNOWN' ? left(messageId) : reject(neverSent(error))
        if (published === null) reject(neverSent(error))
        else published.then((result) => left(result.id), failed)
      })
    })
    giveUp.catch(() => {})
    const publish = (correlation: AllProperties) => {
      const whole = joined(header, encodeProperties(correlation))
      const sent = new Promise<PublishResult>((resolve, reject) => {
        this.#addPatiently(payload, whole, new One(resolve, reject, false), { signal: withdrawal.signal })
      })
      published ??= sent
      sent.then(
        (result) => {
          id ??= result.id
        },
        () => {},
      )
      // Its withdrawal is no news of its own: `giveUp` says why.
      return sent.catch((error: unknown) => (withdrawal.signal.aborted ? giveUp : Promise.reject(error)))
    }
    try {
      const reply = await this.#requester().ask(publish, giveUp)
      return reply.readBy(codec ?? (this.#codec as Codec<unknown> as Codec<R>))
    } catch (error) {
      const isLeft = error instanceof EpochcastError && error.code === 'EC_CLOSED' && id !== undefined
      throw isLeft ? noReply(error, id) : error
    } finally {
      unwatch()
      withdrawal.abort()
    }
  }

  /**
   * Answers requests, as one of a group: each request is held by one responder at a time. The value that the handler returns is
   * the reply; an error that it throws reaches the requester as text (`EC_REQUEST_FAILED`), and so does why a reply cannot be sent.
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
    const name = replyTopicName(this.name)
    const { admin, messageBytesMax } = this.#context
    const replies: ReplyPorts = {
      bytesMax: messageBytesMax,
      made: async (signal) => madeBeside(admin, name, await this.configuration({ create: true, signal }), signal),
      send: (payload, header) => this.#context.topic(name).send(payload, header),
    }
    const putAside: GroupPorts['putAside'] = async ({ properties, deliveries }) => {
      const request = requestOf(properties, this.name)
      if (request === null) return
      const failure = failureOf(request, `the request was put aside after ${deliveries} deliveries`)
      await replies.send(new Uint8Array(0), encodeProperties(failure))
    }
    const requests = this.#group(group, { ...limits, ack: 'explicit' }, putAside)
    // The next request's handler may write into the same memory before this reply is sent. What is no promise is read at once.
    const answer = async (request: GroupMessage<T>) => {
      const reply = handler(request)
      return Buffer.from(encoded(codec, isLater(reply) ? await reply : reply))
    }
    return respond(this.name, group, requests, answer, replies)
  }

  /** The topic's memberships as they follow each other, beginning with the current one. Ends with its client, or by `break`. */
  views(options: { readonly signal?: AbortSignal } = {}): ViewStream {
    return new ViewStream(this.#context, this.name, viewsOptions(options).signal)
  }

  /**
   * Asks what became of a publish, also of another client or before a restart.
   * @param options.settle ends the epoch when the answer would be `pending`, so that there is one
   * @throws EpochcastError `EC_OUTCOME_EXPIRED` when nobody knows any more how that epoch ended
   */
  async outcome(id: string, given: OutcomeOptions = {}): Promise<Outcome> {
    const options = wholeCall(outcomeOptions(given))
    const message = parseMessageId(id)
    await mustExist(this.#context, this.name, message.epoch, 0, options)
    return outcomeOf(this.#context, message, await this.configuration(limitsOf(options)), options)
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
      return () => this.#context.loop.call(() => this.#follower.remove(once))
    })
  }

  get #follower(): Follower {
    return this.#context.machine.follower(this.name)
  }

  /** One for all that this client asks in this topic, by whatever object and codec. */
  #requester(): Requester<Uint8Array> {
    const { admin, onClose, newId, requesters, topic } = this.#context
    const known = requesters.get(this.name)
    if (known !== undefined) return known
    const configuration = (signal: AbortSignal) => this.configuration({ create: true, signal })
    const ports = { admin, onClose, newId, configuration }
    const made = new Requester<Uint8Array>(this.name, ports, (name) => {
      const { cluster } = this.#context.machine
      const position = async () => formatCursor(cluster, name, (await durableNow(this.#context, name, {})).position)
      return { subscribe: (options) => topic(name).subscribe(options), position }
    })
    requesters.set(this.name, made)
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
    const { machine, loop, waits } = this.#context
    const registered = new Registrations()
    registered.add(waits.add(() => registered.takeBack()))
    try {
      return { epoch: await epochAt(this.name, from.timeMs, machine, loop, registered), seen: emptySet }
    } finally {
      registered.takeBack()
    }
  }

  #encode(value: T, headerLength: number): Uint8Array {
    const closed = this.#context.closed()
    if (closed !== null) throw closed
    const payload = encoded(this.#codec, value)
    checkSize(payload.length + headerLength, this.#context.messageBytesMax)
    return payload
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
    const unwatch = watch(options, `publish to ${this.name}`, (error) => this.#publishing().giveUp(patient, error))
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
}

/** All of several values, each encoded. A string is a list of letters only where somebody forgot the brackets. */
function eachOf<T>(values: Iterable<T>, encode: (value: T, isArray: boolean) => Uint8Array): Uint8Array[] {
  try {
    const isList = typeof values === 'object' && values !== null && typeof values[Symbol.iterator] === 'function'
    if (!isList || ArrayBuffer.isView(values)) throw refusal(`${shown(values)} is not a list of values`, 'e.g. [value]')
    const isArray = Array.isArray(values)
    return Array.from(values, (value) => encode(value, isArray))
  } catch (error) {
    throw asRefusal(error, 'the values cannot be listed')
  }
}

function isLater<R>(value: R | Promise<R>): value is Promise<R> {
  return typeof (value as { readonly then?: unknown } | null | undefined)?.then === 'function'
}

/** A message's bytes: its payload, and the header with its properties. */
function checkSize(bytes: number, bytesMax: number): void {
  if (bytes <= bytesMax) return
  const text = `a message of ${bytes} bytes is larger than the ${bytesMax} that are allowed`
  throw new EpochcastError('EC_MESSAGE_TOO_LARGE', text, {
    hint: 'split it, or store it elsewhere and publish its address',
  })
}

/** Fields of two headers. */
function joined(header: Uint8Array, added: Uint8Array): Uint8Array {
  return header.length === 0 ? added : Buffer.concat([header, added])
}

function noReply(cause: EpochcastError, messageId: string | undefined): EpochcastError {
  return new EpochcastError('EC_OUTCOME_UNKNOWN', `${cause.message}; whether it was handled is not known`, {
    cause,
    ...(messageId !== undefined && { messageId }),
    hint: 'ask again only where handling a request twice does no harm',
  })
}
