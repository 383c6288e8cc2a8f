/** A subscription as an async iterable: it is read at the reader's pace, and its server sends no more than fits in between. */
import type { Configuration } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import {
  type ClusterId,
  type Epoch,
  epoch,
  formatMessageId,
  type PublisherId,
  previousEpoch,
  sequence,
  type TopicName,
} from '../proto/ids.ts'
import { countOf, type Frontier, fingerprint } from '../proto/message-set.ts'
import type { Batch } from '../proto/wire/messages.ts'
import type { Codec } from './codecs.ts'
import { type Cursor, formatCursor, type Position } from './cursor.ts'
import { entriesOf, type Headers } from './entries.ts'
import type { Consumer, Delivery } from './operations/delivery.ts'
import type { Run } from './orders/order-filter.ts'
import { bytesJson, type Inspect, inspectMethod, isoTime, valueJson } from './printing.ts'
import { type AllProperties, decodeProperties, noProperties } from './properties.ts'

const nothing = new Uint8Array(0)
const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

type Ordered = Pick<Extract<Delivery, { kind: 'batch' }>, 'position' | 'early' | 'lost'>

const noIds: readonly string[] = []
const plainOrder: Ordered = { position: null, early: false, lost: [] }

/** One message as a subscriber or a Get receives it. */
export class Message<T> {
  readonly topic: TopicName
  readonly epoch: Epoch
  readonly publisher: PublisherId
  readonly sequence: number
  /** When it was published, in milliseconds since the Unix epoch, by the publisher's clock. */
  readonly timeMs: number
  /** The payload's bytes, a view: copy it to keep it for long. Empty when the publisher sent no proper message. */
  readonly payload: Uint8Array
  /** False when the bytes that its publisher sent are not messages: then `value` throws. */
  readonly isReadable: boolean
  /** Place in the topic's total order, from 1, for ever; null where it is not read in total order. */
  readonly position: number | null
  /** Not durable when it was given: a `confirmed` or a `retracted` event follows. */
  readonly isEarly: boolean
  /** Ids of messages that were dropped, and that its publisher had seen or sent when it published this one. */
  readonly lostDependencies: readonly string[]
  readonly #codec: Codec<T>
  readonly #header: Uint8Array | undefined
  #properties: AllProperties | undefined

  /** @param order what else is known where it was read in an order of its own */
  constructor(
    batch: Batch,
    index: number,
    payload: Uint8Array | null,
    codec: Codec<T>,
    header?: Uint8Array,
    order: Ordered = plainOrder,
  ) {
    this.topic = batch.topic
    this.epoch = batch.epoch
    this.publisher = batch.publisher
    this.sequence = batch.first + index
    this.timeMs = batch.time
    this.payload = payload ?? nothing
    this.isReadable = payload !== null
    this.position = order.position === null ? null : order.position + index
    this.isEarly = order.early
    this.lostDependencies = order.lost.length === 0 ? noIds : order.lost.map(formatMessageId)
    this.#codec = codec
    this.#header = header
  }

  /** What its publisher said it is about. */
  get key(): string | undefined {
    return this.properties.key
  }

  /** MIME type of the payload, where its publisher said so. */
  get contentType(): string | undefined {
    return this.properties.contentType
  }

  get headers(): Readonly<Record<string, string>> {
    return this.properties.headers ?? noHeaders
  }

  /** Everything beside the payload, read when it is first asked for. */
  get properties(): AllProperties {
    this.#properties ??= this.#header === undefined ? noProperties : decodeProperties(this.#header)
    return this.#properties
  }

  /** `epoch-publisher-sequence`; the publisher was given the same. */
  get id(): string {
    return formatMessageId({ epoch: this.epoch, publisher: this.publisher, sequence: sequence(this.sequence) })
  }

