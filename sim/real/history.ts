/**
 * What clients of real processes did and saw, on one clock, and the rules that it must keep. The rules are those of
 * `sim/check`, for what can be seen from outside: nothing durable is missing from a later Get, nothing dropped ever appears,
 * nothing appears twice or changed, every subscriber agrees on every epoch.
 */
import { parseMessageId } from '../../proto/ids.ts'

export interface AddRecord {
  readonly what: 'add'
  readonly topic: string
  readonly client: string
  readonly value: string
  readonly start: number
  end: number
  id: string | null
  /** What the client was told; `unknown` where it gave up, `open` while it waits. */
  status: 'durable' | 'included' | 'dropped' | 'unknown' | 'refused' | 'open'
}

export interface GetRecord {
  readonly what: 'get'
  readonly topic: string
  readonly client: string
  readonly start: number
  end: number
  given: readonly (readonly [id: string, value: string])[] | null
}

export interface DeliveryRecord {
  readonly what: 'delivery'
  readonly topic: string
  readonly client: string
  readonly at: number
  readonly id: string
  readonly value: string
}

export interface EpochRecord {
  readonly what: 'epoch'
  readonly topic: string
  readonly client: string
  readonly at: number
  readonly ended: number
  readonly closingCount: number
  readonly closingDigest: string
}

export interface OutcomeRecord {
  readonly what: 'outcome'
  readonly topic: string
  readonly client: string
  readonly at: number
  readonly id: string
  readonly outcome: 'durable' | 'included' | 'dropped' | 'pending'
}

export interface FaultRecord {
  readonly what: 'fault'
  readonly at: number
  readonly text: string
}

export type HistoryRecord = AddRecord | GetRecord | DeliveryRecord | EpochRecord | OutcomeRecord | FaultRecord

const shownMax = 20

/** @returns one line for every rule that does not hold, with what breaks it */
export function judge(history: readonly HistoryRecord[]): string[] {
  const topics = new Set<string>()
  for (const record of history) if (record.what !== 'fault') topics.add(record.topic)
  const broken: string[] = []
  for (const topic of topics) {
    const own = history.filter((record) => record.what !== 'fault' && record.topic === topic)
    broken.push(...new TopicJudge(topic, own).broken)
  }
  return broken
}

class TopicJudge {
  readonly broken: string[] = []
  readonly #topic: string
  readonly #values = new Map<string, string>()
  readonly #invoked = new Map<string, number>()
  /** First moment at which it was durable. */
  readonly #durable = new Map<string, number>()
  readonly #dropped = new Set<string>()
  readonly #counts = new Map<string, number>()

  constructor(topic: string, history: readonly HistoryRecord[]) {
    this.#topic = topic
    for (const record of history) if (record.what === 'add') this.#invoked.set(record.value, record.start)
    for (const record of history) this.#learn(record)
    for (const record of history) if (record.what === 'get') this.#checkGet(record)
    this.#checkDropped()
    this.#checkSubscribers(history)
  }

