/** Publishes at a rate or as fast as a bounded window of pending messages allows, and keeps what became of them. */
import { nowUs } from '../measure/clock.ts'
import { Gaps } from '../measure/gaps.ts'
import { Histogram } from '../measure/histogram.ts'
import { Timeline } from '../measure/timeline.ts'
import type { Plan, PublisherResult, PublisherSpec } from './contract.ts'
import { openTarget } from './open-target.ts'
import { startPacer } from './pacer.ts'
import { PayloadWriter } from './payload.ts'
import type { Failed } from './seen.ts'
import type { PublisherPort, Settling, Target } from './target.ts'

/** The pacer strikes no more often. */
const strikesPerSecondMax = 2_000
const afterFailureMs = 5
const manyMax = 1_000
const failedMax = 1_000_000
/** What is pending so long after the end has no outcome. */
const settleTimeoutMs = 30_000

interface Client {
  readonly index: number
  readonly port: PublisherPort
  /** Next sequence of each topic. */
  readonly next: number[]
  turn: number
  pending: number
  isFillDue: boolean
}

export class PublisherLoad {
  published = 0
  settled = 0
  readonly #spec: PublisherSpec
  readonly #targets: readonly Target[]
  readonly #clients: readonly Client[]
  readonly #writer: PayloadWriter
  readonly #latency = new Histogram()
  readonly #lateness = new Histogram()
  readonly #gaps = new Gaps()
  readonly #failed: Failed[] = []
  #acks = new Timeline(0)
  #failures = new Timeline(0)
  #plan: Plan = { startUs: 0, measureFromUs: 0, endUs: null }
  #acked = 0
  #refused = 0
  #unknown = 0
  #failure: string | null = null
  #isOver = false
  #whenIdle: (() => void) | null = null
  #stopPacer: () => void = () => {}
  #nowUs = 0

