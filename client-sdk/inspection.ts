/** Looking at one topic on one server: what it holds, how it knows the epochs to have ended, and the very batches. */
import { crc32 } from 'node:zlib'
import type { Decision, Member } from '../proto/configuration.ts'
import { asRefusal, refusal } from '../proto/door/refusal.ts'
import { EpochcastError, InvariantViolation } from '../proto/errors.ts'
import {
  type Address,
  type Epoch,
  epoch,
  type PublisherId,
  parseServerName,
  type TopicName,
  topicName,
} from '../proto/ids.ts'
import { chainDigest, emptySet, type Frontier, type MessageSet } from '../proto/message-set.ts'
import { shown } from '../proto/shown.ts'
import type { Batch, Message, MessageOf } from '../proto/wire/messages.ts'
import { inspectionOptions } from './door/admin-calls.ts'
import { entriesOf } from './entries.ts'
import { printable, printableDecision } from './printing.ts'
import { refusalError } from './refusals.ts'
import type { Question } from './requests.ts'
import { limitsOf, type OpenWaits, type WaitOptions, waitFor } from './waiting.ts'

export interface InspectionNeeds {
  readonly waits: OpenWaits
  readonly request: (question: Question) => () => void
  readonly addressOf: (member: Member) => Address
  readonly closed: () => EpochcastError | null
}

/** One topic on one server. */
export interface ServerCondition {
  readonly phase: string
  readonly epoch: Epoch | null
  /** What it has on disk of that epoch. */
  readonly stored: MessageSet
}

/** The batches of one epoch as one server has them, read and computed again. */
export interface HeldEpoch {
  readonly messages: number
  readonly bytes: number
  readonly set: MessageSet
  /** Batches whose bytes are not those that were acknowledged, or that do not follow each other. */
  readonly damaged: readonly string[]
}

/** One message, as one server holds it. */
export interface HeldMessage {
  readonly timeMs: number
  /** Null where the publisher sent no proper message. */
  readonly payload: Uint8Array | null
}

const answerTimeoutMs = 3_000
const pageBytes = 512 * 1024

export class Inspection {
  readonly #needs: InspectionNeeds

  constructor(needs: InspectionNeeds) {
    this.#needs = needs
  }

  /** What a server says of a topic; null when it does not answer in time (default 3,000 ms). */
  condition(name: string, of: Epoch, member: Member, options: WaitOptions = {}): Promise<ServerCondition | null> {
    return orNull(async () => {
      const question: Message = { kind: 'inquire', topic: topicName(name), epoch: epoch(of) }
      const { phase, configuration, stored } = await this.#ask(question, 'condition', member, options)
      return { phase, epoch: configuration?.epoch ?? null, stored: printable(stored) }
    })
  }

  /** The decisions that a server knows from an epoch on, in one row; null when it does not answer, or knows none of them. */
  decisions(name: string, from: Epoch, member: Member, options: WaitOptions = {}): Promise<readonly Decision[] | null> {
    return orNull(async () => {
      const decisions: Decision[] = []
      for (let next = epoch(from); ; ) {
        const question: Message = { kind: 'chain', topic: topicName(name), epoch: next }
        const page = await this.#ask(question, 'decisions', member, options)
        decisions.push(...page.decisions.map(printableDecision))
        const last = decisions.at(-1)
        if (page.decisions.length === 0 || last === undefined || last.next.epoch >= page.newest.epoch) return decisions
        next = last.next.epoch
      }
    })
  }