  #learn(record: HistoryRecord): void {
    switch (record.what) {
      case 'add':
        if (record.id === null) return
        if (record.status === 'dropped') this.#dropped.add(record.id)
        if (record.status === 'durable' || record.status === 'included') {
          this.#isDurable(record.id, record.end)
          this.#hasValue(record.id, record.value, record.client, record.end)
        }
        return
      case 'get':
        for (const [id, value] of record.given ?? []) {
          this.#isDurable(id, record.end)
          this.#hasValue(id, value, record.client, record.end)
        }
        return
      case 'delivery':
        this.#isDurable(record.id, record.at)
        this.#hasValue(record.id, record.value, record.client, record.at)
        return
      case 'outcome':
        if (record.outcome === 'dropped') this.#dropped.add(record.id)
        else if (record.outcome !== 'pending') this.#isDurable(record.id, record.at)
        return
      default:
        return
    }
  }

  #isDurable(id: string, at: number): void {
    const known = this.#durable.get(id)
    if (known === undefined || at < known) this.#durable.set(id, at)
  }

  #hasValue(id: string, value: string, client: string, at: number): void {
    const known = this.#values.get(id)
    if (known === undefined) this.#values.set(id, value)
    else if (known !== value) this.#break('I11', `${client} was given ${id} as ${value}; it is ${known}`)
    const invoked = this.#invoked.get(value)
    if (invoked === undefined || invoked > at) this.#break('I11', `${client} was given ${value}, which nobody had sent`)
  }

  #checkGet({ client, start, given }: GetRecord): void {
    if (given === null) return
    const ids = new Set(given.map(([id]) => id))
    if (ids.size !== given.length) this.#break('I11', `a Get of ${client} returns something twice`)
    if (new Set(given.map(([, value]) => value)).size !== given.length) {
      this.#break('I11', `a Get of ${client} returns one message under two ids`)
    }
    for (const [id, at] of this.#durable) {
      if (at < start && !ids.has(id))
        this.#break('I1', `a Get of ${client} lacks ${id}, durable ${ms(start - at)} before`)
    }
  }

  #checkDropped(): void {
    for (const id of this.#dropped) {
      if (this.#durable.has(id)) this.#break('I3', `${id} was said to be dropped, and is there`)
    }
  }

  /** Of each epoch whose end it saw, a subscriber was given the closing set, each once, in order, before the end. */
  #checkSubscribers(history: readonly HistoryRecord[]): void {
    const ends = new Map<number, string>()
    const readers = new Map<string, Reader>()
    for (const record of history) {
      if (record.what !== 'delivery' && record.what !== 'epoch') continue
      const reader = readers.get(record.client) ?? new Reader()
      readers.set(record.client, reader)
      if (record.what === 'delivery') {
        const { epoch, publisher, sequence } = parseMessageId(record.id)
        const wrong = reader.take(epoch, publisher, sequence)
        if (wrong !== null) this.#break(wrong[0], `${record.client} was given ${record.id} ${wrong[1]}`)
        continue
      }
      const { client, ended, closingCount, closingDigest } = record
      const count = reader.end(ended)
      const end = `${closingCount} messages, digest ${closingDigest}`
      const known = ends.get(ended)
      ends.set(ended, known ?? end)
      if (known !== undefined && known !== end) this.#break('I4', `epoch ${ended} ended with ${known} and with ${end}`)
      if (count !== closingCount) this.#break('F6', `${client} was given ${count} of ${end} of epoch ${ended}`)
    }
    for (const [id] of this.#durable) {
      const { epoch } = parseMessageId(id)
      for (const [client, reader] of readers) {
        if (reader.ended >= epoch && !reader.has(id)) this.#break('F5', `${client} was never given ${id}`)
      }
    }
  }

  #break(rule: string, text: string): void {
    const count = (this.#counts.get(rule) ?? 0) + 1
    this.#counts.set(rule, count)
    if (count <= shownMax) this.broken.push(`${rule}: topic ${this.#topic}: ${text}`)
    if (count === shownMax + 1) this.broken.push(`${rule}: topic ${this.#topic}: and more of the kind`)
  }
}

/** What one subscriber from the start has been given. */
class Reader {
  ended = 0
  readonly #ends = new Map<string, number>()

  take(epoch: number, publisher: string, sequence: number): readonly [rule: string, text: string] | null {
    const key = `${epoch}-${publisher}`
    const end = this.#ends.get(key) ?? 0
    this.#ends.set(key, Math.max(end, sequence))
    if (epoch <= this.ended) return ['F6', `after the end of epoch ${epoch}`]
    if (sequence <= end) return ['F4', 'twice']
    return sequence === end + 1 ? null : ['F1', `after ${end} of the same publisher`]
  }

  has(id: string): boolean {
    const at = id.lastIndexOf('-')
    return Number(id.slice(at + 1)) <= (this.#ends.get(id.slice(0, at)) ?? 0)
  }

  /** @returns messages of that epoch which it was given */
  end(epoch: number): number {
    this.ended = Math.max(this.ended, epoch)
    let count = 0
    for (const [key, end] of this.#ends) if (key.startsWith(`${epoch}-`)) count += end
    return count
  }
}

function ms(milliseconds: number): string {
  return `${Math.round(milliseconds)} ms`
}