  /** The same message, its value to be decoded by another codec. */
  readBy<R>(codec: Codec<R>): Message<R> {
    const { topic, epoch, publisher, sequence: first, timeMs: time, payload: body } = this
    const batch: Batch = { kind: 'batch', topic, epoch, publisher, first, last: first, time, check: 0, body }
    return new Message<R>(batch, 0, this.isReadable ? body : null, codec, this.#header)
  }

  /** The payload, decoded. @throws EpochcastError `EC_BAD_MESSAGE` when the codec cannot read it */
  get value(): T {
    if (!this.isReadable)
      throw new EpochcastError('EC_BAD_MESSAGE', `message ${this.id} was not encoded as messages are`)
    try {
      return this.#codec.decode(this.payload)
    } catch (error) {
      if (error instanceof EpochcastError) throw error
      throw new EpochcastError('EC_BAD_MESSAGE', `the codec cannot read message ${this.id}`, { cause: error })
    }
  }

  /** For JSON: with key and value. A value that cannot be decoded is there as its bytes. */
  toJSON(): object {
    const time = isoTime(this.timeMs)
    return { ...this.#head(), ...(time !== null && { time }), ...this.more(), ...this.#contentJson() }
  }

  [inspectMethod](_depth: number, options: object, inspect: Inspect): string {
    const content = this.#decoded() ?? { payload: this.payload }
    return `${this.constructor.name} ${inspect({ ...this.#head(), ...this.more(), ...content }, options)}`
  }

  /** What kinds of messages of their own are printed with. */
  protected more(): object {
    return {}
  }

  #head(): object {
    const { id, topic, epoch, publisher, sequence: number, timeMs, position, isEarly, lostDependencies } = this
    return {
      ...{ id, topic, epoch, publisher, sequence: number, timeMs },
      ...(position !== null && { position }),
      ...(isEarly && { isEarly }),
      ...(lostDependencies.length > 0 && { lostDependencies }),
      ...(!this.isReadable && { isReadable: false }),
      ...this.properties,
    }
  }

  #contentJson(): object {
    const decoded = this.#decoded()
    return decoded === null ? bytesJson(this.payload) : valueJson(decoded.value)
  }

  #decoded(): { readonly value: T } | null {
    try {
      return { value: this.value }
    } catch {
      return null
    }
  }
}

/** An epoch has ended: all of its messages came before this event, none will come after. The same for every subscriber. */
export interface EpochEvent {
  readonly type: 'epoch'
  /** The epoch that ended. */
  readonly ended: Epoch
  /** The configuration that follows. */
  readonly configuration: Configuration
  /** Id of the change that ended it. */
  readonly changeId: string
  readonly closingCount: number
  readonly closingDigest: string
  /** This client's own messages of the ended epoch that had no outcome before. */
  readonly included: readonly string[]
  readonly dropped: readonly string[]
}

/** Messages of these epochs are not kept any more. */
export interface GapEvent {
  readonly type: 'gap'
  readonly from: Epoch
  readonly to: Epoch
}

export interface MessageEvent<T> {
  readonly type: 'message'
  readonly message: Message<T>
}

/** A message that was given early is durable now, or was dropped: then no other subscriber is ever given it. */
export interface EarlyEvent {
  readonly type: 'confirmed' | 'retracted'
  readonly id: string
  readonly epoch: Epoch
  readonly publisher: PublisherId
  readonly sequence: number
}

export type StreamEvent<T> = MessageEvent<T> | EarlyEvent | EpochEvent | GapEvent

export interface StreamControl {
  /** The reader has taken that many body bytes. */
  consumed(bytes: number): void
  /** The stream is over: whatever it registered is taken back. */
  close(): void
}

/** Queue between the machine, which delivers, and one reader, who pulls. */
export class EventStream<T> implements Consumer, AsyncIterableIterator<StreamEvent<T>>, AsyncDisposable {
  readonly #topic: TopicName
  readonly #cluster: ClusterId | ''
  readonly #codec: Codec<T>
  #control: StreamControl | null = null
  #queue: Delivery[] = []
  #head = 0
  #batch: Batch | null = null
  #order: Ordered = plainOrder
  #run: { readonly kind: EarlyEvent['type']; readonly run: Run; next: number } | null = null
  #payloads: readonly (Uint8Array | null)[] = []
  readonly #headers: Headers = new Map()
  #index = 0
  #wakes: (() => void)[] = []
  #failure: EpochcastError | null = null
  #closed = false
  #epoch: Epoch = epoch(0)
  readonly #seen = new Map<PublisherId, Frontier>()

  /** @param cluster that the topic belongs to */
  constructor(topic: TopicName, codec: Codec<T>, start: Position | null, cluster: ClusterId | '') {
    this.#topic = topic
    this.#cluster = cluster
    this.#codec = codec
    if (start === null) return
    this.#epoch = start.epoch
    for (const [publisher, frontier] of start.seen) this.#seen.set(publisher, frontier)
  }

