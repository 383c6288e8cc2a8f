/** Redis Streams as a program uses them: XADDs of a turn in one pipeline, with a WAIT behind them where replicas must have them. */
import { Redis } from 'ioredis'
import type { PublisherPort, Settling, Target, TargetSpec } from '../load/target.ts'

type Spec = Extract<TargetSpec, { kind: 'redis' }>

const readCount = 1_000
const lookAgainMs = 20
const answerTimeoutMs = 200
const pipelineMax = 1_000
/** The next pipeline is there already when a WAIT ends; more would only wait behind each other. */
const underWayMax = 2

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
  #underWay = 0

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
  }

  turnEnds(): void {
    // Without a primary it waits here, as the library's own queue would have it.
    while (this.#connection !== null && this.#payloads.length > 0 && this.#underWay < underWayMax) {
      const payloads = this.#payloads.splice(0, pipelineMax)
      const settlings = this.#settlings.splice(0, pipelineMax)
      this.#send(this.#connection, payloads, settlings).catch(() => {})
    }
  }

  async #send(connection: Redis, payloads: readonly Buffer[], settlings: readonly Settling[]): Promise<void> {
    this.#underWay++
    const { key, wait, waitMs } = this.#spec
    const pipeline = connection.pipeline()
    for (const payload of payloads) pipeline.xadd(key, '*', 'd', payload)
    if (wait > 0) pipeline.call('WAIT', String(wait), String(waitMs))
    const timer = setTimeout(() => this.#giveUp(connection), waitMs)
    const results = await pipeline.exec().catch(() => null)
    clearTimeout(timer)
    this.#underWay--
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
    if (isBroken) this.#giveUp(connection)
    this.turnEnds()
  }

  /** Looks for a primary again; what is under way fails. */
  #giveUp(broken: Redis): void {
    if (this.#connection !== broken) return
    this.#connection = null
    broken.disconnect()
    this.#look().then(
      (connection) => {
        this.#connection = connection
        this.turnEnds()
      },
      () => {},
    )
  }
}
