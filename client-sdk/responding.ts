/**
 * Answers to requests: responders are a group, so each request is held by one of them and handed on when that one ends. No
 * request ends a responder: a handler that throws, a reply that is too large or that its codec cannot write reach the
 * requester as the reason why there is no reply.
 */
import { EpochcastError } from '../proto/errors.ts'
import type { TopicName } from '../proto/ids.ts'
import { replyTopicName } from './companion.ts'
import type { Start } from './groups/messages.ts'
import type { GroupMessage, GroupStream } from './groups/stream.ts'
import { type AllProperties, encodeProperties } from './properties.ts'

const failureLengthMax = 1_000
/** Until a request whose reply could not be published is handled again. */
const retryMs = 1_000

/** The topic of replies, as responders use it. */
export interface ReplyPorts {
  /** Largest reply in bytes. */
  readonly bytesMax: number
  /** Makes the topic of replies where it is not there. */
  made(signal: AbortSignal): Promise<unknown>
  send(payload: Uint8Array, header: Uint8Array): Promise<unknown>
}

/** Answers requests until it is ended. */
export class Responder implements AsyncDisposable {
  /** Resolves at the end. Rejects where requests cannot be read any more. */
  readonly done: Promise<void>
  readonly #stop: () => Promise<unknown>
  readonly #ready: Promise<unknown>

  constructor(done: Promise<void>, ready: Promise<unknown>, stop: () => Promise<unknown>) {
    this.done = done
    this.done.catch(() => {})
    this.#ready = ready
    this.#ready.catch(() => {})
    this.#stop = stop
  }

  /** Resolves once this responder takes requests. */
  async ready(): Promise<this> {
    await this.#ready
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

interface Reply {
  readonly payload: Uint8Array
  readonly properties: AllProperties
}

/** Answers each request of a group's share, as many at once as it may hold. */
export function respond<T>(
  topic: TopicName,
  group: string,
  requests: GroupStream<T>,
  answer: (message: GroupMessage<T>) => Promise<unknown>,
  replies: ReplyPorts,
): Responder {
  const ending = new AbortController()
  const { signal } = ending
  const stop = () => {
    ending.abort()
    return requests.return()
  }
  const ready = requests.joined()
  let failure: unknown = null
  const announced = ready.then(() => announce(group, requests.founded, replies, signal))
  announced.catch((error: unknown) => {
    // It left before it had joined: that is no failure.
    if (signal.aborted || (error instanceof EpochcastError && error.code === 'EC_CLOSED')) return
    failure = error
    void stop()
  })
  const done = (async () => {
    try {
      for await (const message of requests) void one(message)
    } finally {
      ending.abort()
    }
    if (failure !== null) throw failure
  })()
  return new Responder(done, ready, stop)

  async function one(message: GroupMessage<T>): Promise<void> {
    const request = requestOf(message.properties, topic)
    try {
      if (request !== null) {
        const reply = await replyOf(message, request)
        // Another responder is given the request: that this one was interrupted is no answer.
        if (reply.properties.failure !== undefined && requests.isEnding) return
        await replies.send(reply.payload, encodeProperties(reply.properties))
      }
    } catch {
      void message.nak(retryMs)
      return
    }
    void message.ack()
  }

  async function replyOf(message: GroupMessage<T>, request: string): Promise<Reply> {
    try {
      const payload = await answer(message)
      if (!(payload instanceof Uint8Array)) throw new Error('the reply was not encoded as bytes: respond with a codec')
      if (payload.length <= replies.bytesMax) return { payload, properties: { request } }
      throw new Error(`a reply of ${payload.length} bytes is larger than the ${replies.bytesMax} that are allowed`)
    } catch (error) {
      return { payload: new Uint8Array(0), properties: failureOf(request, textOf(error)) }
    }
  }
}

/** The request's own id; null for what is none, or names a place where no reply to this topic belongs. */
export function requestOf({ replyTo, request }: AllProperties, topic: TopicName): string | null {
  return request !== undefined && replyTo === replyTopicName(topic) ? request : null
}

/** A reply that says why there is none. */
export function failureOf(request: string, failure: string): AllProperties {
  return { request, failure: failure.slice(0, failureLengthMax) }
}

/** Names, for requesters that wait, the place where this group began: its responders are not given what was asked before. */
async function announce(group: string, founded: Start | null, replies: ReplyPorts, signal: AbortSignal): Promise<void> {
  if (founded === null) return
  while (!signal.aborted) {
    try {
      await replies.made(signal)
      await replies.send(encodeStart(founded), encodeProperties({ responders: group }))
      return
    } catch (error) {
      if (!(error instanceof EpochcastError) || !error.retryable) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, retryMs))
  }
}

function encodeStart(start: Start): Uint8Array {
  return Buffer.from(JSON.stringify(start))
}

/** Any value can be thrown. */
function textOf(error: unknown): string {
  try {
    return String(error instanceof Error ? error.message : error)
  } catch {
    return 'something without a text was thrown'
  }
}