  /**
   * Reads everything of one epoch on one server, up to `until`, and computes its digests again from the bytes.
   * @param onPage called with the messages of each page
   * @returns null when it holds nothing of that epoch any more, or does not answer
   */
  held(
    name: string,
    of: Epoch,
    member: Member,
    until: MessageSet,
    options: WaitOptions & { readonly onPage?: (messages: number) => void } = {},
  ): Promise<HeldEpoch | null> {
    return orNull(async () => {
      const batches = new Map<PublisherId, Map<number, Batch>>()
      let messages = 0
      let bytes = 0
      for (let resume = 0; ; ) {
        const page = await this.#page(
          { topic: topicName(name), epoch: epoch(of), since: emptySet, until, resume },
          member,
          options,
        )
        if (page.end.unheld) return null
        let fresh = 0
        for (const batch of page.batches) {
          const own = batches.get(batch.publisher) ?? new Map<number, Batch>()
          batches.set(batch.publisher, own)
          if (own.has(batch.first)) continue
          own.set(batch.first, batch)
          fresh += batch.last - batch.first + 1
          bytes += batch.body.length
        }
        messages += fresh
        options.onPage?.(fresh)
        if (!page.end.more) return { messages, bytes, ...recompute(batches) }
        resume = page.end.resume
      }
    })
  }

  /**
   * One message as a server holds it.
   * @param others what it need not send: everything that it holds of other publishers
   * @returns null when the server does not answer; false when it does not hold it
   */
  message(
    name: string,
    id: { readonly epoch: Epoch; readonly publisher: PublisherId; readonly sequence: number },
    member: Member,
    others: MessageSet,
    options: WaitOptions = {},
  ): Promise<HeldMessage | false | null> {
    return orNull(async () => {
      const since = new Map(others)
      if (id.sequence > 1) since.set(id.publisher, { end: id.sequence - 1, digest: 0 })
      else since.delete(id.publisher)
      for (let resume = 0; ; ) {
        const from = { topic: topicName(name), epoch: id.epoch, since, resume }
        const { batches, end } = await this.#page(from, member, options)
        for (const batch of batches) {
          if (batch.publisher !== id.publisher || batch.first > id.sequence || batch.last < id.sequence) continue
          return { timeMs: batch.time, payload: entriesOf(batch)[id.sequence - batch.first] ?? null }
        }
        if (end.unheld || !end.more) return false
        resume = end.resume
      }
    })
  }

  async #page(
    from: {
      readonly topic: TopicName
      readonly epoch: Epoch
      readonly since: MessageSet
      readonly until?: MessageSet
      readonly resume: number
    },
    member: Member,
    options: WaitOptions,
  ): Promise<{ readonly batches: readonly Batch[]; readonly end: MessageOf<'pulled'> }> {
    const batches: Batch[] = []
    const question: Message = { kind: 'pull', ...from, bytesMax: pageBytes }
    const end = await this.#ask(question, 'pulled', member, options, (batch) => batches.push(batch))
    return { batches, end }
  }

  async #ask<K extends Message['kind']>(
    message: Message,
    wanted: K,
    member: Member,
    options: WaitOptions,
    onBatch?: (batch: Batch) => void,
  ): Promise<Extract<Message, { kind: K }>> {
    const closed = this.#needs.closed()
    if (closed !== null) throw closed
    if (typeof member !== 'object' || member === null) throw refusal(`${shown(member)} is not a member`)
    parseServerName(member.name)
    inspectionOptions(options)
    const limits = { timeoutMs: answerTimeoutMs, ...limitsOf(options) }
    return waitFor(this.#needs.waits, limits, `answer of ${member.name}`, (resolve, reject) => {
      const answer = (reply: Message): boolean => {
        if (reply.kind === 'batch') {
          onBatch?.(reply)
          return false
        }
        if (reply.kind === 'refused') reject(refusalError('topic' in message ? message.topic : '', reply))
        else if (reply.kind === wanted) resolve(reply as Extract<Message, { kind: K }>)
        else return false
        return true
      }
      const to = () => [this.#needs.addressOf(member)]
      return this.#needs.request({ message, to, answer, failed: reject, retryTicks: 100 })
    })
  }
}

/** Digests as servers chain them, from the bytes themselves. */
function recompute(batches: ReadonlyMap<PublisherId, ReadonlyMap<number, Batch>>): Pick<HeldEpoch, 'set' | 'damaged'> {
  const set = new Map<PublisherId, Frontier>()
  const damaged: string[] = []
  for (const [publisher, own] of batches) {
    let frontier: Frontier = { end: 0, digest: 0 }
    for (const batch of [...own.values()].sort((one, other) => one.first - other.first)) {
      const what = `${batch.epoch}-${publisher}-${batch.first}`
      if (batch.first !== frontier.end + 1) damaged.push(`${what} does not follow ${frontier.end}`)
      if (crc32(batch.body) !== batch.check) damaged.push(`${what} has other bytes than its checksum says`)
      frontier = { end: batch.last, digest: chainDigest(frontier.digest, batch.last, crc32(batch.body)) }
    }
    set.set(publisher, frontier)
  }
  return { set: printable(set), damaged }
}

/** The same, but null where the server is silent or knows nothing; what cannot be read as an argument is refused. */
async function orNull<T>(run: () => Promise<T>): Promise<T | null> {
  try {
    return await run()
  } catch (error) {
    if (error instanceof InvariantViolation) throw error
    // A message id or a set that is none, or an onPage that threw.
    if (!(error instanceof EpochcastError)) throw asRefusal(error, 'this cannot be inspected')
    if (error.code === 'EC_TIMEOUT' || error.code === 'EC_UNAVAILABLE' || error.code === 'EC_UNKNOWN_TOPIC') return null
    throw error
  }
}
