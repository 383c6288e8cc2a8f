/** Messages that NATS does not take: put aside to a dead letter topic, or what the bridge stops with. */

import { checkDeadLetter, putAside } from '../../client-sdk/groups/dead-letters.ts'
import type { Client, Message } from '../../client-sdk/index.ts'
import { encodeProperties } from '../../client-sdk/properties.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { TopicName } from '../../proto/ids.ts'

/** Until a message that could not be put aside is tried again. */
const retryMs = 1_000

export interface AsideOptions {
  readonly client: Client
  readonly topic: TopicName
  /** The dead letter topic; undefined: the bridge stops at such a message. */
  readonly deadLetter: string | undefined
  readonly signal: AbortSignal
  readonly warn: (text: string) => void
}

export class Aside {
  readonly #options: AsideOptions
  #hasWarned = false
  /** Messages that are in the dead letter topic. */
  count = 0

  /** @throws EpochcastError `EC_BAD_ARGUMENT` for a dead letter topic where messages of this one cannot go */
  constructor(options: AsideOptions) {
    this.#options = options
    if (options.deadLetter !== undefined) checkDeadLetter(options.topic, options.deadLetter)
  }

  /** The dead letter topic is there before the first message has to be put there. */
  async start(): Promise<void> {
    const { client, deadLetter, signal } = this.#options
    if (deadLetter !== undefined) await client.topic(deadLetter).configuration({ create: true, signal })
  }

  /**
   * Resolves once the message is in the dead letter topic; tries until it is, or the signal says stop.
   * @returns whether it is there
   * @throws EpochcastError the refusal itself without a dead letter topic, or where the message came from there; that of the dead letter topic
   */
  async put(message: Message<Uint8Array>, refusal: EpochcastError): Promise<boolean> {
    const { client, topic, deadLetter, signal, warn } = this.#options
    if (deadLetter === undefined) throw refusal
    const { id, payload, properties } = message
    const letter = { id, payload, header: encodeProperties(properties), properties }
    for (;;) {
      try {
        const isThere = await putAside(letter, topic, deadLetter, client.topic(deadLetter), { reason: refusal.message })
        if (!isThere) throw refusal
        break
      } catch (error) {
        const isFinal = !(error instanceof EpochcastError) || !(error.retryable || error.code === 'EC_OUTCOME_UNKNOWN')
        if (isFinal) throw error
        if (signal.aborted) return false
        await new Promise((resolve) => setTimeout(resolve, retryMs))
      }
    }
    this.count++
    if (this.#hasWarned) return true
    this.#hasWarned = true
    warn(`${refusal.message}; it is put aside in ${deadLetter}, and so is every other one that is too large`)
    return true
  }
}

/** @param bytesMax of payload and headers, as NATS says it */
export function tooLarge({ id, topic, payload }: Message<Uint8Array>, bytesMax: number | undefined): EpochcastError {
  const text = `message ${id} of ${topic}, ${payload.length} bytes and its headers, is larger than the ${bytesMax ?? '?'} bytes that NATS takes`
  return new EpochcastError('EC_MESSAGE_TOO_LARGE', text, {
    hint: 'raise max_payload of nats-server and start the bridge again, or name a topic for such messages: --dead-letter',
  })
}
