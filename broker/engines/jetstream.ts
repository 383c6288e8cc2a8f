/**
 * A decision engine on NATS JetStream: a stream that takes one message for each subject, the first one. The server refuses every
 * other, so a register is written once whoever writes, and a stale view of it can only be empty, never wrong.
 *
 * Never an update that compares revisions: servers before 2.9.21 take several at once. What is acknowledged is read back, so that
 * whoever proposes believes the register and not its own acknowledgement.
 */
import { randomBytes } from 'node:crypto'
import type { JetStreamClient, JetStreamManager } from '@nats-io/jetstream'
import { JetStreamApiCodes, JetStreamApiError, jetstream, jetstreamManager } from '@nats-io/jetstream'
import type { Register } from '../../proto/machine/engine-port.ts'
import { type NatsConnection, openNats } from '../../proto/transport/nats-link.ts'
import type { NatsOptions } from '../../proto/transport/nats-options.ts'
import { checkSize, checkTrust, type EngineClient, EngineDistrust, type EngineReport, valueBytesMax } from './client.ts'
import { judgeStream, registerStream } from './jetstream-trust.ts'

export interface JetStreamOptions extends NatsOptions {
  readonly id: string
  /** Name of the stream; made when there is none. `EPOCHCAST` by default. */
  readonly stream?: string
  /** First token of all its subjects; `epochcast-decides` by default. */
  readonly prefix?: string
  /** Copies of each decision where the stream is made; three in a cluster of servers and one on a single one by default. */
  readonly replicas?: number
}

const askTimeoutMs = 1_500
const connectTimeoutMs = 1_500
const headersBytes = 512
/** A second message for a subject, by an expectation or by the stream's own rule. */
const taken: readonly number[] = [JetStreamApiCodes.StreamWrongLastSequence, 10077, 10164]

/** One connection and what belongs to it. */
interface Link {
  readonly nats: NatsConnection
  readonly js: JetStreamClient
  readonly manager: JetStreamManager
}

export class JetStreamEngine implements EngineClient {
  readonly id: string
  readonly type = 'jetstream'
  readonly #options: JetStreamOptions
  readonly #stream: string
  readonly #prefix: string
  #link: Promise<Link> | null = null
  /** Of the connection that is open now; null until its stream has been looked at. */
  #report: Promise<EngineReport> | null = null
  #breaks = 0
  #isClosed = false

  constructor(options: JetStreamOptions) {
    this.id = options.id
    this.#options = options
    this.#stream = options.stream ?? 'EPOCHCAST'
    this.#prefix = options.prefix ?? 'epochcast-decides'
  }

  async check(): Promise<EngineReport> {
    this.#report = null
    return this.#trusted(await this.#linked())
  }

  async propose(register: Register, value: Uint8Array, instance: string): Promise<Uint8Array> {
    const link = await this.#linked()
    checkSize(value, Math.min(valueBytesMax, (link.nats.info?.max_payload ?? valueBytesMax) - headersBytes))
    const breaks = this.#breaks
    checkTrust(await this.#trusted(link), instance)
    const subject = this.#subject(register)
    await this.#fill(link, subject, value)
    const held = await this.#read(link, subject)
    if (held === null) throw new Error('it does not show yet what it took')
    await this.#sameAs(link, instance, breaks)
    return held
  }

  async read(register: Register, instance: string): Promise<Uint8Array | null> {
    const link = await this.#linked()
    const breaks = this.#breaks
    checkTrust(await this.#trusted(link), instance)
    const held = await this.#read(link, this.#subject(register))
    await this.#sameAs(link, instance, breaks)
    return held
  }

  async close(): Promise<void> {
    this.#isClosed = true
    const link = await this.#link?.catch(() => null)
    await link?.nats.close()
  }

  /**
   * Its stream may have been made anew since it was looked at, and after a break what the client had waiting went to whatever it
   * found: then what was just taken or told counts for nothing.
   */
  async #sameAs(link: Link, instance: string, breaks: number): Promise<void> {
    const now = await this.#read(link, this.#instanceSubject)
    if (breaks !== this.#breaks) throw new Error('its connection broke meanwhile')
    if (now !== null && Buffer.from(now).toString() === instance) return
    this.#report = null
    throw new Error('its stream is not the one that was looked at')
  }

  get #instanceSubject(): string {
    return `${this.#prefix}.instance`
  }

  /** Offers the value to a register. Resolves when it holds something, whoever proposed that. */
  async #fill({ js }: Link, subject: string, value: Uint8Array): Promise<void> {
    try {
      const expect = { streamName: this.#stream, lastSubjectSequence: 0 }
      await js.publish(subject, value, { expect, timeout: askTimeoutMs, retries: 0 })
    } catch (error) {
      if (!(error instanceof JetStreamApiError)) throw error
      if (!taken.includes(error.code)) throw distrustOr(error)
    }
  }

  async #read({ manager }: Link, subject: string): Promise<Uint8Array | null> {
    try {
      const message = await manager.streams.getMessage(this.#stream, { last_by_subj: subject })
      return message?.data ?? null
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.NoMessageFound) return null
      throw error instanceof JetStreamApiError ? distrustOr(error) : error
    }
  }