  /** Position behind the last event that was read: subscribe `from` it to go on. */
  get cursor(): Cursor {
    return formatCursor(this.#cluster, this.#topic, { epoch: this.#epoch, seen: this.#seen })
  }

  attach(control: StreamControl): void {
    this.#control = control
  }

  deliver(delivery: Delivery): void {
    this.#queue.push(delivery)
    this.#wakeUp()
  }

  /** Nothing comes any more; what has arrived can be read, then reading fails. */
  failed(error: EpochcastError): void {
    if (this.#closed) return
    this.#failure = error
    this.#release()
    this.#wakeUp()
  }

  /** Ends the stream once what has arrived is read. */
  end(): void {
    this.#closed = true
    this.#wakeUp()
  }

  async next(): Promise<IteratorResult<StreamEvent<T>>> {
    for (;;) {
      const event = this.#take()
      if (event !== null) return { done: false, value: event }
      if (this.#failure !== null) {
        const failure = this.#failure
        this.#failure = null
        this.#closed = true
        throw failure
      }
      if (this.#closed) return { done: true, value: undefined }
      await new Promise<void>((resolve) => {
        this.#wakes.push(resolve)
      })
    }
  }

  async return(): Promise<IteratorResult<StreamEvent<T>>> {
    this.#closed = true
    this.#failure = null
    this.#queue = []
    this.#head = 0
    this.#batch = null
    this.#run = null
    this.#payloads = []
    this.#headers.clear()
    this.#release()
    this.#wakeUp()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  #release(): void {
    const control = this.#control
    this.#control = null
    control?.close()
  }

  #take(): StreamEvent<T> | null {
    for (;;) {
      const message = this.#takeMessage() ?? this.#takeOfRun()
      if (message !== null) return message
      const delivery = this.#queue[this.#head]
      if (delivery === undefined) return null
      this.#advance()
      if (delivery.kind === 'gap' || delivery.kind === 'epoch') return this.#eventOf(delivery)
      if (delivery.kind === 'batch') {
        this.#batch = delivery.batch
        this.#headers.clear()
        this.#payloads = entriesOf(delivery.batch, this.#headers)
        this.#index = delivery.skip
        this.#order = delivery
      } else if (delivery.kind === 'position') {
        this.#moveTo(delivery.position.epoch)
        for (const [publisher, frontier] of delivery.position.seen) this.#seen.set(publisher, frontier)
      } else this.#run = { kind: delivery.kind, run: delivery.run, next: delivery.run.first }
    }
  }

  #takeMessage(): MessageEvent<T> | null {
    const batch = this.#batch
    if (batch === null) return null
    const payload = this.#payloads[this.#index]
    if (payload === undefined) {
      this.#batch = null
      this.#payloads = []
      this.#control?.consumed(batch.body.length)
      return null
    }
    const header = this.#headers.get(this.#index)
    const message = new Message(batch, this.#index, payload, this.#codec, header, this.#order)
    this.#index++
    this.#moveTo(batch.epoch)
    // Only what is durable moves the cursor.
    if (!message.isEarly) this.#seen.set(batch.publisher, { end: message.sequence, digest: 0 })
    return { type: 'message', message }
  }

  #takeOfRun(): EarlyEvent | null {
    const current = this.#run
    if (current === null) return null
    const { epoch, publisher, last } = current.run
    const number = current.next++
    if (number >= last) this.#run = null
    if (current.kind === 'confirmed') {
      this.#moveTo(epoch)
      this.#seen.set(publisher, { end: number, digest: 0 })
    }
    const id = formatMessageId({ epoch, publisher, sequence: sequence(number) })
    return { type: current.kind, id, epoch, publisher, sequence: number }
  }

  #eventOf(delivery: Extract<Delivery, { kind: 'gap' | 'epoch' }>): StreamEvent<T> {
    if (delivery.kind === 'gap') {
      this.#moveTo(delivery.to)
      return { type: 'gap', from: delivery.from, to: delivery.to }
    }
    const { decision, own } = delivery
    this.#moveTo(decision.next.epoch)
    return {
      type: 'epoch',
      ended: previousEpoch(decision.next.epoch),
      configuration: decision.next,
      changeId: decision.changeId,
      closingCount: countOf(decision.closing),
      closingDigest: fingerprint(decision.closing),
      included: own.included.map(formatMessageId),
      dropped: own.dropped.map(formatMessageId),
    }
  }

  #moveTo(next: Epoch): void {
    if (next === this.#epoch) return
    this.#epoch = next
    this.#seen.clear()
  }

  /** Moving the queue up for every delivery would cost its length. */
  #advance(): void {
    this.#head++
    if (this.#head < 1024 && this.#head < this.#queue.length) return
    this.#queue = this.#queue.slice(this.#head)
    this.#head = 0
  }

  #wakeUp(): void {
    const wakes = this.#wakes
    this.#wakes = []
    for (const wake of wakes) wake()
  }
}

/** The messages of a stream, without its other events. */
export class MessageStream<T> implements AsyncIterableIterator<Message<T>>, AsyncDisposable {
  readonly #events: EventStream<T>

  constructor(events: EventStream<T>) {
    this.#events = events
  }

  /** Position behind the last message that was read. */
  get cursor(): Cursor {
    return this.#events.cursor
  }

  async next(): Promise<IteratorResult<Message<T>>> {
    for (;;) {
      const event = await this.#events.next()
      if (event.done === true) return { done: true, value: undefined }
      if (event.value.type === 'message') return { done: false, value: event.value.message }
    }
  }

  async return(): Promise<IteratorResult<Message<T>>> {
    await this.#events.return()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}