  private constructor(spec: PublisherSpec, targets: readonly Target[], ports: readonly PublisherPort[]) {
    this.#spec = spec
    this.#targets = targets
    this.#writer = new PayloadWriter(spec.payloadBytes)
    this.#clients = ports.map((port, at) => ({
      index: spec.firstClient + at,
      port,
      next: Array.from({ length: spec.topics }, () => 0),
      turn: at,
      pending: 0,
      isFillDue: false,
    }))
  }

  static async open(spec: PublisherSpec): Promise<PublisherLoad> {
    const targets: Target[] = []
    const ports: PublisherPort[] = []
    for (let client = 0; client < spec.clients; client++) {
      const target = await openTarget(spec.target)
      targets.push(target)
      ports.push(await target.publisher())
    }
    if (spec.api === 'publishMany' && ports[0]?.publishMany === undefined) {
      throw new Error('the client has no publishMany')
    }
    return new PublisherLoad(spec, targets, ports)
  }

  /** Resolves when everything that was published has an outcome. */
  async run(plan: Plan): Promise<PublisherResult> {
    this.#plan = plan
    this.#acks = new Timeline(plan.startUs)
    this.#failures = new Timeline(plan.startUs)
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, (plan.startUs - nowUs()) / 1000)))
    if (this.#spec.rate === null) for (const client of this.#clients) this.#fill(client)
    else this.#pace(this.#spec.rate)
    const end = setTimeout(() => this.stop(), plan.endUs === null ? 2 ** 31 - 1 : (plan.endUs - nowUs()) / 1000)
    await this.#idle()
    clearTimeout(end)
    return this.#result()
  }

  /** No more is published; `run` resolves when the rest is settled. */
  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#stopPacer()
    // Who waits in vain waits until here at least.
    this.#gaps.event(nowUs())
    if (this.#pending === 0) this.#whenIdle?.()
    else setTimeout(() => this.#whenIdle?.(), settleTimeoutMs).unref()
  }

  async close(): Promise<void> {
    this.stop()
    await Promise.all(this.#targets.map((target) => target.close()))
  }

  get #pending(): number {
    let pending = 0
    for (const client of this.#clients) pending += client.pending
    return pending
  }

  #idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve
    })
  }

  #pace(rate: number): void {
    const { startUs } = this.#plan
    const intervalUs = 1e6 / rate
    const periodUs = Math.max(intervalUs, 1e6 / strikesPerSecondMax)
    let due = 0
    this.#stopPacer = startPacer(startUs, periodUs, () => {
      const now = nowUs()
      // Struck a little early, so that the message leaves when it is due.
      for (; !this.#isOver && startUs + due * intervalUs <= now + periodUs / 2; due++) {
        const client = this.#clients[due % this.#clients.length]
        // What has no room is late, and counts from when it was due all the same.
        if (client === undefined || client.pending >= this.#spec.window) break
        const dueUs = startUs + due * intervalUs
        if (dueUs >= this.#plan.measureFromUs) this.#lateness.record(now - dueUs)
        this.#burst(client, 1, Math.min(now, dueUs))
      }
    })
  }

  #fill(client: Client): void {
    client.isFillDue = false
    if (this.#isOver) return
    const room = this.#spec.window - client.pending
    if (room > 0) this.#burst(client, room, nowUs())
  }

  #burst(client: Client, count: number, dueUs: number): void {
    const { topics, api, rate, window } = this.#spec
    if (api === 'publishMany') {
      for (let left = count; left > 0; left -= manyMax) {
        this.#many(client, client.turn++ % topics, Math.min(left, manyMax), dueUs)
      }
      return
    }
    // A burst of several topics would have no single range: as many bursts as topics.
    const settlings: Settling[] = []
    // At saturation each topic has its share of the window at once: what one acknowledgement makes room for is not spread over
    // all topics, message by message.
    const stride = rate === null ? Math.max(1, Math.floor(window / topics)) : 1
    const each = Math.min(count, stride * (Math.ceil(count / (stride * topics)) + 1))
    for (let sent = 0; sent < count; sent++) {
      const topic = Math.floor(client.turn++ / stride) % topics
      const sequence = client.next[topic] ?? 0
      client.next[topic] = sequence + 1
      settlings[topic] ??= this.#settling(client, topic, sequence, each, dueUs)
      const stream = client.index * topics + topic
      const { copies } = this.#targets[0] ?? { copies: false }
      const payload = copies ? this.#writer.write(stream, sequence, dueUs) : this.#writer.make(stream, sequence, dueUs)
      client.pending++
      this.published++
      client.port.publish(topic, payload, settlings[topic])
    }
    client.port.turnEnds?.()
  }

  #many(client: Client, topic: number, count: number, dueUs: number): void {
    const first = client.next[topic] ?? 0
    client.next[topic] = first + count
    const stream = client.index * this.#spec.topics + topic
    const payloads: Buffer[] = []
    for (let at = 0; at < count; at++) payloads.push(this.#writer.make(stream, first + at, dueUs))
    client.pending += count
    this.published += count
    client.port.publishMany?.(topic, payloads, this.#settling(client, topic, first, count, dueUs))
    client.port.turnEnds?.()
  }

  #settling(client: Client, topic: number, first: number, count: number, dueUs: number): Settling {
    const stream = client.index * this.#spec.topics + topic
    return {
      ok: (acked) => this.#ok(client, acked, dueUs),
      failed: (failures, error, isUnknown) => {
        this.#noteFailed({ stream, first, last: first + count - 1, count: failures })
        this.#bad(client, failures, error, isUnknown)
      },
    }
  }

  #ok(client: Client, count: number, dueUs: number): void {
    const now = this.#now()
    client.pending -= count
    this.#acked += count
    this.settled += count
    this.#acks.add(now, count)
    this.#gaps.event(now)
    if (now >= this.#plan.measureFromUs && now < (this.#plan.endUs ?? Number.POSITIVE_INFINITY)) {
      this.#latency.record(now - dueUs, count)
    }
    this.#after(client)
  }

  #bad(client: Client, count: number, error: unknown, isUnknown: boolean): void {
    client.pending -= count
    this.settled += count
    this.#failures.add(nowUs(), count)
    if (isUnknown) this.#unknown += count
    else this.#refused += count
    this.#failure ??= error instanceof Error ? error.message : String(error)
    if (this.#isOver || client.isFillDue) this.#after(client)
    else {
      client.isFillDue = true
      setTimeout(() => (this.#spec.rate === null ? this.#fill(client) : undefined), afterFailureMs)
    }
  }

  #after(client: Client): void {
    if (this.#isOver) {
      if (this.#pending === 0) this.#whenIdle?.()
    } else if (this.#spec.rate === null && !client.isFillDue) {
      client.isFillDue = true
      setImmediate(() => this.#fill(client))
    }
  }

  /** One reading for all acknowledgements that arrived together: microtasks of one turn. */
  #now(): number {
    if (this.#nowUs === 0) {
      this.#nowUs = nowUs()
      queueMicrotask(() => {
        this.#nowUs = 0
      })
    }
    return this.#nowUs
  }

  #noteFailed(failed: Failed): void {
    const last = this.#failed.at(-1)
    if (last?.stream === failed.stream && last.first === failed.first && last.last === failed.last) {
      this.#failed[this.#failed.length - 1] = { ...last, count: last.count + failed.count }
    } else if (last !== undefined && isWhole(last) && isWhole(failed) && follows(last, failed)) {
      this.#failed[this.#failed.length - 1] = { ...last, last: failed.last, count: last.count + failed.count }
    } else if (this.#failed.length < failedMax) this.#failed.push(failed)
  }

  #result(): PublisherResult {
    const { topics } = this.#spec
    const published = this.#clients.flatMap(({ index, next }) =>
      next.map((count, topic): readonly [number, number] => [index * topics + topic, count]),
    )
    return {
      kind: 'published',
      published,
      acked: this.#acked,
      refused: this.#refused,
      // What never settled is as unknown as what was said to be.
      unknown: this.#unknown + this.#pending,
      failed: this.#failed,
      failure: this.#failure,
      latency: this.#latency.data(),
      lateness: this.#lateness.data(),
      gaps: this.#gaps.data(),
      slices: this.#acks.slices(),
      failureSlices: this.#failures.slices(),
    }
  }
}

function isWhole({ first, last, count }: Failed): boolean {
  return count === last - first + 1
}

function follows(one: Failed, next: Failed): boolean {
  return one.stream === next.stream && one.last + 1 === next.first
}
