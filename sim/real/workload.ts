/** Clients that publish, read and ask without pause while servers break, and write down everything that they were told. */
import { setTimeout as sleep } from 'node:timers/promises'
import { text } from '../../client-sdk/codecs.ts'
import { type Client, connect, EpochcastError, type EventStream, type Topic } from '../../client-sdk/index.ts'
import type { AddRecord, GetRecord, HistoryRecord } from './history.ts'

export interface WorkloadOptions {
  readonly url: string
  readonly topics: readonly string[]
  /** Messages that one publisher has under way at most. */
  readonly window?: number
  /** Milliseconds between two messages of one publisher. */
  readonly pauseMs?: number
}

const asText = { codec: text() }
const getTimeoutMs = 20_000
const getPauseMs = 400
const outcomePauseMs = 700
const bodyBytesMax = 2_000

/** Four processes' worth of clients in one: for each topic two publishers, one that gets and asks, two subscribers. */
export class Workload {
  readonly history: HistoryRecord[] = []
  readonly #options: WorkloadOptions
  readonly #clients: Client[] = []
  readonly #streams: EventStream<string>[] = []
  readonly #running: Promise<void>[] = []
  readonly #open = new Set<AddRecord>()
  /** Sent as it is: half of all publishers let what an epoch change drops be dropped. */
  #isEnding = false
  #isPaused = false
  #numbers = 0
  failure: unknown = null

  constructor(options: WorkloadOptions) {
    this.#options = options
  }

  get acknowledged(): number {
    let count = 0
    for (const record of this.history) {
      if (record.what === 'add' && (record.status === 'durable' || record.status === 'included')) count++
    }
    return count
  }

  async start(): Promise<void> {
    for (const topic of this.#options.topics) {
      const publishing = await this.#connect()
      const other = await this.#connect()
      const reading = await this.#connect()
      this.#run(this.#publish(publishing.topic(topic, asText), `p1-${topic}`, 'republish'))
      this.#run(this.#publish(other.topic(topic, asText), `p2-${topic}`, 'settle'))
      this.#run(this.#get(reading.topic(topic, asText), `g-${topic}`))
      this.#run(this.#ask(reading.topic(topic, asText), `o-${topic}`))
      this.#run(this.#subscribe(publishing.topic(topic, asText), `s1-${topic}`))
      this.#run(this.#subscribe(reading.topic(topic, asText), `s2-${topic}`))
    }
  }

  fault(words: string): void {
    this.history.push({ what: 'fault', at: performance.now(), text: words })
  }

