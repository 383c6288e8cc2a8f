/**
 * In which order subscribers were given what: rules F1 to F6, from the history alone. What happened before what is computed from
 * what clients sent and were given, never from stamps; positions are those that subscribers were told.
 *
 * - F1: of each publisher and epoch a subscriber is given the messages in sequence, without gap or repeat, from its start on
 * - F2: in causal and in total order causes come before effects, also across topics that are read together; what is a cause by way
 *   of a topic that is not read along, or of an epoch before the one that was begun with, does not count
 * - F3: one position, one message, one epoch, for ever; positions have no hole; where every member stores, an Add that was done
 *   before another began comes first, unless the sequencer said nothing of the other one
 * - F4: nothing is given twice (F1 sees it)
 * - F5: in the end everybody was given everything durable that was published after the start
 * - F6: who passes the end of an epoch was given its closing set before, and epochs only grow
 */
import { entriesOf } from '../../client-sdk/entries.ts'
import { type Configuration, isStamped, type Mode, type Order } from '../../proto/configuration.ts'
import {
  type Epoch,
  formatMessageId,
  isSystemPublisher,
  type MessageId,
  type PublisherId,
  previousEpoch,
  sequencerPublisher,
} from '../../proto/ids.ts'
import { endOf, type MessageSet } from '../../proto/message-set.ts'
import type { Batch } from '../../proto/wire/messages.ts'
import type { WorldEvent } from '../world/events.ts'
import type { Operation, Step } from '../world/operations.ts'
import type { DiskRecord } from '../world/virtual-disk.ts'
import { messageOf } from './recorder.ts'

export interface OrderRulesOptions {
  /** Everything that can happen has happened: F5 is checked, too. */
  readonly isOver?: boolean
}

const text = new TextDecoder()
const nothing = new Uint8Array(0)

/** Ends by place: `topic epoch publisher`. */
type Past = Map<string, number>

/** What one subscription was given. */
class Reader {
  readonly operation: Operation
  /** By place: what was before the start, and how far it was given. */
  readonly before = new Map<string, number>()
  readonly given = new Map<string, number>()
  /** Trace index of each delivery by place, in sequence from the one after `before`. */
  readonly times = new Map<string, number[]>()
  /** Since when it has been reading, and of a `new` one: since when it is behind its start. */
  startedAt: number | null = null
  /** The epoch that it began with; those before were over then. */
  firstEpoch = 0
  epoch = 0
  position: number | null = null
  hasGap = false

  constructor(operation: Operation) {
    this.operation = operation
    const { startAt } = operation.reading ?? {}
    if (typeof startAt !== 'object') return
    this.firstEpoch = startAt.epoch
    for (const [publisher, { end }] of startAt.seen)
      this.before.set(place(operation.topic, startAt.epoch, publisher), end)
  }

  get order(): Order {
    return this.operation.reading?.order ?? 'fifo'
  }

  /** It does not begin at the beginning. */
  get isLate(): boolean {
    return this.operation.reading?.startAt !== 'start'
  }

  get name(): string {
    return `${this.operation.label} of ${this.operation.client}`
  }

  /** How far it was given, or need not be. */
  doneOf(at: string): number {
    return this.given.get(at) ?? this.before.get(at) ?? 0
  }
}

/** @returns one line for every rule that does not hold */
export function checkOrders(trace: readonly WorldEvent[], options: OrderRulesOptions = {}): string[] {
  const rules = new OrderRules()
  trace.forEach((event, at) => {
    rules.see(event, at)
  })
  return rules.finish(options.isOver === true)
}

