/** Several topics as one async iterable, in one causal order. */
import type { EpochcastError } from '../proto/errors.ts'
import type { TopicName } from '../proto/ids.ts'
import type { Cursor } from './cursor.ts'
import type { Consumer, Delivery } from './operations/delivery.ts'
import type { Durability } from './operations/reading.ts'
import type { EventStream, StreamEvent } from './stream.ts'

export interface TogetherOptions {
  /** For every topic the same, or a cursor for each by its name; what is not named begins with what is new. */
  readonly from?: 'start' | 'new' | Readonly<Record<string, Cursor>>
  readonly durability?: Durability
  readonly signal?: AbortSignal
}

/** Events of all the topics; `topic` says whose an event is. */
export type TogetherEvent<T> = StreamEvent<T> & { readonly topic: TopicName }

/** Events that one delivery of one topic made. */
interface Turn<T> {
  readonly topic: TopicName
  readonly events: EventStream<T>
  left: number
}

export class TogetherStream<T> implements AsyncIterableIterator<TogetherEvent<T>>, AsyncDisposable {
  readonly #streams = new Map<TopicName, EventStream<T>>()
  readonly #onEnd: () => void
  /** Whose events come next. */
  #turns: Turn<T>[] = []
  #head = 0
  #failed: EventStream<T> | null = null
  #closed = false
  #wakes: (() => void)[] = []

  constructor(onEnd: () => void) {
    this.#onEnd = onEnd
  }

  /** Positions behind what was read of each topic: begin `from` them to go on. */
  get cursors(): Readonly<Record<string, Cursor>> {
    return Object.fromEntries([...this.#streams].map(([topic, events]) => [topic, events.cursor]))
  }

  /** A topic is read here too. @returns who takes its deliveries */
  add(topic: TopicName, events: EventStream<T>): Consumer {
    this.#streams.set(topic, events)
    return {
      deliver: (delivery) => {
        events.deliver(delivery)
        const left = eventsOf(delivery)
        // A position is no event, and is taken with the next one.
        if (left > 0) this.#turns.push({ topic, events, left })
        this.#wakeUp()
      },
      failed: (error: EpochcastError) => {
        events.failed(error)
        this.#failed = events
        this.#wakeUp()
      },
    }
  }

  async next(): Promise<IteratorResult<TogetherEvent<T>>> {
    for (;;) {
      const turn = this.#turns[this.#head]
      if (turn !== undefined) {
        if (--turn.left === 0) this.#advance()
        const event = await turn.events.next()
        if (event.done !== true) return { done: false, value: { ...event.value, topic: turn.topic } }
      } else if (this.#failed !== null) {
        const failed = this.#failed
        await this.#end()
        this.#failed = null
        await failed.next()
      } else if (this.#closed) return { done: true, value: undefined }
      else {
        await new Promise<void>((resolve) => {
          this.#wakes.push(resolve)
        })
      }
    }
  }

  /** Ends the stream once what has arrived is read. */
  end(): void {
    if (this.#closed) return
    this.#closed = true
    this.#onEnd()
    this.#wakeUp()
  }

  async return(): Promise<IteratorResult<TogetherEvent<T>>> {
    this.#turns = []
    this.#head = 0
    await this.#end()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #end(): Promise<void> {
    this.end()
    for (const events of this.#streams.values()) if (events !== this.#failed) await events.return()
    this.#wakeUp()
  }

  #advance(): void {
    this.#head++
    if (this.#head < 1024 && this.#head < this.#turns.length) return
    this.#turns = this.#turns.slice(this.#head)
    this.#head = 0
  }

  #wakeUp(): void {
    const wakes = this.#wakes
    this.#wakes = []
    for (const wake of wakes) wake()
  }
}

/** How many events a delivery becomes. */
function eventsOf(delivery: Delivery): number {
  switch (delivery.kind) {
    case 'batch':
      return delivery.batch.last - delivery.batch.first + 1 - delivery.skip
    case 'confirmed':
    case 'retracted':
      return delivery.run.last - delivery.run.first + 1
    case 'position':
      return 0
    default:
      return 1
  }
}
