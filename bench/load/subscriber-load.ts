/** Subscribes, checks every message, and measures how long each was on its way. */
import { nowUs } from '../measure/clock.ts'
import { Gaps } from '../measure/gaps.ts'
import { Histogram } from '../measure/histogram.ts'
import { Timeline } from '../measure/timeline.ts'
import type { Plan, SubscriberResult, SubscriberSpec } from './contract.ts'
import { openTarget } from './open-target.ts'
import { PayloadReader } from './payload.ts'
import { type Range, Seen } from './seen.ts'
import type { Target } from './target.ts'

/** Nothing came for so long: nothing will. */
const silenceMs = 10_000
const pollMs = 20
const missingRunsMax = 10_000

class Reader {
  readonly seen = new Seen()
  readonly gaps = new Gaps()
  foreign = 0
}

export class SubscriberLoad {
  settled = 0
  readonly published = 0
  readonly #targets: Target[] = []
  readonly #readers: Reader[] = []
  readonly #latency = new Histogram()
  #plan: Plan = { startUs: 0, measureFromUs: Number.POSITIVE_INFINITY, endUs: null }
  #deliveries: Timeline | null = null

  static async open(spec: SubscriberSpec, failed: (error: unknown) => void): Promise<SubscriberLoad> {
    const load = new SubscriberLoad()
    for (let at = 0; at < spec.readers; at++) {
      const target = await openTarget(spec.target)
      load.#targets.push(target)
      const reader = new Reader()
      load.#readers.push(reader)
      const payloads = new PayloadReader(spec.payloadBytes)
      await target.subscribe((payload) => load.#take(payload, reader, payloads), failed)
    }
    return load
  }

  begin(plan: Plan): void {
    this.#plan = plan
    this.#deliveries = new Timeline(plan.startUs)
  }

  /** Waits until all that was published and not excused has come, or nothing comes any more. */
  async settle(published: ReadonlyMap<number, number>, excused: number): Promise<SubscriberResult> {
    let wanted = -excused
    for (const count of published.values()) wanted += count
    let [last, sinceUs] = [this.settled, nowUs()]
    const isLacking = () => this.#readers.some(({ seen }) => seen.distinct < wanted)
    while (isLacking() && nowUs() - sinceUs < silenceMs * 1000) {
      await new Promise((resolve) => setTimeout(resolve, pollMs))
      if (this.settled !== last) [last, sinceUs] = [this.settled, nowUs()]
    }
    return {
      kind: 'subscribed',
      readers: this.#readers.map(({ seen, foreign }) => ({
        distinct: seen.distinct,
        duplicated: seen.duplicated,
        disordered: seen.disordered,
        foreign,
        missing: missingOf(seen, published),
      })),
      latency: this.#latency.data(),
      // The first one's: those of several together would hide each other.
      gaps: (this.#readers[0]?.gaps ?? new Gaps()).data(),
      slices: this.#deliveries?.slices() ?? [],
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#targets.map((target) => target.close()))
  }

  #take(payload: Uint8Array, reader: Reader, payloads: PayloadReader): void {
    const now = nowUs()
    this.settled++
    if (!payloads.read(payload)) {
      reader.foreign++
      return
    }
    reader.seen.add(payloads.stream, payloads.sequence)
    reader.gaps.event(now)
    this.#deliveries?.add(now, 1)
    const { measureFromUs, endUs } = this.#plan
    if (now >= measureFromUs && now < (endUs ?? Number.POSITIVE_INFINITY)) this.#latency.record(now - payloads.dueUs)
  }
}

function missingOf(seen: Seen, published: ReadonlyMap<number, number>): Range[] {
  const missing: Range[] = []
  for (const [stream, count] of published) {
    missing.push(...seen.missing(stream, count))
    if (missing.length > missingRunsMax) throw new Error(`more than ${missingRunsMax} runs of messages are missing`)
  }
  return missing
}