/** Sees one event after the other, so that nobody has to keep them. */
export class OrderRules {
  readonly #broken: string[] = []
  readonly #configurations = new Map<string, Configuration>()
  readonly #readers = new Map<Operation, Reader>()
  readonly #groups = new Map<string, Reader[]>()
  /** By client: what it sent and was given so far. */
  readonly #pasts = new Map<string, Past>()
  /** By client, topic and value: what had been given when it was published, and when that was. */
  readonly #published = new Map<string, { readonly at: number; readonly given: Past }>()
  /** By client and place: when each of its messages was published. */
  readonly #own = new Map<string, number[]>()
  /** By place: what the sender of each message had sent and been given, in sequence. */
  readonly #causes = new Map<string, Past[]>()
  /** The same with the causes of causes, by topics that are followed, place and sequence. */
  readonly #whole = new Map<string, Past>()
  /** By topic and epoch: what ended it, and what its sequencer said. */
  readonly #closings = new Map<string, MessageSet>()
  readonly #ranks = new Map<
    string,
    { readonly record: number; readonly publisher: PublisherId; readonly end: number }[]
  >()
  /** By topic: which message has which position, and the other way round. */
  readonly #positions = new Map<string, Map<number, string>>()
  readonly #places = new Map<string, number>()
  /** Deliveries in orders that keep causes first: checked at the end, when it is known what was given at all. */
  readonly #effects: { readonly reader: Reader; readonly id: MessageId; readonly at: number }[] = []
  /** Adds that were done, by topic: when they began and ended. */
  readonly #adds: {
    readonly operation: Operation
    readonly id: MessageId
    readonly began: number
    readonly at: number
  }[] = []
  readonly #began = new Map<Operation, number>()

  see(event: WorldEvent, at: number): void {
    if (event.what === 'send' && event.parcel.kind === 'batch') {
      const { message, from } = event.parcel
      if (message.kind === 'batch') this.#sent(from, message)
    }
    if (event.what === 'flush') for (const record of event.records) this.#written(record)
    // Whoever comes back under that name knows nothing.
    if (event.what === 'gone') this.#pasts.delete(event.client)
    if (event.what !== 'operation') return
    const { operation, step } = event
    if (step.kind === 'invoked') this.#began.set(operation, at)
    if (step.kind === 'invoked' && operation.kind === 'add') {
      const key = `${operation.client} ${operation.topic} ${operation.label}`
      this.#published.set(key, { at, given: new Map(this.#pastOf(operation.client)) })
    }
    if (step.kind === 'located') this.#learn(step.message.configuration)
    if (step.kind === 'changed') this.#learn(step.message.decision.next)
    if (step.kind === 'epoch') this.#learn(step.decision.next)
    if (step.kind === 'added' && step.status !== 'dropped') {
      this.#adds.push({ operation, id: step.id, began: this.#began.get(operation) ?? 0, at })
    }
    if (step.kind === 'got') for (const { id } of step.given) this.#given(operation, id)
    if (operation.kind === 'subscribe') this.#read(this.#readerOf(operation), step, at)
  }

  finish(isOver: boolean): string[] {
    for (const { reader, id, at } of this.#effects) this.#checkCauses(reader, id, at)
    this.#checkAddOrder()
    if (isOver) this.#broken.push(...this.#missing())
    return this.#broken
  }

  #readerOf(operation: Operation): Reader {
    let reader = this.#readers.get(operation)
    if (reader === undefined) {
      reader = new Reader(operation)
      this.#readers.set(operation, reader)
      const group = operation.reading?.together
      const key = group === undefined ? `${operation.number}` : `${operation.client} ${group}`
      this.#groups.set(key, [...(this.#groups.get(key) ?? []), reader])
    }
    return reader
  }

  #written(record: DiskRecord): void {
    const message = messageOf(record)
    if (message.kind === 'opening') {
      const { next, closing } = message.decision
      this.#learn(next)
      this.#closings.set(`${next.topic} ${next.epoch - 1}`, closing)
    }
    if (message.kind !== 'batch' || message.publisher !== sequencerPublisher) return
    const key = `${message.topic} ${message.epoch}`
    const ranks = this.#ranks.get(key) ?? []
    this.#ranks.set(key, ranks)
    for (const { publisher, end } of message.ranks?.ends ?? []) ranks.push({ record: message.last, publisher, end })
  }

  /** Whether its sequencer gave it its place, in a record that outlived the epoch. */
  #isRanked(topic: string, { epoch, publisher, sequence }: MessageId): boolean {
    const closing = this.#closings.get(`${topic} ${epoch}`)
    const recordsEnd = closing === undefined ? Number.POSITIVE_INFINITY : endOf(closing, sequencerPublisher)
    const ranks = this.#ranks.get(`${topic} ${epoch}`) ?? []
    return ranks.some((rank) => rank.publisher === publisher && rank.end >= sequence && rank.record <= recordsEnd)
  }

  /**
   * The first time that a client sends a message: before it happened what the client had been given, and had published, when it
   * published that message. It may have left later, and meanwhile more may have come.
   */
  #sent(client: string, batch: Batch): void {
    const { topic, epoch, publisher, first, last } = batch
    if (isSystemPublisher(publisher)) return
    const here = place(topic, epoch, publisher)
    const causes = this.#causes.get(here) ?? []
    this.#causes.set(here, causes)
    if (causes.length >= last) return
    const past = this.#pastOf(client)
    const own = this.#own.get(`${client} ${here}`) ?? []
    this.#own.set(`${client} ${here}`, own)
    for (const [index, payload] of entriesOf(batch).entries()) {
      const number = first + index
      if (causes[number - 1] !== undefined) continue
      const published = this.#published.get(`${client} ${topic} ${text.decode(payload ?? nothing)}`)
      own[number - 1] = published?.at ?? Number.POSITIVE_INFINITY
      causes[number - 1] = published === undefined ? new Map(past) : this.#pastAt(client, past, published)
    }
    past.set(here, last)
  }

  /** Of what a client knows now: what it knew at an earlier moment. */
  #pastAt(client: string, now: Past, { at, given }: { readonly at: number; readonly given: Past }): Past {
    const past: Past = new Map()
    for (const [where, end] of now) {
      const own = this.#own.get(`${client} ${where}`)
      if (own === undefined) {
        const known = given.get(where)
        if (known !== undefined) past.set(where, known)
        continue
      }
      let known = end
      while (known > 0 && (own[known - 1] ?? 0) > at) known--
      if (known > 0) past.set(where, known)
    }
    return past
  }

  #read(reader: Reader, step: Step, at: number): void {
    switch (step.kind) {
      case 'invoked':
        reader.startedAt = reader.operation.reading?.startAt === 'new' ? null : at
        return
      case 'position':
        reader.startedAt = at
        reader.firstEpoch = step.position.epoch
        for (const [publisher, { end }] of step.position.seen)
          reader.before.set(place(reader.operation.topic, step.position.epoch, publisher), end)
        return
      case 'delivered':
        return this.#delivered(reader, step, at)
      case 'retracted':
        return this.#retracted(reader, step.id)
      case 'gap':
        reader.hasGap = true
        reader.firstEpoch = step.to
        reader.position = null
        return
      case 'epoch':
        // It had not begun, and begins behind the end.
        if (reader.isLate && reader.given.size === 0) reader.firstEpoch = step.decision.next.epoch
        return this.#passed(reader, previousEpoch(step.decision.next.epoch), step.decision.closing)
      default:
        return
    }
  }

  #delivered(reader: Reader, step: Extract<Step, { kind: 'delivered' }>, at: number): void {
    const { id } = step.given
    const { topic } = reader.operation
    const here = place(topic, id.epoch, id.publisher)
    const expected = reader.doneOf(here) + 1
    if (id.sequence !== expected)
      this.#broken.push(`F1: ${reader.name} was given ${formatMessageId(id)} where ${expected} comes next`)
    reader.given.set(here, id.sequence)
    const times = reader.times.get(here) ?? []
    times[id.sequence - 1] = at
    reader.times.set(here, times)
    if (id.epoch <= reader.epoch)
      this.#broken.push(`F6: ${reader.name} was given ${formatMessageId(id)} after its epoch`)
    if (!this.#given(reader.operation, id)) return
    if (isStamped(reader.order)) this.#effects.push({ reader, id, at })
    if (step.position !== undefined) this.#placed(reader, id, step.position)
    else if (reader.order === 'total') this.#broken.push(`F3: ${reader.name} was given no position`)
  }

  /**
   * A client was given a message, by a subscription or a Get: it is a cause of what this client publishes next.
   * @returns false for a topic that has no stamps
   */
  #given({ topic, client }: Operation, { epoch, publisher, sequence }: MessageId): boolean {
    if (!this.#isStamped(topic, epoch)) return false
    raise(this.#pastOf(client), place(topic, epoch, publisher), sequence)
    return true
  }

  #retracted(reader: Reader, id: MessageId): void {
    const here = place(reader.operation.topic, id.epoch, id.publisher)
    reader.given.set(here, Math.min(reader.given.get(here) ?? 0, id.sequence - 1))
  }

  #placed(reader: Reader, id: MessageId, position: number): void {
    const { topic, reading } = reader.operation
    const text = formatMessageId(id)
    const positions = this.#positions.get(topic) ?? new Map<number, string>()
    this.#positions.set(topic, positions)
    const known = positions.get(position)
    if (known !== undefined && known !== text)
      this.#broken.push(`F3: position ${position} of ${topic} is ${known} and ${text}`)
    positions.set(position, text)
    const other = this.#places.get(`${topic} ${text}`)
    if (other !== undefined && other !== position)
      this.#broken.push(`F3: ${text} of ${topic} has positions ${other} and ${position}`)
    this.#places.set(`${topic} ${text}`, position)
    const before = reader.position
    // Behind a cursor of another order some that have a place are left out.
    const mayLeap = typeof reading?.startAt === 'object'
    const isNext = before === null || position === before + 1 || (mayLeap && position > before)
    if (!isNext) this.#broken.push(`F3: ${reader.name} was given position ${position} after ${before}`)
    reader.position = position
  }

  /** Virtual synchrony: all that pass were given the same. */
  #passed(reader: Reader, ended: Epoch, closing: MessageSet): void {
    const { topic } = reader.operation
    if (ended <= reader.epoch) this.#broken.push(`F6: ${reader.name} passed epoch ${ended} after ${reader.epoch}`)
    reader.epoch = ended
    for (const [publisher, { end }] of closing) {
      if (isSystemPublisher(publisher)) continue
      const done = reader.doneOf(place(topic, ended, publisher))
      if (done !== end)
        this.#broken.push(`F6: ${reader.name} passed epoch ${ended} with ${done} of ${end} messages of ${publisher}`)
    }
  }

  #checkCauses(reader: Reader, id: MessageId, at: number): void {
    const { topic, reading, client, number } = reader.operation
    if (!this.#isStamped(topic, id.epoch)) return
    const group =
      this.#groups.get(reading?.together === undefined ? `${number}` : `${client} ${reading.together}`) ?? []
    const read = new Map(group.map((other) => [other.operation.topic, other.firstEpoch]))
    const causes = this.#causesOf(place(topic, id.epoch, id.publisher), id.sequence, read)
    for (const other of group) for (const [where, end] of causes) this.#checkCause(reader, other, id, at, where, end)
  }

  /** Everything before a message that is told in these topics alone, each from an epoch on. */
  #causesOf(where: string, end: number, read: ReadonlyMap<string, number>): Past {
    const key = `${[...read].join()} ${where} ${end}`
    const known = this.#whole.get(key)
    if (known !== undefined) return known
    const causes: Past = new Map()
    this.#whole.set(key, causes)
    for (const [cause, last] of this.#causes.get(where)?.[end - 1] ?? []) {
      const [topic = '', epoch] = cause.split(' ')
      if (Number(epoch) < (read.get(topic) ?? Number.POSITIVE_INFINITY)) continue
      if (!this.#isStamped(topic, Number(epoch))) continue
      raise(causes, cause, last)
      for (const [before, far] of this.#causesOf(cause, last, read)) raise(causes, before, far)
    }
    return causes
  }

  /** Whatever of a cause the reader was given at all came before the effect. */
  #checkCause(reader: Reader, other: Reader, id: MessageId, at: number, where: string, end: number): void {
    if (where.slice(0, where.indexOf(' ')) !== other.operation.topic) return
    const times = other.times.get(where)
    const last = times === undefined ? undefined : times[Math.min(end, times.length) - 1]
    if (last !== undefined && last > at)
      this.#broken.push(`F2: ${reader.name} was given ${formatMessageId(id)} before its cause ${where} ${end}`)
  }

  /** Where every member stores before an Add is done, what is stored later is ordered later. */
  #checkAddOrder(): void {
    const byTopic = new Map<string, { began: number; at: number; position: number; isRanked: boolean }[]>()
    for (const { operation, id, began, at } of this.#adds) {
      const mode: Mode | undefined = this.#configurations.get(`${operation.topic} ${id.epoch}`)?.mode
      const position = this.#places.get(`${operation.topic} ${formatMessageId(id)}`)
      if (position === undefined || mode !== 'fault-recovery') continue
      const key = `${operation.topic} ${id.epoch}`
      const isRanked = this.#isRanked(operation.topic, id)
      byTopic.set(key, [...(byTopic.get(key) ?? []), { began, at, position, isRanked }])
    }
    for (const [key, adds] of byTopic) {
      const ends = adds.toSorted((one, other) => one.at - other.at)
      let [done, highest] = [0, 0]
      for (const { began, position, isRanked } of adds.toSorted((one, other) => one.began - other.began)) {
        for (let end = ends[done]; end !== undefined && end.at < began; end = ends[++done])
          highest = Math.max(highest, end.position)
        if (isRanked && position < highest)
          this.#broken.push(`F3: an Add of ${key} came before one that was done when it began`)
      }
    }
  }

  /** Whether everybody was given everything that is durable by now. */
  get isComplete(): boolean {
    return this.#missing().next().done === true
  }

  *#missing(): Generator<string> {
    for (const reader of this.#readers.values()) {
      const { operation, startedAt } = reader
      if (operation.over || startedAt === null || reader.hasGap) continue
      const { startAt } = operation.reading ?? {}
      for (const { operation: add, id, began } of this.#adds) {
        if (add.topic !== operation.topic || (startAt === 'new' && began < startedAt)) continue
        if (typeof startAt === 'object' && id.epoch < startAt.epoch) continue
        if (reader.doneOf(place(add.topic, id.epoch, id.publisher)) < id.sequence)
          yield `F5: ${reader.name} was never given ${formatMessageId(id)}, ${add.label}`
      }
    }
  }

  #pastOf(client: string): Past {
    let past = this.#pasts.get(client)
    if (past === undefined) {
      past = new Map()
      this.#pasts.set(client, past)
    }
    return past
  }

  /** What passes through topics without stamps is not followed. */
  #isStamped(topic: string, epoch: number): boolean {
    const order = this.#configurations.get(`${topic} ${epoch}`)?.order
    return order !== undefined && isStamped(order)
  }

  #learn(configuration: Configuration): void {
    this.#configurations.set(`${configuration.topic} ${configuration.epoch}`, configuration)
  }
}

function place(topic: string, epoch: number, publisher: PublisherId): string {
  return `${topic} ${epoch} ${publisher}`
}

function raise(past: Past, where: string, end: number): void {
  if ((past.get(where) ?? 0) < end) past.set(where, end)
}
