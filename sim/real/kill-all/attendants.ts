/** The clients of one topic: publishers, readers, a client that gets, and the members of a group, all the time. */
import { setTimeout as sleep } from 'node:timers/promises'
import { text } from '../../../client-sdk/codecs.ts'
import { type Client, connect, EpochcastError, type MessageStream, type Topic } from '../../../client-sdk/index.ts'
import type { TopicPlan } from '../process-cluster.ts'
import type { Calls } from './calls.ts'
import { format, type Ledger, Reading } from './ledger.ts'

const asText = { codec: text() }
const publishPauseMs = 40
const pendingMax = 6
/** One publish in so many is given up after `impatientMs`. */
const impatientShare = 10
const impatientMs = 1_500
const getPauseMs = 500
const connectTimeoutMs = 60_000

export interface AttendantOptions {
  readonly url: string
  readonly plan: TopicPlan
  readonly ledger: Ledger
  readonly calls: Calls
  readonly hasGroup: boolean
  onAcknowledged(): void
  onFailure(error: unknown): void
}

export class Attendants {
  readonly ledger: Ledger
  /** Two readers of the topic's own order, attached from the start. */
  readonly readers: Reading[] = []
  /** Values that a member of the group has handled. */
  readonly handled = new Set<string>()
  /** Ids whose ack is on the servers. */
  readonly #acked = new Set<string>()
  readonly #options: AttendantOptions
  readonly #clients: Client[] = []
  /** Clients that read from the start just now. */
  readonly #late = new Set<Client>()
  readonly #running: Promise<void>[] = []
  readonly #streams: { return(): Promise<unknown> }[] = []
  /** What the gets have read up to. */
  #cursor: string | undefined
  #numbers = 0
  #isPublishing = true
  #isOver = false

  constructor(options: AttendantOptions) {
    this.#options = options
    this.ledger = options.ledger
  }

