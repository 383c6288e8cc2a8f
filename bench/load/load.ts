/** Publishers and subscribers in processes of their own, from their start to what became of every message. */
import { nowUs } from '../measure/clock.ts'
import type { Gap } from '../measure/gaps.ts'
import { Histogram } from '../measure/histogram.ts'
import { sum } from '../measure/statistics.ts'
import { sumSlices } from '../measure/timeline.ts'
import type { Plan, PublishApi, PublisherResult, SubscriberResult } from './contract.ts'
import { countLost } from './seen.ts'
import type { TargetSpec } from './target.ts'
import { WorkerProcess } from './worker-process.ts'

/** Payloads that one publisher has under way at most: well below what a client takes before it refuses. */
const windowBytesMax = 64 * 1024 * 1024

export interface LoadSpec {
  readonly target: TargetSpec
  readonly topics: number
  readonly payloadBytes: number
  readonly publishers: number
  readonly publisherProcesses: number
  readonly subscribers: number
  readonly subscriberProcesses: number
  /** Messages per second of all publishers together; null: saturation. */
  readonly rate: number | null
  /** Pending messages of all publishers together. */
  readonly window: number
  readonly api: PublishApi
}

export interface LoadResult {
  /** Moment at which the slices begin, of the common clock. */
  readonly startUs: number
  readonly published: number
  readonly acked: number
  readonly refused: number
  readonly unknown: number
  readonly failure: string | null
  /** Over all subscribers. */
  readonly delivered: number
  readonly lost: number
  readonly duplicated: number
  readonly disordered: number
  readonly foreign: number
  readonly ack: Histogram
  readonly lateness: Histogram
  readonly delivery: Histogram
  readonly ackGaps: readonly Gap[]
  readonly ackGapHistogram: Histogram
  readonly deliveryGaps: readonly Gap[]
  readonly deliveryGapHistogram: Histogram
  readonly ackSlices: readonly number[]
  readonly deliverySlices: readonly number[]
  readonly failureSlices: readonly number[]
}

const leadUs = 50_000

export class Load {
  readonly #spec: LoadSpec
  readonly #publishers: WorkerProcess[] = []
  readonly #subscribers: WorkerProcess[] = []
  #startUs = 0
  #running: Promise<(PublisherResult | SubscriberResult)[]> | null = null

  private constructor(spec: LoadSpec) {
    this.#spec = spec
  }

  /**
   * Starts the processes; resolves when all of them are connected.
   * @param failed a process failed later on
   * @throws Refused when what is under load does not offer what the load needs
   */
  static async open(spec: LoadSpec, failed: (error: Error) => void): Promise<Load> {
    const load = new Load(spec)
    const { target, topics, payloadBytes, api } = spec
    try {
      const opening: Promise<void>[] = []
      for (const [firstClient, clients] of shares(spec.publishers, spec.publisherProcesses)) {
        const share = clients / spec.publishers
        const worker = new WorkerProcess(failed)
        load.#publishers.push(worker)
        const rate = spec.rate === null ? null : spec.rate * share
        const fitting = Math.floor(windowBytesMax / spec.payloadBytes)
        const window = Math.max(1, Math.min(fitting, Math.floor(spec.window / spec.publishers)))
        opening.push(
          worker.open({ role: 'publisher', target, topics, clients, firstClient, payloadBytes, rate, window, api }),
        )
      }
      for (const [, readers] of shares(spec.subscribers, spec.subscriberProcesses)) {
        const worker = new WorkerProcess(failed)
        load.#subscribers.push(worker)
        opening.push(worker.open({ role: 'subscriber', target, payloadBytes, readers }))
      }
      const outcomes = await Promise.allSettled(opening)
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
      return load
    } catch (error) {
      await load.close()
      throw error
    }
  }

