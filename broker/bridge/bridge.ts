/** Both directions between topics and NATS, and what keeps a message from going round in circles. */
import { PermissionViolationError } from '@nats-io/transport-node'
import type { Client } from '../../client-sdk/index.ts'
import { onAbort } from '../../proto/aborts.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { TopicName } from '../../proto/ids.ts'
import type { NatsConnection } from '../../proto/transport/nats-link.ts'
import { Inbound } from './inbound.ts'
import { Outbound } from './outbound.ts'
import type { PositionFile } from './position-file.ts'
import { matches, SubjectMap, TopicMap } from './subject-map.ts'

export { PositionFile } from './position-file.ts'

/** What goes where; complete and sensible once it is made. */
export class BridgePlan {
  readonly inward: SubjectMap | null
  readonly outward: { readonly map: TopicMap; readonly topics: readonly TopicName[] } | null

  /** @throws EpochcastError `EC_BAD_ARGUMENT` for what does not fit, or would go round in circles */
  constructor(
    inward: { readonly pattern: string; readonly template: string } | null,
    outward: { readonly topics: readonly TopicName[]; readonly template: string } | null,
  ) {
    this.inward = inward === null ? null : new SubjectMap(inward.pattern, inward.template)
    this.outward =
      outward === null ? null : { map: new TopicMap(outward.template, outward.topics), topics: outward.topics }
    for (const topic of this.outward?.topics ?? []) this.#checkCircle(topic)
  }

  /** For people. */
  get about(): string[] {
    const { inward, outward } = this
    const outwards = (outward?.topics ?? []).map(
      (topic) => `topic ${topic} to subject ${outward?.map.subjectOf(topic)}`,
    )
    return [...(inward === null ? [] : [`subject ${inward.pattern} to topic ${inward.template}`]), ...outwards]
  }

  /** What NATS gives must not be given back to it where it came from: all its subscribers would have it twice. */
  #checkCircle(topic: TopicName): void {
    const subject = this.outward?.map.subjectOf(topic) ?? ''
    if (this.inward === null || !matches(this.inward.pattern, subject)) return
    throw new EpochcastError(
      'EC_BAD_ARGUMENT',
      `topic ${topic} would go to subject ${subject}, which comes in by ${this.inward.pattern}`,
      { hint: 'choose subjects for one direction that the other does not have' },
    )
  }
}

export interface BridgeOptions {
  readonly plan: BridgePlan
  readonly client: Client
  readonly nats: NatsConnection
  readonly queue?: string
  /** `start`, `new` or a cursor, for topics without a kept position. */
  readonly from: string
  readonly positions: PositionFile | null
  /** Topic for messages that are larger than NATS takes; without it the bridge stops at the first. */
  readonly deadLetter?: string
  readonly warn: (text: string) => void
}

export interface BridgeCounts {
  readonly stored: number
  readonly refused: number
  readonly echoes: number
  readonly sent: number
  /** Messages that NATS did not take, and that are in the dead letter topic. */
  readonly aside: number
  /** How far each topic was carried. */
  readonly cursors: Readonly<Record<string, string>>
}

export class Bridge {
  readonly #options: BridgeOptions

  constructor(options: BridgeOptions) {
    this.#options = options
  }

  /**
   * Carries until the signal says stop, then what was taken.
   * @param ready called once NATS gives
   * @throws EpochcastError as subscribing does, `EC_BAD_ARGUMENT` when NATS does not let it listen or publish,
   *   `EC_MESSAGE_TOO_LARGE` at a message that NATS does not take, without a dead letter topic
   */
  async run(signal: AbortSignal, ready: () => void): Promise<BridgeCounts> {
    const { plan, client, nats, queue, from, positions, deadLetter, warn } = this.#options
    const inbound =
      plan.inward === null
        ? null
        : new Inbound({ client, nats, map: plan.inward, warn, ...(queue !== undefined && { queue }) })
    await inbound?.start()
    const failing = new AbortController()
    const either = AbortSignal.any([signal, failing.signal])
    const outbounds = (plan.outward?.topics ?? []).map((topic) => {
      const subject = plan.outward?.map.subjectOf(topic) ?? ''
      const options = { client, nats, topic, subject, from, positions, deadLetter, signal: either, warn }
      return { topic, subject, out: new Outbound(options) }
    })
    const unwatch = onRefusal(nats, (subject, error) => {
      for (const one of outbounds) if (one.subject === subject) one.out.refused(error)
    })
    const running = outbounds.map(({ out }) =>
      out.run().catch((error: unknown) => {
        failing.abort()
        throw error
      }),
    )
    ready()
    await Promise.allSettled([...running, ended(either)])
    await inbound?.end()
    unwatch()
    await Promise.all(running)
    const cursors = outbounds.flatMap(({ topic, out }) =>
      out.cursor === undefined ? [] : [[topic, out.cursor] as const],
    )
    return {
      stored: inbound?.stored ?? 0,
      refused: inbound?.refused ?? 0,
      echoes: inbound?.echoes ?? 0,
      sent: outbounds.reduce((sum, { out }) => sum + out.sent, 0),
      aside: outbounds.reduce((sum, { out }) => sum + out.asideCount, 0),
      cursors: Object.fromEntries(cursors),
    }
  }
}

/**
 * Calls back when NATS refuses what is published to a subject, which it says beside the messages.
 * @returns a function that ends it
 */
function onRefusal(nats: NatsConnection, told: (subject: string, error: EpochcastError) => void): () => void {
  const statuses = nats.status()[Symbol.asyncIterator]()
  const read = async () => {
    for (let next = await statuses.next(); next.done !== true; next = await statuses.next()) {
      const error = next.value.type === 'error' ? next.value.error : null
      if (!(error instanceof PermissionViolationError) || error.operation !== 'publish') continue
      const text = `NATS does not let the bridge publish to ${error.subject}: ${error.message}`
      told(error.subject, new EpochcastError('EC_BAD_ARGUMENT', text, { cause: error }))
    }
  }
  void read()
  return () => void statuses.return?.()
}

function ended(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else onAbort(signal, resolve)
  })
}