  /** Resolves when a message that is published from now on has been acknowledged in every topic: it serves again. */
  async serves(timeoutMs: number): Promise<void> {
    const [client] = this.#clients
    if (client === undefined) throw new Error('the workload has not begun')
    await Promise.all(
      this.#options.topics.map(async (topic) => {
        const record = this.#begin(topic, `probe-${topic}`)
        await this.#settle(record, client.topic(topic, asText).publish(record.value, { timeoutMs }))
        if (record.status !== 'durable' && record.status !== 'included')
          throw new Error(`${topic} does not serve again within ${timeoutMs} ms`)
      }),
    )
  }

  /** No more publishes from now on, while nothing serves. */
  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
  }

  /** Lets everything come to an end, reads all topics a last time, and waits until every subscriber has everything. */
  async finish(timeoutMs: number): Promise<void> {
    this.#isEnding = true
    await this.#until(
      () => this.#open.size === 0,
      timeoutMs,
      () => `${this.#open.size} publishes have no outcome`,
    )
    await this.serves(timeoutMs)
    const [client] = this.#clients
    if (client === undefined) return
    await this.#resolveUnknown(client, timeoutMs)
    for (const topic of this.#options.topics) {
      const record = await this.#getOnce(client.topic(topic, asText), 'final')
      const wanted = record.given?.length ?? 0
      const given = (name: string) => {
        let count = 0
        for (const one of this.history) if (one.what === 'delivery' && one.client === name) count++
        return count
      }
      for (const name of [`s1-${topic}`, `s2-${topic}`]) {
        const lag = () => `F5: ${name} has ${given(name)} of ${wanted} messages`
        await this.#until(() => given(name) >= wanted, timeoutMs, lag)
      }
    }
    await this.close()
  }

  /** Of every publish that nobody was told the end of, somebody can be told now. */
  async #resolveUnknown(client: Client, timeoutMs: number): Promise<void> {
    for (const record of this.history.slice()) {
      if (record.what !== 'add' || record.status !== 'unknown' || record.id === null) continue
      const { topic, id } = record
      const outcome = await client.topic(topic).outcome(id, { timeoutMs })
      this.history.push({ what: 'outcome', topic, client: 'last', at: performance.now(), id, outcome })
    }
  }

  async close(): Promise<void> {
    this.#isEnding = true
    for (const stream of this.#streams) await stream.return()
    await Promise.all(this.#clients.map((client) => client.close().catch(() => {})))
    await Promise.allSettled(this.#running)
  }

  #run(one: Promise<void>): void {
    this.#running.push(
      one.catch((error: unknown) => {
        if (!this.#isEnding) this.failure ??= error
      }),
    )
  }

  async #connect(): Promise<Client> {
    const client = await connect(this.#options.url, { timeoutMs: 30_000 })
    this.#clients.push(client)
    return client
  }

  async #publish(topic: Topic<string>, client: string, onEpochEnd: 'republish' | 'settle'): Promise<void> {
    const { window = 8, pauseMs = 15 } = this.#options
    let pending = 0
    while (!this.#isEnding) {
      await sleep(pauseMs)
      if (pending >= window || this.#isPaused || this.#isEnding) continue
      const record = this.#begin(topic.name, client)
      // One in ten is given up soon, so that there are outcomes which nobody was told.
      const isImpatient = this.#numbers % 10 === 0
      pending++
      const sent = topic.publish(record.value, { onEpochEnd, ...(isImpatient && { timeoutMs: 150 }) })
      void this.#settle(record, sent).finally(() => {
        pending--
      })
    }
  }

  #begin(topic: string, client: string): AddRecord {
    const number = ++this.#numbers
    const body = 'x'.repeat(number % 50 === 0 ? bodyBytesMax : number % 40)
    const value = `${client} ${number} ${body}`
    const start = performance.now()
    const record: AddRecord = { what: 'add', topic, client, value, start, end: 0, id: null, status: 'open' }
    this.history.push(record)
    this.#open.add(record)
    return record
  }

  async #settle(record: AddRecord, sent: Promise<{ id: string; status: AddRecord['status'] }>): Promise<void> {
    try {
      const { id, status } = await sent
      record.id = id
      record.status = status
    } catch (error) {
      const isUnknown = error instanceof EpochcastError && error.code === 'EC_OUTCOME_UNKNOWN'
      record.id = (error instanceof EpochcastError && error.messageId) || null
      record.status = isUnknown ? 'unknown' : 'refused'
      if (!(error instanceof EpochcastError)) this.failure ??= error
    }
    record.end = performance.now()
    this.#open.delete(record)
  }

  async #get(topic: Topic<string>, client: string): Promise<void> {
    while (!this.#isEnding) {
      await this.#getOnce(topic, client).catch((error: unknown) => {
        if (!(error instanceof EpochcastError)) throw error
      })
      await sleep(getPauseMs)
    }
  }

  async #getOnce(topic: Topic<string>, client: string): Promise<GetRecord> {
    const start = performance.now()
    const record: GetRecord = { what: 'get', topic: topic.name, client, start, end: 0, given: null }
    const { messages } = await topic.get({ timeoutMs: getTimeoutMs })
    record.end = performance.now()
    record.given = messages.map((message) => [message.id, message.value] as const)
    this.history.push(record)
    return record
  }

  /** Asks again and again what became of messages whose publisher gave up, and of some others. */
  async #ask(topic: Topic<string>, client: string): Promise<void> {
    let next = 0
    while (!this.#isEnding) {
      await sleep(outcomePauseMs)
      if (this.#isEnding) return
      const known = this.history.filter((one): one is AddRecord => {
        return one.what === 'add' && one.topic === topic.name && one.id !== null
      })
      const unknown = known.filter(({ status }) => status === 'unknown' || status === 'dropped')
      const from = unknown.length > 0 && next % 4 !== 0 ? unknown : known
      const id = from[next++ % Math.max(1, from.length)]?.id
      if (id == null) continue
      try {
        const outcome = await topic.outcome(id, { timeoutMs: getTimeoutMs })
        this.history.push({ what: 'outcome', topic: topic.name, client, at: performance.now(), id, outcome })
      } catch (error) {
        if (!(error instanceof EpochcastError)) throw error
      }
    }
  }

  async #subscribe(topic: Topic<string>, client: string): Promise<void> {
    const stream = topic.subscribe({ from: 'start', events: true })
    this.#streams.push(stream)
    for await (const event of stream) {
      const at = performance.now()
      if (event.type === 'message') {
        const { id, value } = event.message
        this.history.push({ what: 'delivery', topic: topic.name, client, at, id, value })
      } else if (event.type === 'epoch') {
        const { ended, closingCount, closingDigest } = event
        this.history.push({ what: 'epoch', topic: topic.name, client, at, ended, closingCount, closingDigest })
      }
    }
  }

  async #until(isTrue: () => boolean, timeoutMs: number, text: () => string): Promise<void> {
    const deadline = performance.now() + timeoutMs
    while (!isTrue()) {
      if (performance.now() > deadline) throw new Error(`${text()} after ${timeoutMs} ms`)
      await sleep(20)
    }
  }
}
