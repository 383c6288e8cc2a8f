/** This product through its own client, as a program uses it. */
import {
  type Client,
  connect,
  EpochcastError,
  type Order,
  type SubscribeOptions,
  type Topic,
} from '../../client-sdk/index.ts'
import type { PublisherPort, Settling, Target, TargetSpec } from './target.ts'

type Spec = Extract<TargetSpec, { kind: 'epochcast' }>

const connectTimeoutMs = 20_000
const findTimeoutMs = 60_000

export class EpochcastTarget implements Target {
  readonly copies = true
  readonly #client: Client
  readonly #spec: Spec

  private constructor(client: Client, spec: Spec) {
    this.#client = client
    this.#spec = spec
  }

  static async open(spec: Spec): Promise<EpochcastTarget> {
    return new EpochcastTarget(await connect(spec.url, { timeoutMs: connectTimeoutMs }), spec)
  }

  async publisher(): Promise<PublisherPort> {
    const topics = this.#topics()
    // Finding thousands of topics is no part of the load.
    await Promise.all(topics.map((topic) => topic.configuration({ timeoutMs: findTimeoutMs })))
    return {
      publish(topic, payload, settling) {
        const to = topics[topic]
        if (to === undefined) throw new Error(`no topic ${topic}`)
        const { onDone, onFailure } = handlersOf(settling)
        to.publish(payload).then(onDone, onFailure)
      },
      publishMany(topic, payloads, settling) {
        const count = payloads.length
        topics[topic]?.publishMany(payloads).then(
          () => settling.ok(count),
          (error: unknown) => settling.failed(count, error, isUnknown(error)),
        )
      },
    }
  }

  async subscribe(take: (payload: Uint8Array) => void, failed: (error: unknown) => void): Promise<void> {
    const { order, early } = this.#spec
    const options = {
      from: 'start',
      ...(order !== undefined && { order: order as Order }),
      ...(early === true && { durability: 'early' }),
    } as SubscribeOptions
    for (const topic of this.#topics()) {
      // What is not offered is refused here and now.
      const stream = topic.subscribe({ ...options, events: false })
      const read = async () => {
        for await (const message of stream) take(message.payload)
      }
      read().catch(failed)
    }
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  #topics(): Topic<Uint8Array>[] {
    return this.#spec.topics.map((name) => this.#client.topic(name))
  }
}

/** Those of the burst before: all messages of a burst share them, so that none costs a closure. */
let last: {
  readonly settling: Settling
  readonly onDone: () => void
  readonly onFailure: (e: unknown) => void
} | null = null

function handlersOf(settling: Settling) {
  if (last?.settling !== settling) {
    last = {
      settling,
      onDone: () => settling.ok(1),
      onFailure: (error: unknown) => settling.failed(1, error, isUnknown(error)),
    }
  }
  return last
}

function isUnknown(error: unknown): boolean {
  return error instanceof EpochcastError && error.code === 'EC_OUTCOME_UNKNOWN'
}
