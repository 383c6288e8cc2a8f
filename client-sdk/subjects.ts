/**
 * Reading several topics at once, by a pattern over the tokens of their names. Topics that are made later are found by looking
 * again at the part of the list of topics that the pattern's first tokens allow: soon after one was found, and less often while
 * none is. What such a topic has from its beginning is given, so none of its messages is missed in between.
 */
import { didYouMean } from '../proto/closest.ts'
import type { Configuration } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type ClusterId, type TopicName, topicName } from '../proto/ids.ts'
import { shown } from '../proto/shown.ts'
import { type Cursor, checkCluster, parseCursor, seal, unseal } from './cursor.ts'
import type { From } from './replay.ts'
import type { EventStream, StreamEvent } from './stream.ts'

const token = /^[A-Za-z0-9_$-]+$/
const hint = "tokens between dots; '*' stands for one token, '>' at the end for one or more: 'orders.*', 'orders.>'"

/** A pattern over topic names. */
export class Subject {
  readonly #tokens: readonly string[]

  /** @throws EpochcastError `EC_BAD_ARGUMENT`, with a hint */
  constructor(pattern: string) {
    if (typeof pattern !== 'string') throw bad(`pattern ${shown(pattern)} is not a string`)
    this.#tokens = pattern.split('.')
    for (const [at, one] of this.#tokens.entries()) {
      if (one === '') throw bad(`pattern ${JSON.stringify(pattern)} has an empty token`)
      if (one === '>' && at < this.#tokens.length - 1) {
        throw bad(`pattern ${JSON.stringify(pattern)} has '>' before its end`)
      }
      if (one !== '*' && one !== '>' && !token.test(one)) {
        throw bad(`pattern ${JSON.stringify(pattern)} has the token ${JSON.stringify(one)}`)
      }
    }
    if (pattern.length > 200) throw bad(`the pattern has ${pattern.length} characters, more than 200`)
  }

  /** Whether text is meant as a pattern and not as the name of one topic. */
  static isPattern(text: string): boolean {
    return /[*>]/.test(text)
  }

  /** What all names that match begin with. */
  get prefix(): string {
    const first = this.#tokens.findIndex((one) => one === '*' || one === '>')
    if (first < 0) return this.#tokens.join('.')
    return first === 0 ? '' : `${this.#tokens.slice(0, first).join('.')}.`
  }

  /** Topics of the system, whose names begin with `$`, match only where the pattern says so itself. */
  matches(name: string): boolean {
    const tokens = name.split('.')
    const isOwn = name.startsWith('$') && !this.#tokens[0]?.startsWith('$')
    if (isOwn) return false
    const isOpen = this.#tokens.at(-1) === '>'
    if (isOpen ? tokens.length < this.#tokens.length : tokens.length !== this.#tokens.length) return false
    return this.#tokens.every((one, at) => one === '*' || one === '>' || one === tokens[at])
  }
}

export type SubjectFrom = Exclude<From, Cursor | { readonly epoch: number }> | Cursor

export interface SubjectPorts<T> {
  readonly cluster: ClusterId | ''
  /** A page of topics by name, behind `after`. */
  list(after: string): Promise<{ readonly configurations: readonly Configuration[]; readonly more: boolean }>
  subscribe(topic: TopicName, from: From): EventStream<T>
  /** The stream is over: whatever its client registered for it is taken back. */
  ended(): void
}

/** An event, and the topic that it is of. */
export type SubjectEvent<T> = StreamEvent<T> & { readonly topic: TopicName }

const prefix = 'ecs2.'
const pollMinMs = 250
const pollMaxMs = 4_000

/** What several topics give, each in its own order. A reader that stops holds back one window of each topic and nothing else. */
export class SubjectStream<T> implements AsyncIterableIterator<SubjectEvent<T>>, AsyncDisposable {
  readonly #subject: Subject
  readonly #ports: SubjectPorts<T>
  readonly #from: From
  readonly #known: ReadonlyMap<string, Cursor>
  readonly #streams = new Map<TopicName, EventStream<T>>()
  /** Positions behind what the reader was given. */
  readonly #cursors = new Map<string, Cursor>()
  /** One event of each topic at most: each waits until its own is taken. */
  #ready: { readonly event: SubjectEvent<T>; readonly cursor: Cursor; taken(): void }[] = []
  #wakes: (() => void)[] = []
  #timer: NodeJS.Timeout | undefined
  #failure: unknown = null
  #isOver = false
  #pauseMs = pollMinMs
  /** What is found from now on was made after the reader began. */
  #hasLooked = false

