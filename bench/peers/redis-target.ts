/** Redis Streams as a program uses them: XADDs of a turn in one pipeline, with a WAIT behind them where replicas must have them. */
import { Redis } from 'ioredis'
import type { PublisherPort, Settling, Target, TargetSpec } from '../load/target.ts'

type Spec = Extract<TargetSpec, { kind: 'redis' }>

const readCount = 1_000
const lookAgainMs = 20
const answerTimeoutMs = 200
/** Smaller pipelines follow each other without a pause: the next is under way while one waits. */
const pipelineMax = 1_000

export class RedisTarget implements Target {
  /** The library keeps what it is given until it is written. */
  readonly copies = false
  readonly #spec: Spec
  readonly #connections: Redis[] = []
  #isClosed = false

  private constructor(spec: Spec) {
    this.#spec = spec
  }

  static async open(spec: Spec): Promise<RedisTarget> {
    return new RedisTarget(spec)
  }

  async publisher(): Promise<PublisherPort> {
    const publisher = new Publisher(this.#spec, () => this.#primary())
    await publisher.connect()
    return publisher
  }

  async subscribe(take: (payload: Uint8Array) => void, failed: (error: unknown) => void): Promise<void> {
    const read = async () => {
      let last = '0-0'
      let connection = await this.#primary()
      while (!this.#isClosed) {
        try {
          const command = ['COUNT', readCount, 'BLOCK', 100, 'STREAMS', this.#spec.key, last] as const
          const answer = (await connection.callBuffer('XREAD', ...command.map(String))) as StreamsRead | null
          for (const [id, fields] of answer?.[0]?.[1] ?? []) {
            if (fields[1] !== undefined) take(fields[1])
            last = id.toString()
          }
        } catch {
          if (!this.#isClosed) connection = await this.#primary()
        }
      }
    }
    read().catch(failed)
  }

  async close(): Promise<void> {
    this.#isClosed = true
    for (const connection of this.#connections) connection.disconnect()
  }

  /** Looks for it until it is there. */
  async #primary(): Promise<Redis> {
    for (;;) {
      for (const port of this.#spec.ports) {
        if (this.#isClosed) throw new Error('closed')
        const connection = await dial(port)
        if (connection !== null) {
          this.#connections.push(connection)
          return connection
        }
      }
      await new Promise((resolve) => setTimeout(resolve, lookAgainMs))
    }
  }
}

type StreamsRead = readonly (readonly [Buffer, readonly (readonly [id: Buffer, fields: readonly Buffer[]])[]])[]

/** @returns null when no primary answers there */
async function dial(port: number): Promise<Redis | null> {
  const connection = new Redis({
    port,
    host: '127.0.0.1',
    lazyConnect: true,
    // What was under way fails, instead of being sent again behind the caller's back.
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
    enableOfflineQueue: false,
    connectTimeout: answerTimeoutMs,
  })
  connection.on('error', () => {})
  try {
    await connection.connect()
    const timeout = new Promise<null>((resolve) => setTimeout(() => resolve(null), answerTimeoutMs))
    const role = await Promise.race([connection.call('ROLE'), timeout])
    if (Array.isArray(role) && String(role[0]) === 'master') return connection
  } catch {
    // Not here, or not now.
  }
  connection.disconnect()
  return null
}

class Publisher implements PublisherPort {
  readonly #spec: Spec
  readonly #look: () => Promise<Redis>
  #connection: Redis | null = null
  #payloads: Buffer[] = []
  #settlings: Settling[] = []

  constructor(spec: Spec, look: () => Promise<Redis>) {
    this.#spec = spec
    this.#look = look
  }

  async connect(): Promise<void> {
    this.#connection = await this.#look()
  }

  publish(_topic: number, payload: Buffer, settling: Settling): void {
    this.#payloads.push(payload)
    this.#settlings.push(settling)
    if (this.#payloads.length >= pipelineMax) this.turnEnds()
  }

  turnEnds(): void {
    const [payloads, settlings] = [this.#payloads, this.#settlings]
    if (payloads.length === 0) return
    this.#payloads = []
    this.#settlings = []
    this.#send(payloads, settlings).catch(() => {})
  }

  async #send(payloads: readonly Buffer[], settlings: readonly Settling[]): Promise<void> {
    const connection = this.#connection
    if (connection === null) {
      for (const settling of settlings) settling.failed(1, new Error('no primary'), false)
      return
    }
    const { key, wait, waitMs } = this.#spec
    const pipeline = connection.pipeline()
    for (const payload of payloads) pipeline.xadd(key, '*', 'd', payload)
    if (wait > 0) pipeline.call('WAIT', String(wait), String(waitMs))
    const timer = setTimeout(() => connection.disconnect(), waitMs)
    const results = await pipeline.exec().catch(() => null)
    clearTimeout(timer)
    const had = wait === 0 ? 0 : Number(results?.[payloads.length]?.[1] ?? -1)
    let isBroken = false
    for (const [at, settling] of settlings.entries()) {
      const [error] = results?.[at] ?? [new Error('the connection ended')]
      if (error === null && had >= wait) settling.ok(1)
      else {
        isBroken = true
        const isRefused = error !== null && /READONLY|MASTERDOWN|LOADING/.test(error.message)
        settling.failed(1, error ?? new Error(`${had} of ${wait} replicas have it`), !isRefused)
      }
    }
    if (isBroken) await this.#reconnect(connection)
  }

  async #reconnect(broken: Redis): Promise<void> {
    if (this.#connection !== broken) return
    this.#connection = null
    broken.disconnect()
    this.#connection = await this.#look()
  }
}