  get pids(): number[] {
    return [...this.#publishers, ...this.#subscribers].map((worker) => worker.pid)
  }

  /** Messages with an outcome so far, about. */
  get acked(): number {
    return sum(this.#publishers.map((worker) => worker.settled))
  }

  get delivered(): number {
    return sum(this.#subscribers.map((worker) => worker.settled))
  }

  /**
   * Begins soon.
   * @param seconds what is measured; null until `stop`
   * @returns when, on the common clock
   */
  go(warmupSeconds: number, seconds: number | null): Plan {
    this.#startUs = nowUs() + leadUs
    const measureFromUs = this.#startUs + warmupSeconds * 1e6
    const plan = {
      startUs: this.#startUs,
      measureFromUs,
      endUs: seconds === null ? null : measureFromUs + seconds * 1e6,
    }
    for (const worker of [...this.#subscribers, ...this.#publishers]) worker.send({ kind: 'go', plan })
    this.#running = Promise.all(this.#publishers.map((worker) => worker.result()))
    this.#running.catch(() => {})
    return plan
  }

  stop(): void {
    for (const worker of this.#publishers) worker.send({ kind: 'stop' })
  }

  /**
   * Waits for every publish's outcome and for what subscribers are still to be given.
   * @param verify where nobody subscribed, somebody reads everything now
   */
  async result(verify: boolean): Promise<LoadResult> {
    if (this.#running === null) throw new Error('the load has not begun')
    const published = (await this.#running).filter((one) => one.kind === 'published')
    const readers = this.#subscribers.length > 0 || !verify ? this.#subscribers : [await this.#verifier()]
    const excused = sum(published.map((one) => one.refused + one.unknown))
    const counts = published.flatMap((one) => one.published)
    const settling = readers.map((worker) => {
      worker.send({ kind: 'settle', published: counts, excused })
      return worker.result()
    })
    const subscribed = (await Promise.all(settling)).filter((one) => one.kind === 'subscribed')
    return combined(this.#startUs, published, subscribed, this.#subscribers.length > 0)
  }

  async close(): Promise<void> {
    await Promise.all([...this.#publishers, ...this.#subscribers].map((worker) => worker.end()))
  }

  kill(): void {
    for (const worker of [...this.#publishers, ...this.#subscribers]) worker.kill()
  }

  async #verifier(): Promise<WorkerProcess> {
    const { target, payloadBytes } = this.#spec
    const worker = new WorkerProcess(() => {})
    this.#subscribers.push(worker)
    await worker.open({ role: 'subscriber', target, payloadBytes, readers: 1 })
    return worker
  }
}

function combined(
  startUs: number,
  published: readonly PublisherResult[],
  subscribed: readonly SubscriberResult[],
  wasSubscribed: boolean,
): LoadResult {
  const failed = published.flatMap((one) => one.failed)
  const readers = subscribed.flatMap((one) => one.readers)
  const noted = (all: readonly { readonly gaps: { readonly noted: readonly Gap[] } }[]) =>
    all.flatMap((one) => one.gaps.noted).sort((one, other) => one.fromUs - other.fromUs)
  const live = wasSubscribed ? subscribed : []
  return {
    startUs,
    published: sum(published.flatMap((one) => one.published.map(([, count]) => count))),
    acked: sum(published.map((one) => one.acked)),
    refused: sum(published.map((one) => one.refused)),
    unknown: sum(published.map((one) => one.unknown)),
    failure: published.find((one) => one.failure !== null)?.failure ?? null,
    delivered: sum(readers.map((reader) => reader.distinct)),
    lost: sum(readers.map((reader) => countLost(reader.missing, failed))),
    duplicated: sum(readers.map((reader) => reader.duplicated)),
    disordered: sum(readers.map((reader) => reader.disordered)),
    foreign: sum(readers.map((reader) => reader.foreign)),
    ack: Histogram.of(...published.map((one) => one.latency)),
    lateness: Histogram.of(...published.map((one) => one.lateness)),
    delivery: Histogram.of(...live.map((one) => one.latency)),
    ackGaps: noted(published),
    ackGapHistogram: Histogram.of(...published.map((one) => one.gaps.histogram)),
    deliveryGaps: noted(live),
    deliveryGapHistogram: Histogram.of(...live.map((one) => one.gaps.histogram)),
    ackSlices: sumSlices(published.map((one) => one.slices)),
    deliverySlices: sumSlices(live.map((one) => one.slices)),
    failureSlices: sumSlices(published.map((one) => one.failureSlices)),
  }
}

/** Splits so many over so many processes, as evenly as it goes. */
function* shares(count: number, processes: number): Iterable<[first: number, count: number]> {
  const used = Math.min(count, processes)
  for (let at = 0, first = 0; at < used; at++) {
    const share = Math.floor(count / used) + (at < count % used ? 1 : 0)
    yield [first, share]
    first += share
  }
}
