/**
 * Requests and replies, both ordinary messages: a request names itself and the topic for its reply, responders are a group
 * (`responding.ts`), so each request is held by one of them, is handed on when that one dies, and is answered at least once. The
 * requester takes the first reply and passes over others.
 *
 * Replies of all requests in a topic go to one topic beside it, with its servers: nothing is made or left behind for each client,
 * and a reply survives what the request survives. A client reads it from before its first request on, over epoch changes too.
 *
 * A group of responders begins with what is published after its first one came. Each responder announces in the topic of replies
 * where that was, and a request that is older and still waited for is published once more: so it does not matter which side comes first.
 */
import { EpochcastError } from '../proto/errors.ts'
import { parseMessageId, type TopicName } from '../proto/ids.ts'
import { madeBeside, replyTopicName } from './companion.ts'
import type { Cursor } from './cursor.ts'
import type { Start } from './groups/messages.ts'
import type { GroupPorts } from './groups/ports.ts'
import { isStart } from './groups/shapes.ts'
import type { PublishResult } from './operations/waiters.ts'
import type { AllProperties } from './properties.ts'
import type { EventStream, Message } from './stream.ts'
import { type Deferred, deferred } from './waiting.ts'

/** The topic of replies, as requests use it. */
export interface ReplyTopic<R> {
  subscribe(options: { readonly from: Cursor; readonly events: true }): EventStream<R>
  /** Position behind what is durable now. */
  position(): Promise<Cursor>
}

const requestsMax = 10_000
/** A request is published anew for so many groups of responders at the most. */
const repeatsMax = 16

/** A request that waits for its reply. */
interface Open<R> {
  readonly reply: Deferred<Message<R>>
  publish(): Promise<PublishResult>
  /** Of the message that carries the request now; null while it is being published. */
  id: string | null
  /** Where groups of responders began that were not looked at yet. */
  founded: Start[]
  repeats: number
}

/** Requests of one client in one topic, and where their replies come in. */
export class Requester<R> {
  readonly #topic: TopicName
  readonly #ports: Pick<GroupPorts, 'admin' | 'configuration' | 'onClose' | 'newId'>
  readonly #replies: (name: TopicName) => ReplyTopic<R>
  readonly #open = new Map<string, Open<R>>()
  #reading: Promise<void> | null = null
  /** Ends the way to reading, while it is not read yet: nothing is made for requests that were given up. */
  #beginning: AbortController | null = null

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
   * @param publish publishes the request with these properties, perhaps more than once
   * @param giveUp rejects when the caller's patience ends
   */
  async ask(
    publish: (correlation: AllProperties) => Promise<PublishResult>,
    giveUp: Promise<never>,
  ): Promise<Message<R>> {
    if (this.#open.size >= requestsMax) {
      throw new EpochcastError('EC_QUEUE_FULL', `${requestsMax} requests wait for their replies`)
    }
    const request = this.#ports.newId()
    const reply = deferred<Message<R>>()
    reply.promise.catch(() => {})
    const correlation = { replyTo: replyTopicName(this.#topic), request }
    const open: Open<R> = { reply, publish: () => publish(correlation), id: null, founded: [], repeats: 0 }
    this.#open.set(request, open)
    try {
      this.#reading ??= this.#read()
      await Promise.race([this.#reading, giveUp])
      this.#publish(open, (error) => reply.reject(error))
      return await Promise.race([reply.promise, giveUp])
    } finally {
      this.#open.delete(request)
      if (this.#open.size === 0 && this.#beginning !== null) {
        this.#reading = null
        this.#beginning.abort()
      }
    }
  }

  #publish(open: Open<R>, failed: (error: unknown) => void): void {
    open.id = null
    open.publish().then(({ id }) => {
      open.id = id
      this.#lookAtFounded(open)
    }, failed)
  }

  /** A group that began behind the request is not given it: it is published anew. */
  #lookAtFounded(open: Open<R>): void {
    const { id } = open
    if (id === null) return
    const isMissed = open.founded.some((start) => !isGiven(id, start))
    open.founded = []
    if (!isMissed || open.repeats >= repeatsMax) return
    open.repeats++
    // Groups that were given it before may answer yet.
    this.#publish(open, () => {})
  }

  /** Resolves once replies to whatever is asked from now on will be seen. */
  async #read(): Promise<void> {
    const beginning = new AbortController()
    const { signal } = beginning
    this.#beginning = beginning
    try {
      const name = replyTopicName(this.#topic)
      await madeBeside(this.#ports.admin, name, await this.#ports.configuration(signal), signal)
      const replies = this.#replies(name)
      const from = await replies.position()
      if (!signal.aborted) void this.#take(replies.subscribe({ from, events: true }))
    } catch (error) {
      if (!signal.aborted) this.#reading = null
      throw error
    } finally {
      if (this.#beginning === beginning) this.#beginning = null
    }
  }

  async #take(stream: EventStream<R>): Promise<void> {
    let reason = new EpochcastError('EC_CLOSED', 'the client is closed')
    try {
      for await (const event of stream) if (event.type === 'message') this.#onMessage(event.message)
    } catch (error) {
      if (error instanceof EpochcastError) reason = error
    }
    this.#reading = null
    for (const { reply } of this.#open.values()) reply.reject(reason)
  }

  #onMessage(message: Message<R>): void {
    const { request, failure, responders } = message.properties
    if (responders !== undefined) {
      const start = decodeStart(message.payload)
      if (start === null) return
      for (const open of this.#open.values()) {
        open.founded.push(start)
        this.#lookAtFounded(open)
      }
      return
    }
    const reply = request === undefined ? undefined : this.#open.get(request)?.reply
    if (failure === undefined) reply?.resolve(message)
    else reply?.reject(new EpochcastError('EC_REQUEST_FAILED', `the responder failed: ${failure}`))
  }
}

/** Whether a group that began there is given this message. */
function isGiven(id: string, { epoch, seen }: Start): boolean {
  const message = parseMessageId(id)
  if (message.epoch !== epoch) return message.epoch > epoch
  const before = seen.find(([publisher]) => publisher === message.publisher)
  return message.sequence > (before?.[1] ?? 0)
}

/** @returns null for what no responder wrote */
function decodeStart(bytes: Uint8Array): Start | null {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
    return isStart(value) ? (value as Start) : null
  } catch {
    return null
  }
}
