/**
 * Requests and replies, both ordinary messages: a request names itself and the topic for its reply, responders are a group, so
 * each request is held by one of them, is handed on when that one dies, and is answered at least once. Who asked takes the first
 * reply and passes over others.
 *
 * Replies of all requests in a topic go to one topic beside it, with its servers: nothing is made or left behind for each client,
 * and a reply survives what the request survives. A client reads it from before its first request on, over epoch changes too.
 */
import { EpochcastError } from '../proto/errors.ts'
import type { TopicName } from '../proto/ids.ts'
import { madeBeside, replyTopicName } from './companion.ts'
import type { Cursor } from './cursor.ts'
import type { GroupPorts } from './groups/ports.ts'
import type { GroupMessage, GroupStream } from './groups/stream.ts'
import type { AllProperties } from './properties.ts'
import type { EventStream, Message } from './stream.ts'
import { type Deferred, deferred } from './waiting.ts'

/** The topic of replies, as requests use it. */
export interface ReplyTopic<R> {
  subscribe(options: { readonly from: Cursor; readonly events: true }): EventStream<R>
  /** Position behind what is durable now. */
  position(): Promise<Cursor>
}

const failureLengthMax = 1_000
const requestsMax = 10_000

/** Requests of one client in one topic, and where their replies come in. */
export class Requester<R> {
  readonly #topic: TopicName
  readonly #ports: Pick<GroupPorts, 'admin' | 'configuration' | 'onClose' | 'newId'>
  readonly #replies: (name: TopicName) => ReplyTopic<R>
  readonly #open = new Map<string, Deferred<Message<R>>>()
  #reading: Promise<void> | null = null

  constructor(
    topic: TopicName,
    ports: Pick<GroupPorts, 'admin' | 'configuration' | 'onClose' | 'newId'>,
    replies: (name: TopicName) => ReplyTopic<R>,
  ) {
    this.#topic = topic
    this.#ports = ports
    this.#replies = replies
  }

  /**
   * @param publish publishes the request with these properties
   * @returns the reply, and a way to stop waiting for it
   */
  async ask(publish: (correlation: AllProperties) => Promise<unknown>, giveUp: Promise<never>): Promise<Message<R>> {
    if (this.#open.size >= requestsMax) {
      throw new EpochcastError('EC_QUEUE_FULL', `${requestsMax} requests wait for their replies`)
    }
    const request = this.#ports.newId()
    const reply = deferred<Message<R>>()
    reply.promise.catch(() => {})
    this.#open.set(request, reply)
    try {
      this.#reading ??= this.#read()
      await Promise.race([this.#reading, giveUp])
      const published = publish({ replyTo: replyTopicName(this.#topic), request })
      published.catch((error: unknown) => reply.reject(error))
      return await Promise.race([reply.promise, giveUp])
    } finally {
      this.#open.delete(request)
    }
  }

  /** Resolves once replies to whatever is asked from now on will be seen. */
  async #read(): Promise<void> {
    try {
      const name = replyTopicName(this.#topic)
      await madeBeside(this.#ports.admin, name, await this.#ports.configuration())
      const replies = this.#replies(name)
      const stream = replies.subscribe({ from: await replies.position(), events: true })
      void this.#take(stream)
    } catch (error) {
      this.#reading = null
      throw error
    }
  }

  async #take(stream: EventStream<R>): Promise<void> {
    let reason = new EpochcastError('EC_CLOSED', 'the client is closed')
    try {
      for await (const event of stream) {
        if (event.type !== 'message') continue
        const { request, failure } = event.message.properties
        const open = request === undefined ? undefined : this.#open.get(request)
        if (failure === undefined) open?.resolve(event.message)
        else open?.reject(new EpochcastError('EC_REQUEST_FAILED', `the responder failed: ${failure}`))
      }
    } catch (error) {
      if (error instanceof EpochcastError) reason = error
    }
    this.#reading = null
    for (const open of this.#open.values()) open.reject(reason)
  }
}

/** Answers requests until it is ended. */
export class Responder implements AsyncDisposable {
  /** Resolves at the end. Rejects where requests cannot be read any more. */
  readonly done: Promise<void>
  readonly #stop: () => Promise<unknown>
  readonly #joined: () => Promise<unknown>

  constructor(done: Promise<void>, joined: () => Promise<unknown>, stop: () => Promise<unknown>) {
    this.done = done
    this.done.catch(() => {})
    this.#joined = joined
    this.#stop = stop
  }

  /** Resolves once this responder takes requests. */
  async ready(): Promise<this> {
    await this.#joined()
    return this
  }

  /** Hands on what it has not answered. */
  async end(): Promise<void> {
    await this.#stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end()
  }
}

/** Answers each request of a group's share, as many at once as it may hold. */
export async function respond<T>(
  topic: TopicName,
  requests: GroupStream<T>,
  answer: (message: GroupMessage<T>) => Promise<Uint8Array>,
  publish: (to: TopicName, payload: Uint8Array, properties: AllProperties) => Promise<unknown>,
): Promise<void> {
  let failure: unknown
  for await (const message of requests) {
    if (failure !== undefined) throw failure
    void one(message).catch((error: unknown) => {
      // Another responder is given it once this one is gone.
      failure ??= error
      void requests.return()
    })
  }
  if (failure !== undefined) throw failure

  async function one(message: GroupMessage<T>): Promise<void> {
    const { replyTo, request } = message.properties
    // Not a request, or one that names a place where no reply to this topic belongs.
    if (replyTo !== undefined && request !== undefined && replyTo === replyTopicName(topic)) {
      const reply = await replyOf(message, request)
      await publish(replyTopicName(topic), reply.payload, reply.properties)
    }
    await message.ack()
  }

  async function replyOf(message: GroupMessage<T>, request: string) {
    try {
      return { payload: await answer(message), properties: { request } }
    } catch (error) {
      const failure = (error instanceof Error ? error.message : String(error)).slice(0, failureLengthMax)
      return { payload: new Uint8Array(0), properties: { request, failure } }
    }
  }
}
