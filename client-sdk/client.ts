import { randomInt, randomUUID } from 'node:crypto'
import { text } from '../proto/door/checks.ts'
import { refusal } from '../proto/door/refusal.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type Address, type Epoch, type TopicName, topicName } from '../proto/ids.ts'
import { Loop } from '../proto/machine/loop.ts'
import { shown } from '../proto/shown.ts'
import type { NatsDialer } from '../proto/transport/nats.ts'
import { isNatsUrl, parseNatsUrl, withMore, withoutPassword } from '../proto/transport/nats-options.ts'
import { anyServer } from '../proto/transport/nats-subjects.ts'
import { messageBytesMax, type Transport, type TransportHandler } from '../proto/transport/port.ts'
import { dialTcp } from '../proto/transport/tcp.ts'
import { Admin } from './admin.ts'
import { type ConnectOptions, connectOptions, type PatternOptions, patternOptions } from './client-options.ts'
import { bytes, type Codec } from './codecs.ts'
import { isReplyTopic } from './companion.ts'
import { waitOptions } from './door/admin-calls.ts'
import { togetherOptions, topicOptions } from './door/calls.ts'
import { type FlushResult, flush, ofUsers } from './flushing.ts'
import { type ClientCall, ClientMachine } from './machine.ts'
import type { Publisher } from './operations/add.ts'
import { addLimits } from './operations/epoch-window.ts'
import { Together } from './operations/together.ts'
import { unknownOutcome } from './operations/waiters.ts'
import { Registrations } from './registrations.ts'
import type { Requester } from './replies.ts'
import { SubjectStream } from './subjects.ts'
import { type TogetherOptions, TogetherStream } from './together-stream.ts'
import { Topic } from './topic.ts'
import { unreachable } from './unreachable.ts'
import { defaultUrl, environmentUrl, parseUrl } from './url.ts'
import { OpenWaits, type WaitOptions, waitFor } from './waiting.ts'

const connectTimeoutMs = 5_000
/** `drain` waits no longer for replies. */
const repliesMs = 1_000

/**
 * Connects to a cluster: by its url, by `EPOCHCAST_URL`, or to a broker on this machine.
 * @param url `epochcast://host:port`, several as `epochcast://host:port,host:port`; port 7400 where left out. Or
 *   `nats://host:port`: through NATS, where the servers listen there
 * @throws EpochcastError `EC_UNREACHABLE` (retryable) when no server answers in time, `EC_NO_CLUSTER` when those that answer have
 *   not joined one, `EC_BAD_ARGUMENT` for a bad url
 */
export async function connect(url?: string, given: ConnectOptions = {}): Promise<Client> {
  const options = connectOptions(given)
  const target = url === undefined ? (environmentUrl() ?? defaultUrl) : urlText(url, 'the url')
  const isThroughNats = isNatsUrl(target)
  if (options.nats !== undefined) checkNatsUsed(isThroughNats, options)
  const dialer = isThroughNats && options.transport === undefined ? await natsDialer(target, options) : null
  const transport = dialer === null ? {} : { transport: dialer.dial.bind(dialer) }
  const client = new Client(isThroughNats ? [anyServer] : parseUrl(target), { ...options, ...transport })
  try {
    await dialer?.opened()
    await client.ready({ timeoutMs: connectTimeoutMs, ...options }, withoutPassword(target))
  } catch (error) {
    await client.close()
    throw error
  }
  return client
}

/** What is said about NATS is used, or refused. */
function checkNatsUsed(isThroughNats: boolean, { transport }: ConnectOptions): void {
  if (transport !== undefined) throw refusal('nats and transport exclude each other', 'leave out one of both')
  if (!isThroughNats) throw refusal('nats is for a nats:// url, and this one is not', 'e.g. nats://127.0.0.1:4222')
}