  /** The first connection is made when something is asked; it comes back by itself when it breaks. */
  #linked(): Promise<Link> {
    if (this.#isClosed) return Promise.reject(new Error('it is closed'))
    if (this.#link === null) {
      const link = this.#connect()
      this.#link = link
      link.catch(() => {
        if (this.#link === link) this.#link = null
      })
    }
    return this.#link
  }

  async #connect(): Promise<Link> {
    const nats = await openNats({ ...this.#options, name: `epochcast-engine-${this.id}`, timeoutMs: connectTimeoutMs })
    if (this.#isClosed) await nats.close()
    const manager = await jetstreamManager(nats, { timeout: askTimeoutMs, checkAPI: false })
    void this.#watch(nats)
    return { nats, manager, js: jetstream(nats, { timeout: askTimeoutMs }) }
  }

  /** After a break it may be another server, or another stream. */
  async #watch(nats: NatsConnection): Promise<void> {
    for await (const { type } of nats.status()) {
      if (type !== 'disconnect' && type !== 'reconnect') continue
      this.#breaks++
      this.#report = null
    }
    if (!this.#isClosed) this.#link = null
  }

  #trusted(link: Link): Promise<EngineReport> {
    if (this.#report === null) {
      const look = this.#look(link)
      this.#report = look
      look.catch(() => {
        if (this.#report === look) this.#report = null
      })
    }
    return this.#report
  }

  async #look(link: Link): Promise<EngineReport> {
    const { info } = link.nats
    const inCluster = (info?.cluster ?? '') !== ''
    const replicas = this.#options.replicas ?? (inCluster ? 3 : 1)
    const expected = registerStream(this.#stream, this.#prefix, replicas)
    const stream = await this.#streamOf(link, expected)
    const findings = judgeStream(stream, expected, info?.version ?? '?', this.#options.replicas ?? null)
    if (findings.some(({ verdict }) => verdict === 'fail')) return { instance: '', findings }
    const subject = this.#instanceSubject
    await this.#fill(link, subject, Buffer.from(randomBytes(8).toString('hex')))
    const instance = await this.#read(link, subject)
    if (instance === null) throw new Error('it does not show yet what it took')
    return { instance: Buffer.from(instance).toString(), findings }
  }

  async #streamOf({ manager }: Link, expected: ReturnType<typeof registerStream>) {
    try {
      return await manager.streams.info(this.#stream)
    } catch (error) {
      if (!(error instanceof JetStreamApiError)) throw error
      if (error.code !== JetStreamApiCodes.StreamNotFound) throw distrustOr(error)
    }
    try {
      return await manager.streams.add(expected)
    } catch (error) {
      throw error instanceof JetStreamApiError ? distrustOr(error) : error
    }
  }

  /** Topics have dots, and a dot separates tokens: here a topic is one token. It has no slash, so no two have one subject. */
  #subject({ cluster, topic, epoch }: Register): string {
    return `${this.#prefix}.${cluster}.${topic.replaceAll('.', '/')}.${epoch}`
  }
}

/** What somebody has to mend, by name; the rest may be better at the next try. */
function distrustOr(error: JetStreamApiError): Error {
  // No leader, no quorum, not the leader, no peers for the replicas yet: it is being elected or started.
  const passing = error.status === 503 || error.status === 500 || /leader|quorum|no suitable peers/i.test(error.message)
  return passing ? error : new EngineDistrust(`JetStream says: ${error.message} (${error.code})`)
}