  async start(): Promise<void> {
    const order = this.#order
    for (const name of ['one', 'two']) {
      const topic = await this.#topic()
      const reading = new Reading(`reader ${name}`, this.ledger, order)
      this.readers.push(reading)
      this.#run(this.#read(topic, reading))
      this.#run(this.#publish(topic, `${name}-${this.ledger.topic}`, reading, name === 'one' ? 'republish' : 'settle'))
    }
    this.#run(this.#get(await this.#topic()))
    if (!this.#options.hasGroup) return
    for (const name of ['one', 'two']) this.#run(this.#handle(await this.#topic(), name))
  }

  /**
   * Publishes one message and waits until it is acknowledged, given to every reader, and in the answer of a get.
   * @param onStep hears of each step as it is done
   */
  async probe(onStep: (step: string) => void = () => {}): Promise<void> {
    const [client] = this.#clients
    if (client === undefined) throw new Error('the attendants have not begun')
    const { calls } = this.#options
    const topic = client.topic(this.ledger.topic, asText)
    const value = this.#value(`probe-${this.ledger.topic}`, '')
    await this.#settle(topic, value, 'republish', null)
    onStep(`${this.ledger.topic}: publish`)
    const at = performance.now()
    const waiting = this.readers.map(async (reading, index) => {
      const given = async () => {
        while (!reading.hasAll(at) && !this.#isOver) await sleep(5)
      }
      await calls.track(`${this.ledger.topic}: reader ${index + 1} of what was acknowledged`, given())
      onStep(`${this.ledger.topic}: reader ${index + 1}`)
    })
    const getting = async () => {
      const since = this.#cursor
      const made = topic.get(since === undefined ? {} : { since })
      await calls.track(`${this.ledger.topic}: get of a probe`, made)
      onStep(`${this.ledger.topic}: get`)
    }
    await Promise.all([...waiting, getting()])
  }

  /** Reads the topic from its start with a client of its own until everything acknowledged so far has come. */
  async readFromStart(): Promise<void> {
    const at = performance.now()
    const client = await connect(this.#options.url, { timeoutMs: connectTimeoutMs })
    this.#late.add(client)
    try {
      const reading = new Reading('a late reader', this.ledger, this.#order)
      const stream = client.topic(this.ledger.topic, asText).subscribe({ from: 'start', order: this.#order })
      const all = async () => {
        while (!reading.hasAll(at)) {
          const { value: message, done } = await stream.next()
          if (done === true) return
          reading.give(message)
        }
      }
      await this.#options.calls.track(`${this.ledger.topic}: everything, read from the start`, all())
    } finally {
      this.#late.delete(client)
      await client.close()
    }
  }

  stopPublishing(): void {
    this.#isPublishing = false
  }

  /** Looks at everything a last time: a get, the readers, the group, and publishes whose publisher had given up. */
  async finish(): Promise<void> {
    const { calls } = this.#options
    const { topic: name, unknown, acknowledged } = this.ledger
    const topic = await this.#topic()
    for (const id of unknown.keys()) {
      const outcome = await calls.track(`${name}: outcome of ${id}`, topic.outcome(id, { settle: true }))
      if (outcome === 'pending') this.ledger.verdict.add('unanswered', `${name}: outcome of ${id} is pending`)
    }
    await this.probe()
    const reading = new Reading('the last get', this.ledger, 'fifo')
    for (const message of (await calls.track(`${name}: the last get`, topic.get())).messages) reading.give(message)
    reading.mustHaveAll(performance.now())
    if (!this.#options.hasGroup) return
    const handled = async () => {
      while (acknowledged.some(({ value }) => !this.handled.has(value)) && !this.#isOver) await sleep(50)
    }
    await calls.track(`${name}: everything, handled by the group`, handled())
  }

  async close(): Promise<void> {
    this.#isPublishing = false
    this.#isOver = true
    await Promise.all([...this.#clients, ...this.#late].map((client) => client.close()))
    await Promise.allSettled(this.#streams.map((stream) => stream.return()))
    await Promise.allSettled(this.#running)
  }

  get #order() {
    return this.#options.plan.order ?? 'fifo'
  }

  async #topic(): Promise<Topic<string>> {
    const client = await connect(this.#options.url, { timeoutMs: connectTimeoutMs })
    this.#clients.push(client)
    return client.topic(this.ledger.topic, asText)
  }

  #run(one: Promise<void>): void {
    this.#running.push(
      one.catch((error: unknown) => {
        if (!this.#isOver) this.#options.onFailure(error)
      }),
    )
  }

  #value(publisher: string, after: string): string {
    return format({ publisher, number: ++this.#numbers, after })
  }

  async #publish(
    topic: Topic<string>,
    publisher: string,
    reading: Reading,
    onEpochEnd: 'republish' | 'settle',
  ): Promise<void> {
    let pending = 0
    while (this.#isPublishing) {
      await sleep(publishPauseMs)
      if (pending >= pendingMax || !this.#isPublishing) continue
      const value = this.#value(publisher, reading.last)
      pending++
      const timeoutMs = this.#numbers % impatientShare === 0 ? impatientMs : null
      void this.#settle(topic, value, onEpochEnd, timeoutMs).finally(() => {
        pending--
      })
    }
  }

  async #settle(
    topic: Topic<string>,
    value: string,
    onEpochEnd: 'republish' | 'settle',
    timeoutMs: number | null,
  ): Promise<void> {
    const { ledger } = this
    const options = { onEpochEnd, ...(timeoutMs !== null && { timeoutMs }) }
    try {
      const made = topic.publish(value, options)
      const { id, status } = await this.#options.calls.track(`${ledger.topic}: publish of ${value}`, made)
      if (status === 'dropped') ledger.dropped.add(id)
      else {
        ledger.acknowledge(value, id)
        this.#options.onAcknowledged()
      }
    } catch (error) {
      if (this.#isOver) return
      if (!(error instanceof EpochcastError)) this.#options.onFailure(error)
      else if (error.code === 'EC_OUTCOME_UNKNOWN' && error.messageId !== undefined)
        ledger.unknown.set(error.messageId, value)
      else if (error.code === 'EC_TIMEOUT') ledger.unsent.add(value)
      else this.#options.onFailure(error)
    }
  }

  async #read(topic: Topic<string>, reading: Reading): Promise<void> {
    const stream: MessageStream<string> = topic.subscribe({ from: 'start', order: this.#order })
    this.#streams.push(stream)
    for await (const message of stream) reading.give(message)
  }

  async #get(topic: Topic<string>): Promise<void> {
    const reading = new Reading('a get', this.ledger, 'fifo')
    while (!this.#isOver) {
      await sleep(getPauseMs)
      const at = performance.now()
      const since = this.#cursor
      const made = topic.get(since === undefined ? {} : { since })
      const { messages, cursor } = await this.#options.calls.track(`${this.ledger.topic}: get`, made)
      for (const message of messages) reading.give(message)
      reading.mustHaveAll(at)
      this.#cursor = cursor
    }
  }

  async #handle(topic: Topic<string>, member: string): Promise<void> {
    const { ledger, handled } = this
    const acked = this.#acked
    const stream = topic.group('workers', { ack: 'explicit', from: 'start', maxPending: 8 })
    this.#streams.push(stream)
    for await (const message of stream) {
      if (acked.has(message.id))
        ledger.verdict.add('duplicated', `${ledger.topic}: member ${member} was given ${message.id}, acked before`)
      handled.add(message.value)
      const ack = this.#options.calls.track(`${ledger.topic}: ack of ${message.id} by member ${member}`, message.ack())
      ack.then(
        () => acked.add(message.id),
        (error: unknown) => {
          if (!this.#isOver && !(error instanceof EpochcastError)) this.#options.onFailure(error)
        },
      )
    }
  }
}
