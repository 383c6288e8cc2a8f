/**
 * From a topic to NATS, at least once as far as NATS: a position is kept only when NATS has said that it read everything up to it,
 * and whatever was under way when a connection broke is sent again. Every message carries its id where JetStream looks for one, so
 * a stream that captures the subject drops what comes twice within its window.
 *
 * No message is passed over: one that NATS does not take goes to the dead letter topic, or the bridge stops before it.
 */
import { InvalidArgumentError } from '@nats-io/transport-node'
import type { Client, EventStream, Message } from '../../client-sdk/index.ts'
import type { TopicName } from '../../proto/ids.ts'
import type { NatsConnection } from '../../proto/transport/nats-link.ts'
import { Aside, tooLarge } from './aside.ts'
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
  /** Topic for messages that are larger than NATS takes; without it the bridge stops at the first. */
  readonly deadLetter: string | undefined
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
  /** `aside`: on its way to the dead letter topic; `over`: NATS has read it, or it is put aside. */
  state: 'sent' | 'aside' | 'over'
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
  /** Why the bridge stops. */
  #failure: unknown = null
  readonly #failing = new AbortController()
  readonly #aside: Aside
  sent = 0

  /** @throws EpochcastError `EC_BAD_ARGUMENT` for a dead letter topic where messages of this one cannot go */
  constructor(options: OutboundOptions) {
    this.#options = options
    this.#confirmed = options.positions?.of(options.topic)
    this.#saved = this.#confirmed
    this.#aside = new Aside(options)
  }

  /** Messages that were put aside. */
  get asideCount(): number {
    return this.#aside.count
  }

  /** Everything before it is with NATS; undefined until something is. */
  get cursor(): string | undefined {
    return this.#confirmed
  }

  /**
   * Goes on until the signal says stop; what is under way then has a short while to arrive.
   * @throws EpochcastError `EC_MESSAGE_TOO_LARGE` at a message that NATS does not take, without a dead letter topic; what `refused` is given
   */
  async run(): Promise<void> {
    const { client, topic, from, signal, warn } = this.#options
    await this.#aside.start()
    const either = AbortSignal.any([signal, this.#failing.signal])
    const stream = client.topic(topic).subscribe({ from: this.#confirmed ?? from, events: true, signal: either })
    let isMoving = false
    const noteAll = () => {
      if (isMoving && this.#waiting.length === 0 && this.#failure === null) this.#confirmed = stream.cursor
    }
    // In a turn of its own, so that whatever was taken from the stream is in the queue.
    const timer = setInterval(() => {
      noteAll()
      void this.#save()
    }, saveMs)
    try {
      for await (const event of stream) {
        isMoving = true
        if (event.type === 'gap') warn(`${topic}: epochs ${event.from} to ${event.to} are not kept any more`)
        if (event.type === 'message') this.#take(event.message, stream)
        while (this.#isFull) await this.#change()
        if (this.#failure !== null) break
      }
      const deadline = performance.now() + endTimeoutMs
      while (this.#waiting.length > 0 && performance.now() < deadline) await this.#change(retryMs)
      noteAll()
    } finally {
      clearInterval(timer)
      this.#attempt++
      await this.#save()
    }
    if (this.#failure !== null) throw this.#failure
  }

  /** NATS refuses what is sent to this subject, and does not say which: what it was sent since the last kept position counts for nothing. */
  refused(reason: Error): void {
    this.#attempt++
    this.#confirmed = this.#saved
    this.#fail(reason, 0)
  }

  get #isFull(): boolean {
    if (this.#failure !== null) return false
    const count = this.#waiting.length
    return count >= waitingMax || (count > 1 && this.#waitingBytes > waitingBytesMax)
  }

  #take(message: Message<Uint8Array>, stream: EventStream<Uint8Array>): void {
    if (this.#failure !== null) return
    const cursor = this.#cursorsWaiting === 0 ? stream.cursor : undefined
    if (cursor !== undefined) this.#cursorsWaiting++
    const waiting: Waiting = { message, cursor, state: 'sent' }
    this.#waiting.push(waiting)
    this.#waitingBytes += message.payload.length
    if (!this.#isRetrying) this.#send(waiting)
  }

  /** Publishes, and asks in the same breath: the answer says that NATS has read both. */
  #send(waiting: Waiting): void {
    const { nats, client, subject } = this.#options
    const attempt = this.#attempt
    const about = headersOf(waiting.message, client.cluster)
    let read: Promise<void>
    try {
      nats.publish(subject, waiting.message.payload, { headers: about })
      read = nats.flush()
    } catch (error) {
      // The only argument that is not made here is the payload.
      if (error instanceof InvalidArgumentError) return this.#putAside(waiting)
      read = Promise.reject(error)
    }
    read.then(
      () => {
        if (attempt === this.#attempt) this.#over(waiting)
      },
      () => {
        if (attempt === this.#attempt) this.#retry()
      },
    )
  }

  /** A message that NATS does not take: what is behind it goes on only where it has another place. */
  #putAside(waiting: Waiting): void {
    const { message } = waiting
    waiting.state = 'aside'
    this.#aside.put(message, tooLarge(message, this.#options.nats.info?.max_payload)).then(
      (isThere) => {
        if (isThere) this.#over(waiting)
      },
      (error: unknown) => this.#fail(error, this.#waiting.indexOf(waiting)),
    )
  }

  /** The position moves past it once all before it are over, too. */
  #over(waiting: Waiting): void {
    if (waiting.state === 'sent') this.sent++
    waiting.state = 'over'
    for (let first = this.#waiting[0]; first?.state === 'over'; first = this.#waiting[0]) {
      this.#waiting.shift()
      this.#waitingBytes -= first.message.payload.length
      if (first.cursor === undefined) continue
      this.#cursorsWaiting--
      this.#confirmed = first.cursor
    }
    this.#wakeUp()
  }

  /** Stops before the message at `index` of those that wait: the position never passes it. */
  #fail(error: unknown, index: number): void {
    this.#waiting.splice(Math.max(0, index))
    this.#failure ??= error
    this.#failing.abort()
    this.#wakeUp()
  }

  /** The connection broke: what NATS may not have read goes again, in the same order. */
  #retry(): void {
    this.#attempt++
    this.#isRetrying = true
    setTimeout(() => {
      this.#isRetrying = false
      for (const waiting of [...this.#waiting]) if (waiting.state === 'sent') this.#send(waiting)
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