/** The NATS client is loaded only where it is used. */
async function natsDialer(url: string, { nats = {}, timeoutMs }: ConnectOptions): Promise<NatsDialer> {
  const loaded = await import('../proto/transport/nats.ts')
  return loaded.NatsDialer.connect(withMore(parseNatsUrl(url), nats), timeoutMs ?? connectTimeoutMs)
}

/** A connection to a cluster. Made by `connect`. */
export class Client implements AsyncDisposable {
  readonly admin: Admin
  readonly #machine: ClientMachine
  readonly #loop: Loop<ClientCall>
  readonly #transport: Transport
  readonly #waits = new OpenWaits()
  readonly #publishers = new Map<TopicName, Publisher>()
  readonly #onLeave = new Set<() => Promise<unknown>>()
  readonly #requesters = new Map<TopicName, Requester<Uint8Array>>()
  readonly #messageBytesMax: number
  readonly #seeds: readonly Address[]
  #closed: EpochcastError | null = null
  #closing: Promise<void> | null = null

  /** @throws EpochcastError `EC_BAD_ARGUMENT` */
  constructor(seeds: readonly Address[], given: ConnectOptions) {
    const options = connectOptions(given)
    const random = options.random ?? { below: (bound: number) => randomInt(bound) }
    const clock = options.clock ?? { nowMs: () => Date.now() }
    const name = `client-${randomUUID()}`
    this.#seeds = seeds
    this.#messageBytesMax = options.messageBytesMax ?? messageBytesMax
    const limits = { ...addLimits, ...options.limits }
    this.#machine = new ClientMachine({ seeds, random, clock, limits })
    this.#loop = new Loop<ClientCall>({
      machine: this.#machine,
      name,
      cluster: () => this.#machine.cluster,
      onFatal: (error) => this.#fail(error),
      onUnsent: (message, token, error) => this.#loop.call((out) => this.#machine.unsent(message, token, error, out)),
    })
    this.#transport = (options.transport ?? dial)(name, this.#loop)
    this.#loop.start(this.#transport)
    this.admin = new Admin(this.#machine, this.#loop, this.#waits, randomUUID, () => this.#closed)
  }

  /** UUID of the cluster that answered. */
  get cluster(): string {
    return this.#machine.cluster
  }

  /** Waits until a server of a cluster answered. */
  async ready(options: WaitOptions, target: string): Promise<void> {
    try {
      await waitFor<void>(this.#waits, options, 'connecting', (resolve) => {
        this.#loop.call((out) => this.#machine.introduce(resolve, out))
        return undefined
      })
    } catch (error) {
      if (!(error instanceof EpochcastError) || error.code !== 'EC_TIMEOUT') throw error
      if (this.#machine.unclustered > 0) {
        throw new EpochcastError('EC_NO_CLUSTER', `the servers at ${target} answer, but belong to no cluster yet`, {
          hint: 'bootstrap it once: epochcast bootstrap',
        })
      }
      const isThroughNats = this.#seeds.includes(anyServer)
      const hint = isThroughNats
        ? 'NATS answers: start servers that listen there, under the same prefix'
        : 'start one with: npx epochcast dev, or say where it is with --url or EPOCHCAST_URL'
      if (isThroughNats) throw new EpochcastError('EC_UNREACHABLE', `no server answers at ${target}`, { hint })
      throw unreachable(this.#seeds, (address) => this.#transport.trouble?.(address) ?? null, hint)
    }
  }

  /** One topic by its name. Topics of one name share one publisher; each has its own codec, bytes where none is given. */
  topic(name: string): Topic<Uint8Array>
  topic<T>(name: string, options: { readonly codec: Codec<T> }): Topic<T>
  topic<T>(name: string, options?: { readonly codec: Codec<T> }): Topic<T> {
    const checked = topicName(name)
    const codec = topicOptions(options).codec ?? (bytes() as Codec<unknown> as Codec<T>)
    return new Topic<T>(checked, codec, {
      loop: this.#loop,
      machine: this.#machine,
      messageBytesMax: this.#messageBytesMax,
      waits: this.#waits,
      publisherOf: (of) => this.#publisherOf(of),
      closed: () => this.#closed,
      roll: (of, epoch, options) => this.#roll(of, epoch, options),
      onClose: (run) => this.#waits.add(run),
      onLeave: (run) => {
        this.#onLeave.add(run)
        return () => this.#onLeave.delete(run)
      },
      requesters: this.#requesters,
      admin: this.admin,
      topic: (of) => this.topic(of),
      newId: randomUUID,
    })
  }

  /**
   * Reads all topics whose names match a pattern, also those that are made later: `*` stands for one token, `>` at the end for one
   * or more. Each topic's messages come in its own order; `event.topic` says which.
   * @throws EpochcastError `EC_BAD_ARGUMENT` for a bad pattern or place to begin
   */
  subscribe<T = Uint8Array>(pattern: string, given: PatternOptions<T> = {}): SubjectStream<T> {
    if (this.#closed !== null) throw this.#closed
    const options = patternOptions(given) as PatternOptions<T>
    const codec = options.codec ?? (bytes() as Codec<unknown> as Codec<T>)
    const { order, signal } = options
    const registered = new Registrations()
    const stream = new SubjectStream<T>(pattern, options.from ?? 'new', {
      cluster: this.#machine.cluster,
      ended: () => registered.takeBack(),
      list: (after) => this.admin.topicsAfter(after),
      subscribe: (topic, from) =>
        this.topic(topic, { codec }).subscribe({ from, events: true, ...(order && { order }) }),
    })
    const end = () => stream.end()
    registered.add(this.#waits.add(end))
    registered.onAbort(signal, end)
    return stream
  }

  /**
   * Resolves when every publish that is pending at the call has an outcome (those of the user, not those by which groups and
   * responders work), and everything that this client was given early is
   * confirmed or retracted. Never hangs over the end of an epoch.
   * @returns how many of those publishes became durable, and the ids of those that were dropped
   * @throws EpochcastError `EC_TIMEOUT`, `EC_ABORTED`
   */
  async flush(options: WaitOptions = {}): Promise<FlushResult> {
    return flush(this.#machine, this.#loop, this.#waits, flushOptions(options), ofUsers)
  }

  /**
   * Reads several topics as one causal stream: whatever a publisher had been given or had sent of one of them comes before what
   * it published to another. All must have order `causal` or `total`.
   * @throws EpochcastError `EC_BAD_ARGUMENT` for a topic that is named twice; the stream ends with `EC_ORDER_NOT_OFFERED`
   */
  together<T>(topics: readonly Topic<T>[], given: TogetherOptions = {}): TogetherStream<T> {
    if (this.#closed !== null) throw this.#closed
    const options = togetherOptions(given)
    checkTogether(this.#machine, topics, options.from)
    const together = new Together((topic) => this.#machine.follower(topic))
    const stream = new TogetherStream<T>(() => this.#loop.call(() => this.#machine.removeTogether(together)))
    this.#loop.call(() => this.#machine.addTogether(together))
    try {
      for (const topic of topics) topic.join(stream, together, options)
    } catch (error) {
      void stream.return()
      throw error
    }
    return stream
  }

  /**
   * Flushes, lets subscriptions end behind what has arrived, and closes; members of groups leave as at `close()`. A client that is closed already is left as it is.
   * @throws EpochcastError `EC_TIMEOUT`, `EC_ABORTED`: then it is not closed; `EC_CLOSED` when it was closed meanwhile
   */
  async drain(options: WaitOptions = {}): Promise<void> {
    const limits = drainOptions(options)
    if (this.#closed === null) {
      await this.flush(limits)
      await this.#flushReplies(limits)
    }
    await this.close()
  }

  /** Replies that are under way are sent; while no server answers they are left to other responders, with their requests. */
  async #flushReplies({ signal, timeoutMs = repliesMs }: WaitOptions): Promise<void> {
    const limits = { ...(signal && { signal }), timeoutMs: Math.min(timeoutMs, repliesMs) }
    try {
      await flush(this.#machine, this.#loop, this.#waits, limits, isReplyTopic)
    } catch (error) {
      if (!(error instanceof EpochcastError) || error.code !== 'EC_TIMEOUT') throw error
    }
  }

  /**
   * Ends everything now. What is pending rejects: with `EC_OUTCOME_UNKNOWN` where it was sent. Members of groups leave before,
   * so that others are given at once what they hold; while no server answers that takes a few seconds.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    if (this.#closed === null) {
      if (this.#onLeave.size > 0) await Promise.all([...this.#onLeave].map((leave) => leave()))
      this.#end(new EpochcastError('EC_CLOSED', 'the client is closed'))
    }
    await new Promise<void>((resolve) => setImmediate(resolve))
    this.#loop.stop()
    await this.#transport.close()
  }

  /**
   * How many calls, streams and registrations of this client have not ended, for finding what is never ended. What a client keeps
   * for each topic that it has used is not counted.
   */
  get openCount(): number {
    return this.#waits.count + this.#machine.openCount
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #end(reason: EpochcastError): void {
    if (this.#closed !== null) return
    this.#closed = reason
    for (const publisher of this.#machine.publishers()) {
      const why = publisher.shortage
      publisher.close((id) => (id === null ? reason : unknownOutcome(id, reason, why)))
    }
    this.#loop.call((out) => {
      for (const subscription of this.#machine.subscriptions()) this.#machine.removeSubscription(subscription, out)
    })
    this.#waits.end(reason)
  }

  #publisherOf(topic: TopicName): Publisher {
    let publisher = this.#publishers.get(topic)
    if (publisher === undefined || publisher.isClosed) {
      const made = this.#machine.createPublisher(topic)
      this.#loop.call((out) => this.#machine.follower(topic).add(made, out))
      this.#publishers.set(topic, made)
      publisher = made
    }
    return publisher
  }

  async #roll(topic: TopicName, epoch: Epoch, { signal, timeoutMs }: WaitOptions): Promise<void> {
    const limits = { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) }
    try {
      await this.admin.reconfigure(topic, { expectEpoch: epoch, ...limits }).decided
    } catch (error) {
      // Somebody else ended it: as good.
      if (!(error instanceof EpochcastError) || error.code !== 'EC_SUPERSEDED') throw error
    }
  }

  #fail(error: unknown): void {
    const reason =
      error instanceof EpochcastError ? error : new EpochcastError('EC_CLOSED', 'the client failed', { cause: error })
    this.#end(reason)
    void this.#transport.close()
  }
}

const urlText = text(10_000, 0)
const flushOptions = waitOptions('flush')
const drainOptions = waitOptions('drain')

/** @throws EpochcastError `EC_BAD_ARGUMENT` for what are no topics of this client, and for cursors of topics that are not among them */
function checkTogether<T>(machine: ClientMachine, topics: readonly Topic<T>[], from: TogetherOptions['from']): void {
  if (!areTopics(machine, topics)) {
    throw refusal(`${shown(topics)} is no list of topics of this client`, "e.g. [client.topic('a'), client.topic('b')]")
  }
  const names: readonly string[] = topics.map(({ name }) => name)
  if (names.length === 0 || new Set(names).size < names.length) throw refusal('name one or more topics, each once')
  const strange = Object.keys(typeof from === 'object' ? from : {}).find((name) => !names.includes(name))
  if (strange !== undefined) throw refusal(`there is a cursor for topic ${strange}, which is not read here`)
}

function areTopics(machine: ClientMachine, topics: unknown): boolean {
  try {
    return Array.isArray(topics) && topics.every((one) => one instanceof Topic && one.isOf(machine))
  } catch {
    // A proxy, which may refuse to be looked at.
    return false
  }
}

function dial(name: string, handler: TransportHandler): Transport {
  return dialTcp({ name, handler })
}
