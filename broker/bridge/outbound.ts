/**
 * From a topic to NATS, at least once as far as NATS: a position is kept only when NATS has said that it read everything up to it,
 * and whatever was under way when a connection broke is sent again. Every message carries its id where JetStream looks for one, so
 * a stream that captures the subject drops what comes twice within its window.
 */
import type { Client, EventStream, Message } from '../../client-sdk/index.ts'
import type { TopicName } from '../../proto/ids.ts'
import type { NatsConnection } from '../../proto/transport/nats-link.ts'
import { headersOf } from './headers.ts'
import type { PositionFile } from './position-file.ts'

export interface OutboundOptions {
  readonly client: Client
  readonly nats: NatsConnection
  readonly topic: TopicName
  readonly subject: string
  /** `start`, `new` or a cursor, where no position is kept. */
  readonly from: string
  readonly positions: PositionFile | null
  readonly signal: AbortSignal
  readonly warn: (text: string) => void
}

/** Messages and bytes that NATS has not said to have read; reading the topic waits for it. */
const waitingMax = 1_000
const waitingBytesMax = 16 * 1024 * 1024
const retryMs = 100
const saveMs = 200
const endTimeoutMs = 2_000

interface Waiting {
  readonly message: Message<Uint8Array>
  /** Position behind it; not of every message, because it costs more than one. */
  readonly cursor: string | undefined
}

export class Outbound {
  readonly #options: OutboundOptions
  #waiting: Waiting[] = []
  #waitingBytes = 0
  #cursorsWaiting = 0
  /** Answers to an earlier attempt do not count. */
  #attempt = 0
  #isRetrying = false
  #wake: (() => void) | null = null
  #confirmed: string | undefined
  #saved: string | undefined
  sent = 0

  constructor(options: OutboundOptions) {
    this.#options = options
    this.#confirmed = options.positions?.of(options.topic)
  }

  /** Everything before it is with NATS; undefined until something is. */
  get cursor(): string | undefined {
    return this.#confirmed
  }

  /** Goes on until the signal says stop; what is under way then has a short while to arrive. */
  async run(): Promise<void> {
    const { client, topic, from, signal, warn } = this.#options
    const stream = client.topic(topic).subscribe({ from: this.#confirmed ?? from, events: true, signal })
    let isMoving = false
    // In a turn of its own, so that whatever was taken from the stream is in the queue.
    const timer = setInterval(() => {
      if (isMoving && this.#waiting.length === 0) this.#confirmed = stream.cursor
      void this.#save()
    }, saveMs)
    try {
      for await (const event of stream) {
        isMoving = true
        if (event.type === 'gap') warn(`${topic}: epochs ${event.from} to ${event.to} are not kept any more`)
        if (event.type === 'message') this.#take(event.message, stream)
        while (this.#isFull) await this.#change()
      }
      const deadline = performance.now() + endTimeoutMs
      while (this.#waiting.length > 0 && performance.now() < deadline) await this.#change(retryMs)
      if (isMoving && this.#waiting.length === 0) this.#confirmed = stream.cursor
    } finally {
      clearInterval(timer)
      this.#attempt++
      await this.#save()
    }
  }

  get #isFull(): boolean {
    const count = this.#waiting.length
    return count >= waitingMax || (count > 1 && this.#waitingBytes > waitingBytesMax)
  }

  #take(message: Message<Uint8Array>, stream: EventStream<Uint8Array>): void {
    const cursor = this.#cursorsWaiting === 0 ? stream.cursor : undefined
    if (cursor !== undefined) this.#cursorsWaiting++
    const waiting = { message, cursor }
    this.#waiting.push(waiting)
    this.#waitingBytes += message.payload.length
    if (!this.#isRetrying) this.#send(waiting)
  }

  /** Publishes, and asks in the same breath: the answer says that NATS has read both. */
  #send({ message }: Waiting): void {
    const { nats, client, subject } = this.#options
    const attempt = this.#attempt
    const about = headersOf(message, client.cluster)
    let read: Promise<void>
    try {
      nats.publish(subject, message.payload, { headers: about })
      read = nats.flush()
    } catch (error) {
      read = Promise.reject(error)
    }
    read.then(
      () => {
        if (attempt === this.#attempt) this.#arrived()
      },
      () => {
        if (attempt === this.#attempt) this.#retry()
      },
    )
  }

  /** The oldest of those that wait: NATS answers in order. */
  #arrived(): void {
    const first = this.#waiting.shift()
    if (first === undefined) return
    this.#waitingBytes -= first.message.payload.length
    this.sent++
    if (first.cursor !== undefined) {
      this.#cursorsWaiting--
      this.#confirmed = first.cursor
    }
    this.#wakeUp()
  }

  /** The connection broke: what NATS may not have read goes again, in the same order. */
  #retry(): void {
    this.#attempt++
    this.#isRetrying = true
    setTimeout(() => {
      this.#isRetrying = false
      for (const waiting of this.#waiting) this.#send(waiting)
    }, retryMs)
  }

  async #save(): Promise<void> {
    const { positions, topic, warn } = this.#options
    if (positions === null || this.#confirmed === undefined || this.#confirmed === this.#saved) return
    this.#saved = this.#confirmed
    try {
      await positions.save(topic, this.#confirmed)
    } catch (error) {
      warn(`the position cannot be kept: ${String(error)}`)
    }
  }

  #change(timeoutMs?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = timeoutMs === undefined ? undefined : setTimeout(resolve, timeoutMs)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}
