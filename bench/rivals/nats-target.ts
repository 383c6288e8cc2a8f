/** JetStream as a program uses it: the library's `publish`, or messages with a reply subject of their own, acknowledged as they come. */
import { type JetStreamClient, jetstream } from '@nats-io/jetstream'
import { connect, createInbox, type NatsConnection } from '@nats-io/transport-node'
import type { PublisherPort, Settling, Target, TargetSpec } from '../load/target.ts'
import { nowUs } from '../measure/clock.ts'

type Spec = Extract<TargetSpec, { kind: 'nats' }>

const sweepMs = 100
const refusal = Buffer.from('"error"')

export class NatsTarget implements Target {
  /** The library keeps what it is given until it is written. */
  readonly copies = false
  readonly #connection: NatsConnection
  readonly #spec: Spec

  private constructor(connection: NatsConnection, spec: Spec) {
    this.#connection = connection
    this.#spec = spec
  }

  static async open(spec: Spec): Promise<NatsTarget> {
    const connection = await connect({
      servers: [...spec.servers],
      maxReconnectAttempts: -1,
      reconnectTimeWait: 50,
      pingInterval: 1_000,
      maxPingOut: 2,
    })
    return new NatsTarget(connection, spec)
  }

  async publisher(): Promise<PublisherPort> {
    return this.#spec.pipelined ? new Pipelined(this.#connection, this.#spec) : this.#byLibrary()
  }

  async subscribe(take: (payload: Uint8Array) => void, failed: (error: unknown) => void): Promise<void> {
    // Ordered, from the first message: kept right by the client itself, over leader changes too.
    const consumer = await jetstream(this.#connection).consumers.get(this.#spec.stream)
    const messages = await consumer.consume({ max_messages: 5_000 })
    const read = async () => {
      for await (const message of messages) take(message.data)
    }
    read().catch(failed)
  }

  async close(): Promise<void> {
    await this.#connection.close()
  }

  #byLibrary(): PublisherPort {
    const client: JetStreamClient = jetstream(this.#connection, { timeout: this.#spec.timeoutMs })
    const { subject } = this.#spec
    return {
      publish(_topic, payload, settling) {
        client.publish(subject, payload).then(
          () => settling.ok(1),
          (error: unknown) => settling.failed(1, error, true),
        )
      },
    }
  }
}

interface Waiting {
  readonly settling: Settling
  readonly deadlineUs: number
}

class Pipelined implements PublisherPort {
  readonly #connection: NatsConnection
  readonly #spec: Spec
  readonly #inbox = createInbox()
  readonly #waiting = new Map<number, Waiting>()
  #next = 0

  constructor(connection: NatsConnection, spec: Spec) {
    this.#connection = connection
    this.#spec = spec
    const digitsAt = this.#inbox.length + 1
    connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error !== null) return
        const number = Number(message.subject.slice(digitsAt))
        const waiting = this.#waiting.get(number)
        if (waiting === undefined) return
        this.#waiting.delete(number)
        if (message.headers?.code === 503 || message.data.length === 0) {
          waiting.settling.failed(1, new Error('no responders'), false)
        } else if (Buffer.from(message.data.buffer, message.data.byteOffset, message.data.length).includes(refusal)) {
          waiting.settling.failed(1, new Error(message.string()), false)
        } else waiting.settling.ok(1)
      },
    })
    setInterval(() => this.#sweep(), sweepMs).unref()
  }

  publish(_topic: number, payload: Buffer, settling: Settling): void {
    const number = this.#next++
    this.#waiting.set(number, { settling, deadlineUs: nowUs() + this.#spec.timeoutMs * 1000 })
    this.#connection.publish(this.#spec.subject, payload, { reply: `${this.#inbox}.${number}` })
  }

  #sweep(): void {
    const now = nowUs()
    for (const [number, { settling, deadlineUs }] of this.#waiting) {
      if (deadlineUs > now) return
      this.#waiting.delete(number)
      settling.failed(1, new Error('timeout'), true)
    }
  }
}