  constructor(pattern: string, from: SubjectFrom, ports: SubjectPorts<T>) {
    this.#subject = new Subject(pattern)
    this.#ports = ports
    const isCursor = typeof from === 'string' && from !== 'start' && from !== 'new'
    if (typeof from === 'object' && !('time' in from)) throw badStart()
    this.#known = isCursor ? parse(ports.cluster, from) : new Map()
    this.#from = isCursor ? 'start' : from
    for (const [topic, cursor] of this.#known) this.#cursors.set(topic, cursor)
    void this.#look()
  }

  /** Positions in all topics behind what was read: subscribe `from` it to go on. */
  get cursor(): Cursor {
    return seal(prefix, JSON.stringify([this.#ports.cluster, ...this.#cursors]))
  }

  /** Topics that are being read. */
  get topics(): readonly string[] {
    return [...this.#streams.keys()]
  }

  async next(): Promise<IteratorResult<SubjectEvent<T>>> {
    for (;;) {
      const ready = this.#ready.shift()
      if (ready !== undefined) {
        this.#cursors.set(ready.event.topic, ready.cursor)
        ready.taken()
        return { done: false, value: ready.event }
      }
      if (this.#failure !== null) {
        const failure = this.#failure
        this.#failure = null
        throw failure
      }
      if (this.#isOver) return { done: true, value: undefined }
      await new Promise<void>((resolve) => {
        this.#wakes.push(resolve)
      })
    }
  }

  async return(): Promise<IteratorResult<SubjectEvent<T>>> {
    this.end()
    this.#failure = null
    for (const { taken } of this.#ready.splice(0)) taken()
    return { done: true, value: undefined }
  }

  /** Ends behind what has arrived. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#ports.ended()
    clearTimeout(this.#timer)
    for (const stream of this.#streams.values()) void stream.return()
    this.#wakeUp()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  async #look(): Promise<void> {
    try {
      const found = await this.#find()
      if (this.#isOver) return
      const isNew = found.filter((topic) => !this.#streams.has(topic))
      for (const topic of isNew) this.#open(topic)
      this.#hasLooked = true
      this.#pauseMs = isNew.length > 0 ? pollMinMs : Math.min(this.#pauseMs * 2, pollMaxMs)
    } catch (error) {
      // Nobody could say now; topics that are known are read on.
      if (this.#isOver) return
      if (!(error instanceof EpochcastError) || !error.retryable) {
        this.#fail(error)
        return
      }
    }
    this.#timer = setTimeout(() => void this.#look(), this.#pauseMs)
    this.#timer.unref()
  }

  async #find(): Promise<TopicName[]> {
    const found: TopicName[] = []
    const { prefix: first } = this.#subject
    // Names behind the prefix without its last character begin before those that match, and the list says where they end.
    let after = first.slice(0, -1)
    for (;;) {
      const { configurations, more } = await this.#ports.list(after)
      for (const { topic } of configurations) if (this.#subject.matches(topic)) found.push(topic)
      const last = configurations.at(-1)?.topic
      if (!more || last === undefined || (!last.startsWith(first) && last > first)) return found
      after = last
    }
  }

  #open(topic: TopicName): void {
    const known = this.#known.get(topic)
    const stream = this.#ports.subscribe(topic, known ?? (this.#hasLooked ? 'start' : this.#from))
    this.#streams.set(topic, stream)
    this.#pump(topic, stream).catch((error: unknown) => this.#fail(error))
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#failure = error
    this.end()
  }

  async #pump(topic: TopicName, stream: EventStream<T>): Promise<void> {
    for await (const event of stream) {
      if (this.#isOver) return
      await new Promise<void>((taken) => {
        this.#ready.push({ event: { ...event, topic }, cursor: stream.cursor, taken })
        this.#wakeUp()
      })
    }
  }

  #wakeUp(): void {
    const wakes = this.#wakes
    this.#wakes = []
    for (const wake of wakes) wake()
  }
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` for text that is no such cursor, `EC_OTHER_CLUSTER` for one of another cluster */
function parse(cluster: ClusterId | '', cursor: Cursor): Map<string, Cursor> {
  const content = unseal(prefix, cursor)
  if (content === null) {
    const near = didYouMean(cursor, ['start', 'new'])
    if (near !== '' || !cursor.startsWith('ecs')) throw badStart(near)
    throw new EpochcastError('EC_BAD_ARGUMENT', `cursor ${shown(cursor)} is not one of a pattern`)
  }
  const [own, ...known] = JSON.parse(content) as [ClusterId | '', ...[TopicName, Cursor][]]
  checkCluster(cluster, own)
  // Each of them is looked at before anything is read: a topic may be found much later.
  for (const [topic, position] of known) parseCursor(cluster, topicName(topic), position)
  return new Map(known)
}

function badStart(near = ''): EpochcastError {
  return bad(`a pattern is read from start, new, a time, or the cursor of another pattern${near}`)
}

function bad(text: string): EpochcastError {
  return new EpochcastError('EC_BAD_ARGUMENT', text, { hint })
}
