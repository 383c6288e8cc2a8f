/**
 * From NATS into topics. Core NATS gives a message once and keeps nothing: what is published while no bridge listens is not seen.
 * So whoever needs to know asks with a reply subject, and gets the durable acknowledgement there, or why there is none.
 */
import { createHash } from 'node:crypto'
import type { Client, Topic } from '../../client-sdk/index.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { Msg, NatsConnection } from '../../proto/transport/nats-link.ts'
import { clusterHeader, propertiesOf } from './headers.ts'
import type { SubjectMap } from './subject-map.ts'

export interface InboundOptions {
  readonly client: Client
  readonly nats: NatsConnection
  readonly map: SubjectMap
  /** Bridges of one queue share the messages; by default those of the same cluster, subject and topic. */
  readonly queue?: string
  /** Something that people should know of; once for each kind. */
  readonly warn: (text: string) => void
}

/** What a reply subject gets. */
export type Acknowledgement =
  | { readonly id: string; readonly topic: string; readonly epoch: number; readonly status: string }
  | { readonly error: { readonly code: string; readonly message: string; readonly retryable: boolean } }

/** Messages and bytes that wait for their acknowledgement; what comes beyond is refused. */
const pendingMax = 50_000
const pendingBytesMax = 64 * 1024 * 1024
const topicsMax = 10_000
const tooLargeHint = 'with max_payload of nats-server below that, its publishers are told by NATS itself'

export class Inbound {
  readonly #options: InboundOptions
  readonly #topics = new Map<string, Topic<Uint8Array>>()
  readonly #warned = new Set<string>()
  #pending = 0
  #pendingBytes = 0
  #isStopping = false
  #idle: (() => void) | null = null
  #stop: (() => Promise<void>) | null = null
  /** Messages that are durable, that were refused, and that came from this cluster. */
  stored = 0
  refused = 0
  echoes = 0

  constructor(options: InboundOptions) {
    this.#options = options
  }

  /** @throws EpochcastError `EC_BAD_ARGUMENT` when NATS does not let the bridge listen */
  async start(): Promise<void> {
    const { nats, client, map } = this.#options
    const text = `${client.cluster} ${map.pattern} ${map.template}`
    const queue = this.#options.queue ?? `epochcast-${createHash('sha256').update(text).digest('hex').slice(0, 16)}`
    let refusal: Error | null = null
    const subscription = nats.subscribe(map.pattern, {
      queue,
      callback: (error, message) => {
        if (error) refusal = error
        else this.#take(message)
      },
    })
    this.#stop = () => subscription.drain()
    await nats.flush()
    await new Promise((resolve) => setImmediate(resolve))
    if (refusal !== null) {
      const text = `NATS does not let the bridge listen to ${map.pattern}: ${(refusal as Error).message}`
      throw new EpochcastError('EC_BAD_ARGUMENT', text, { cause: refusal })
    }
  }

  /** Takes nothing more, and waits until what was taken is acknowledged. */
  async end(): Promise<void> {
    await this.#stop?.().catch(() => {})
    this.#isStopping = true
    if (this.#pending > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve
      })
    }
  }

  #take(message: Msg): void {
    const { client } = this.#options
    if (message.headers?.get(clusterHeader) === client.cluster) {
      this.echoes++
      return
    }
    // NATS reuses nothing of it, but a view keeps the whole chunk that it came in.
    const payload = message.data
    const bytes = payload.length
    if (this.#pending >= pendingMax || (this.#pending > 0 && this.#pendingBytes + bytes > pendingBytesMax)) {
      const text = `${this.#pending} messages wait for the cluster already`
      this.#refuse(message, new EpochcastError('EC_QUEUE_FULL', text))
      return
    }
    this.#pending++
    this.#pendingBytes += bytes
    void this.#publish(message, payload).finally(() => {
      this.#pending--
      this.#pendingBytes -= bytes
      if (this.#isStopping && this.#pending === 0) this.#idle?.()
    })
  }

  async #publish(message: Msg, payload: Uint8Array): Promise<void> {
    try {
      const topic = this.#topicOf(this.#options.map.topicOf(message.subject))
      const { id, epoch, status } = await topic.publish(payload, propertiesOf(message.headers))
      this.stored++
      this.#answer(message, { id, topic: topic.name, epoch, status })
    } catch (error) {
      this.#refuse(message, error)
    }
  }

  #topicOf(name: string): Topic<Uint8Array> {
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      topic = this.#options.client.topic(name)
      if (this.#topics.size >= topicsMax) this.#topics.clear()
      this.#topics.set(name, topic)
    }
    return topic
  }

  #refuse(message: Msg, error: unknown): void {
    this.refused++
    const known = error instanceof EpochcastError ? error : new EpochcastError('EC_UNAVAILABLE', String(error))
    const { code, retryable } = known
    this.#answer(message, { error: { code, message: known.message, retryable } })
    const asks = message.reply !== undefined && message.reply !== ''
    // That a message is lost is news where another one was only refused.
    const kind = `${code} ${asks}`
    if (this.#warned.has(kind)) return
    this.#warned.add(kind)
    const lost = asks ? '' : '; the message is lost: nobody asked for an answer'
    const hint = code === 'EC_MESSAGE_TOO_LARGE' ? tooLargeHint : known.hint
    this.#options.warn(`${message.subject}: ${known.message}${lost}${hint === undefined ? '' : `; ${hint}`}`)
  }

  #answer({ reply }: Msg, acknowledgement: Acknowledgement): void {
    if (reply === undefined || reply === '') return
    try {
      this.#options.nats.publish(reply, JSON.stringify(acknowledgement))
    } catch {
      // Closed meanwhile: whoever waits finds out by waiting.
    }
  }
}
