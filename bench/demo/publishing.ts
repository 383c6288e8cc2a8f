/** Publishes the lines, by turns from two publishers, and keeps what became of each. */
import { setTimeout as sleep } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { EpochcastError, type PublishResult, type Topic } from '../../client-sdk/index.ts'
import { parseMessageId } from '../../proto/ids.ts'
import { AckGaps } from './ack-gaps.ts'
import type { Ledger } from './ledger.ts'
import type { Pace } from './pace.ts'

const sliceMs = 5
const pendingMax = 20_000

export class Publishing {
  published = 0
  acked = 0
  outcomesUnknown = 0
  /** Why lines were refused; the first one is enough to tell. */
  refused = 0
  refusal: unknown = null
  readonly #topics: readonly Topic<Uint8Array>[]
  readonly #ledger: Ledger
  readonly #pace: Pace
  readonly #gaps: readonly AckGaps[]

  constructor(topics: readonly Topic<Uint8Array>[], ledger: Ledger, pace: Pace) {
    this.#topics = topics
    this.#ledger = ledger
    this.#pace = pace
    this.#gaps = topics.map(() => new AckGaps())
  }

  get pending(): number {
    return this.published - this.acked - this.outcomesUnknown - this.refused
  }

  /** Resolves when every line has an outcome. */
  async run(lines: AsyncIterator<Buffer, void, undefined>, signal: AbortSignal): Promise<void> {
    while (this.published < this.#ledger.total) {
      const room = pendingMax - this.pending
      const end = this.published + Math.min(room, this.#pace.slice(this.published))
      while (this.published < end) {
        const { value, done } = await lines.next()
        if (done === true)
          throw new Error(`the input ended at line ${this.published}; it had ${this.#ledger.total} before`)
        this.#publish(this.published++, value)
      }
      await sleep(sliceMs, undefined, { signal })
    }
    while (this.pending > 0) await sleep(sliceMs, undefined, { signal })
  }

  /** The longest time that a publisher waited between two acknowledgements, around a window. */
  ackGapMs(fromMs: number, toMs: number): number {
    return Math.max(...this.#gaps.map((gaps) => gaps.longestMs(fromMs, toMs)))
  }

  #publish(number: number, line: Buffer): void {
    const payload = Buffer.concat([Buffer.from(`${number}\t`), line])
    this.#ledger.checks[number] = crc32(payload)
    const turn = number % this.#topics.length
    const [topic, gaps] = [this.#topics[turn], this.#gaps[turn]]
    if (topic === undefined || gaps === undefined) throw new Error(`no publisher ${turn}`)
    gaps.sent(performance.now())
    topic.publish(payload).then(
      (result) => {
        gaps.acked(performance.now())
        this.#settled(number, result)
      },
      (error: unknown) => this.#failed(error),
    )
  }

  #settled(number: number, { id, status }: PublishResult): void {
    if (status === 'dropped') {
      this.#failed(new Error(`line ${number} was dropped, as ${id}`))
      return
    }
    this.acked++
    const { epoch, sequence } = parseMessageId(id)
    this.#ledger.epochs[number] = epoch
    this.#ledger.sequences[number] = sequence
  }

  #failed(error: unknown): void {
    if (error instanceof EpochcastError && error.code === 'EC_OUTCOME_UNKNOWN') this.outcomesUnknown++
    else this.refused++
    this.refusal ??= error
  }
}
