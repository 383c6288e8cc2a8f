/**
 * A decision engine on one Redis: `SET key value NX GET` is a write-once register in one round trip. Its answer is the value that
 * was there before, or null where this one is the first.
 *
 * Every connection is looked at before it is used: another process, other settings or a replica behind it are found before
 * anything is asked of it. The client does not send anything again by itself, so an answer belongs to a connection that was
 * looked at.
 */
import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import type { Register } from '../../proto/machine/engine-port.ts'
import { checkSize, checkTrust, type EngineClient, type EngineReport, valueBytesMax } from './client.ts'
import { judgeRedis, parseConfigAnswer, parseInfo, settings } from './redis-trust.ts'
import { checkRedisUrl } from './redis-url.ts'

export interface RedisOptions {
  readonly id: string
  /** `redis://[user:password@]host:port[/db]`, `rediss://` with TLS. */
  readonly url: string
  /** Of all its keys; `epochcast` by default. */
  readonly prefix?: string
  readonly password?: string
  /** Takes a server that may forget decisions, with a warning. */
  readonly force?: boolean
}

/** What is asked of the Redis client. */
export type RedisConnection = Pick<
  Redis,
  'setBuffer' | 'getBuffer' | 'set' | 'info' | 'config' | 'on' | 'connect' | 'disconnect' | 'status'
>

const connectTimeoutMs = 2_000
/** A connection on which nothing comes back for so long is given up for a new one. */
const silenceMs = 5_000
const reconnectMs = 100
const reconnectMsMax = 2_000

export class RedisEngine implements EngineClient {
  readonly id: string
  readonly type = 'redis'
  readonly #redis: RedisConnection
  readonly #prefix: string
  readonly #force: boolean
  /** Of the connection that is open now; null until it has been looked at. */
  #report: Promise<EngineReport> | null = null
  #lastError = 'it has not answered yet'

  constructor(redis: RedisConnection, { id, prefix = 'epochcast', force = false }: RedisOptions) {
    this.id = id
    this.#redis = redis
    this.#prefix = prefix
    this.#force = force
    const distrust = () => {
      this.#report = null
    }
    for (const event of ['connect', 'ready', 'close', 'end']) redis.on(event, distrust)
    redis.on('error', (error: Error) => {
      this.#lastError = reasonOf(error)
    })
  }

  /** Does not wait for the server. @throws EpochcastError `EC_BAD_ARGUMENT` for a url that is none */
  static async open(options: RedisOptions): Promise<RedisEngine> {
    const { Redis } = await import('ioredis')
    const url = checkRedisUrl(options.url)
    const redis = new Redis(url, {
      ...(options.password !== undefined && { password: options.password }),
      lazyConnect: true,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
      enableReadyCheck: true,
      connectTimeout: connectTimeoutMs,
      socketTimeout: silenceMs,
      retryStrategy: (tries) => Math.min(reconnectMs * tries, reconnectMsMax),
      reconnectOnError: () => false,
      connectionName: 'epochcast',
    })
    const engine = new RedisEngine(redis, options)
    redis.connect().catch(() => {})
    return engine
  }

  async check(): Promise<EngineReport> {
    this.#report = null
    return this.#trusted()
  }

  async propose(register: Register, value: Uint8Array, instance: string): Promise<Uint8Array> {
    checkSize(value, valueBytesMax)
    checkTrust(await this.#trusted(), instance)
    const before = await this.#redis.setBuffer(this.#key(register), Buffer.from(value), 'NX', 'GET')
    await this.#sameAs(instance)
    return before ?? value
  }

  async read(register: Register, instance: string): Promise<Uint8Array | null> {
    checkTrust(await this.#trusted(), instance)
    const held = await this.#redis.getBuffer(this.#key(register))
    await this.#sameAs(instance)
    return held
  }

  async close(): Promise<void> {
    this.#redis.disconnect()
  }

  /** Its keys may have been thrown away since it was looked at: then what it just took or told counts for nothing. */
  async #sameAs(instance: string): Promise<void> {
    const now = (await this.#redis.getBuffer(this.#instanceKey))?.toString() ?? ''
    if (now === instance) return
    this.#report = null
    throw new Error('its keys are gone')
  }

  get #instanceKey(): string {
    return `${this.#prefix}:instance`
  }

  /** What is known of the connection that is open now. Whoever asks a moment later shares the look. */
  #trusted(): Promise<EngineReport> {
    if (this.#redis.status !== 'ready') return Promise.reject(new Error(this.#lastError))
    if (this.#report === null) {
      const look = this.#look()
      this.#report = look
      look.catch(() => {
        if (this.#report === look) this.#report = null
      })
    }
    return this.#report
  }

  async #look(): Promise<EngineReport> {
    const info = parseInfo(await this.#redis.info())
    const findings = judgeRedis(info, await this.#settings(), this.#force)
    // One that may not be relied on is not written to; its instance is shown all the same.
    const key = this.#instanceKey
    const isFit = !findings.some(({ verdict }) => verdict === 'fail')
    const drawn = randomBytes(8).toString('hex')
    const known = isFit
      ? await this.#redis.setBuffer(key, Buffer.from(drawn), 'NX', 'GET')
      : await this.#redis.getBuffer(key)
    return { instance: known?.toString() ?? (isFit ? drawn : ''), findings }
  }

  async #settings(): Promise<ReadonlyMap<string, string> | null> {
    const config = new Map<string, string>()
    try {
      for (const setting of settings) {
        for (const [key, value] of parseConfigAnswer(await this.#redis.config('GET', setting))) config.set(key, value)
      }
      return config
    } catch (error) {
      // Refused by name, as by those who sell it; anything else is a connection that failed.
      if (error instanceof Error && /NOPERM|unknown command|not allowed/i.test(error.message)) return null
      throw error
    }
  }

  /** Names of topics have no colon, so no two registers have one key. */
  #key({ cluster, topic, epoch }: Register): string {
    return `${this.#prefix}:${cluster}:${topic}:${epoch}`
  }
}

function reasonOf(error: Error & { errors?: readonly Error[] }): string {
  const inner = error.errors?.[0]?.message
  return error.message || inner || error.name
}
