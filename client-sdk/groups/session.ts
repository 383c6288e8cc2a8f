/** One member of a group at work: its machine, its log, and what its reader does, brought together. */
import { setImmediate } from 'node:timers'
import type { Configuration } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { Epoch, PublisherId, TopicName } from '../../proto/ids.ts'
import { emptySet } from '../../proto/message-set.ts'
import { isLike, likeTopic } from '../companion.ts'
import { formatCursor } from '../cursor.ts'
import { Frontiers } from '../operations/frontiers.ts'
import { Watch } from '../operations/watch.ts'
import { noHeader } from '../properties.ts'
import type { EventStream } from '../stream.ts'
import { putAside } from './dead-letters.ts'
import { Inbox, type Job } from './inbox.ts'
import { findLog } from './log.ts'
import { decodeLogMessage, encodeLogMessage, type GroupSettings, type LogMessage, type Start } from './messages.ts'
import { GroupNode, type NodeEffect } from './node.ts'
import type { GroupPorts, PlainTopic } from './ports.ts'
import { runsOf } from './runs.ts'
import { GroupState } from './state.ts'

export interface SessionOptions {
  readonly topic: TopicName
  readonly log: TopicName
  readonly capacity: number
  readonly leaseMs: number
  readonly settings: GroupSettings
  /** Where a group begins that nobody was in before. */
  start(): Promise<Start>
}

/**
 * Outcome of an answer: `done`; `not-held`: agreed that another member is given the message; `unknown`: this member ended
 * before it was agreed.
 */
export type Answered = 'done' | 'not-held' | 'unknown'

interface Told {
  readonly id: string
  told(answered: Answered): void
}

const rollBytes = 4 * 1024 * 1024
const ticksPerLease = 25
/** A tick never comes later, however long the lease is: it is what joining, delays and new leaders wait for. */
const tickMaxMs = 50
const tickMinMs = 5
/** A change of the log's epoch that takes longer is given up, and asked for anew. */
const claimTimeoutMs = 5_000
/** Leaving takes no longer, whether a server answers or not. */
const leaveMaxMs = 3_000
/** Until a message that could not be put aside is tried again. */
const putAsideRetryMs = 5_000

export class GroupSession {
  readonly #ports: GroupPorts
  readonly #options: SessionOptions
  readonly #inbox: Inbox
  readonly #logTopic: PlainTopic
  /** The reader may go on: something came, or ended. */
  readonly #wake: () => void
  #node: GroupNode | null = null
  #stream: EventStream<Uint8Array> | null = null
  #topic: Configuration | null = null
  #log: Configuration | null = null
  #feed: Frontiers | null = null
  #watch: Watch | null = null
  #timer: NodeJS.Timeout | undefined
  /** Contents of the next wish: answers of the reader, and the messages that it was handed. */
  #done: Told[] = []
  #begun: Told[] = []
  readonly #answers = new Map<number, readonly Told[]>()
  /** Where deliveries are limited: the message that is the reader's once it is agreed that this member begins it. */
  #next: { readonly job: Job; isAgreed: boolean } | null = null
  #failure: EpochcastError | null = null
  #isOver = false
  /** What is waited for before it has joined ends with it. */
  readonly #ending = new AbortController()
  #leaving: Promise<void> | null = null

  constructor(ports: GroupPorts, options: SessionOptions, wake: () => void) {
    this.#ports = ports
    this.#options = options
    this.#wake = wake
    this.#logTopic = ports.topic(options.log)
    this.#inbox = new Inbox(options.topic, ports, { arrived: () => this.#arrived() })
    this.#run().catch((error: unknown) => this.#fail(error))
  }

  get failure(): EpochcastError | null {
    return this.#failure
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Members that the group has, as far as this one knows. */
  get memberCount(): number {
    return this.#node?.state?.memberIds().length ?? 0
  }

  get isJoined(): boolean {
    return this.#node?.isJoined === true
  }

  /** Where the group began to read its topic; null while that is not known. */
  get founded(): Start | null {
    return this.#node?.state?.founded ?? null
  }

  /** It has ended or is about to: its reader is given nothing more. */
  get isLeaving(): boolean {
    return this.#leaving !== null || this.#isOver
  }

  /**
   * The next message for the reader; null when none is here, or when others may have been given what is. Only what is taken here
   * counts as delivered. Where deliveries are limited that is agreed before the reader has the message, so that one which ends
   * its process is counted, and none that waited behind it.
   */
  take(): Job | null {
    const node = this.#node
    if (node === null || this.isLeaving || !node.isSure(performance.now())) return null
    const job = this.#inbox.oldest
    if (job === null) return null
    if (this.#next?.job !== job) {
      const isLimited = (node.state?.settings.deliveriesMax ?? 0) > 0
      const next = { job, isAgreed: !isLimited }
      this.#next = next
      this.#later(this.#begun, job.id, (answered) => {
        if (answered === 'done') next.isAgreed = true
      })
    }
    if (!this.#next.isAgreed) return null
    this.#next = null
    this.#inbox.take()
    return job
  }

  /** Answers of one turn are written in one wish. */
  ack(job: Job): Promise<Answered> {
    return new Promise((resolve) => {
      if (!this.#inbox.release(job)) return resolve(this.#unheld())
      this.#later(this.#done, job.id, resolve)
    })
  }

  nak(job: Job, delayMs: number): Promise<Answered> {
    return new Promise((resolve) => {
      const node = this.#node
      if (node === null || this.#isOver || !this.#inbox.release(job)) return resolve(this.#unheld())
      this.#sendWork()
      this.#turn((out) => {
        const number = node.nak(runsOf([job.id]), delayMs, performance.now(), out)
        this.#answers.set(number, [{ id: job.id, told: resolve }])
      })
    })
  }

  /** Hands on what is held, and is gone once that is agreed, or after a few seconds anyway. */
  leave(): Promise<void> {
    this.#leaving ??= this.#leave()
    return this.#leaving
  }

  async #leave(): Promise<void> {
    const node = this.#node
    if (node === null || this.#isOver || this.#ports.closed() !== null) return this.end()
    this.#sendWork()
    const unread = this.#next === null ? [] : [this.#next.job.id]
    this.#turn((out) => node.leave(runsOf(unread), performance.now(), out))
    this.#wake()
    const deadline = performance.now() + leaveMaxMs
    while (!node.hasLeft && !this.#isOver && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    this.end()
  }

  /** Ends at once; the others find out after `leaseMs`. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#ending.abort()
    clearInterval(this.#timer)
    void this.#stream?.return()
    this.#inbox.close()
    const { loop, machine } = this.#ports
    const [feed, watch] = [this.#feed, this.#watch]
    loop.call((out) => {
      if (feed !== null) machine.removeSubscription(feed, out)
      if (watch !== null) machine.removeWatch(watch, out)
    })
    this.#lose(this.#unheld())
    this.#wake()
  }

  async #run(): Promise<void> {
    const { topic, log } = this.#options
    this.#topic = await this.#ports.configuration(this.#ending.signal)
    const { deadLetter } = this.#options.settings
    // Where messages are put aside is there before the first has to be.
    const { signal } = this.#ending
    if (deadLetter !== '') await this.#ports.topic(deadLetter).configuration({ create: true, signal })
    const found = await findLog(this.#ports, log, this.#topic, signal)
    if (this.#isOver) return
    this.#log = found.configuration
    const start = found.isEmpty ? await this.#options.start() : { epoch: this.#topic.epoch, seen: [] }
    const { capacity, leaseMs, settings } = this.#options
    const join = { kind: 'join', capacity, leaseMs, settings, start } as const
    const node = new GroupNode({ leaseMs, join, rollBytes, newId: this.#ports.newId })
    if (this.#isOver) return
    this.#node = node
    this.#watchTopic(topic)
    const from = formatCursor(this.#ports.machine.cluster, log, { epoch: found.epoch, seen: emptySet })
    this.#stream = this.#logTopic.subscribe({ from, events: true })
    const state = found.isEmpty ? new GroupState() : null
    this.#turn((out) => node.begin(found.epoch, found.changeId, state, performance.now(), out))
    this.#timer = setInterval(() => this.#tick(node), Math.min(tickMaxMs, Math.max(tickMinMs, leaseMs / ticksPerLease)))
    this.#timer.unref()
    await this.#read(node, this.#stream)
    this.end()
  }

  async #read(node: GroupNode, stream: EventStream<Uint8Array>): Promise<void> {
    for await (const event of stream) {
      if (this.#isOver) return
      if (event.type === 'message') {
        const { payload } = event.message
        const message = decodeLogMessage(payload)
        if (message !== null) this.#turn((out) => node.message(message, payload.length, performance.now(), out))
      } else if (event.type === 'epoch') {
        this.#log = event.configuration
        this.#turn((out) => node.ended(event.configuration.epoch, event.changeId, performance.now(), out))
        this.#follow()
      } else if (event.type === 'gap') {
        throw new EpochcastError('EC_OUTCOME_EXPIRED', `the log of the group is not kept from epoch ${event.from} on`)
      }
    }
  }

  #tick(node: GroupNode): void {
    if (!this.#isOver) this.#turn((out) => node.tick(performance.now(), out))
  }

  /** One input of the machine, and what it wants done. */
  #turn(run: (out: NodeEffect[]) => void): void {
    const node = this.#node
    if (node === null || this.#isOver) return
    try {
      const out: NodeEffect[] = []
      run(out)
      node.settle(performance.now(), out)
      for (const effect of out) this.#perform(node, effect)
    } catch (error) {
      this.#fail(error)
    }
    this.#wake()
  }

  #perform(node: GroupNode, effect: NodeEffect): void {
    switch (effect.kind) {
      case 'publish':
        return this.#publish(effect.message)
      case 'claim':
        return this.#claim(node, effect.epoch, effect.changeId)
      case 'granted':
        return this.#inbox.granted(effect.items, node.state?.settings.deadLetter !== '')
      case 'expired':
        return this.#lose('not-held')
      case 'answered': {
        const refused = new Set(effect.refused)
        for (const { id, told } of this.#answers.get(effect.number) ?? []) told(refused.has(id) ? 'not-held' : 'done')
        this.#answers.delete(effect.number)
        return
      }
      case 'feed':
        return this.#feedFrom(effect.from)
    }
  }

  #publish(message: LogMessage): void {
    // A message that an epoch's end drops is written again by its member, if at all: it may mean something else in the next epoch.
    const published = this.#logTopic.send(encodeLogMessage(message), noHeader, 'settle')
    published.catch((error: unknown) => {
      if (!(error instanceof EpochcastError) || !error.retryable) this.#fail(error)
      else if (message.kind === 'record') this.#turn(() => this.#node?.recordLost())
    })
  }

  #claim(node: GroupNode, expectEpoch: Epoch, changeId: string): void {
    const topic = this.#topic
    if (topic === null) return
    const change = this.#ports.admin.reconfigure(this.#options.log, {
      ...likeTopic(topic),
      expectEpoch,
      changeId,
      timeoutMs: claimTimeoutMs,
    })
    change.decided.catch(() => {
      if (!this.#isOver) node.claimFailed(changeId, performance.now())
    })
  }

  /** The leader tells what is durable in the topic. */
  #feedFrom(from: Epoch | null): void {
    const { loop, machine } = this.#ports
    const before = this.#feed
    const { topic } = this.#options
    const told = (update: Parameters<GroupNode['stored']>[0]) => this.#turn(() => this.#node?.stored(update))
    const listener = {
      stored: (epoch: Epoch, ends: ReadonlyMap<PublisherId, number>, closed: boolean) =>
        told({ kind: 'stored', epoch, ends, closed }),
      gap: (to: Epoch) => told({ kind: 'gap', to }),
      failed: (error: EpochcastError) => this.#fail(error),
    }
    const feed =
      from === null ? null : new Frontiers(from, machine.follower(topic), machine.servers, machine.requests, listener)
    this.#feed = feed
    loop.call((out) => {
      if (before !== null) machine.removeSubscription(before, out)
      if (feed !== null) machine.addSubscription(feed, topic, out)
    })
  }

  /** The log goes where its topic goes. */
  #watchTopic(topic: TopicName): void {
    const { loop, machine } = this.#ports
    const known = (configuration: Configuration) => {
      this.#topic = configuration
      this.#follow()
    }
    this.#watch = new Watch(machine.follower(topic), machine.requests, {
      begun: known,
      moved: (decision) => known(decision.next),
      failed: (error) => this.#fail(error),
    })
    const watch = this.#watch
    loop.call((out) => machine.addWatch(watch, out))
  }

  #follow(): void {
    if (this.#topic !== null && this.#log !== null && !isLike(this.#log, this.#topic)) this.#node?.moveLog()
  }

  #later(list: Told[], id: string, told: (answered: Answered) => void): void {
    if (this.#done.length + this.#begun.length === 0) setImmediate(() => this.#sendWork())
    list.push({ id, told })
  }

  #sendWork(): void {
    const node = this.#node
    const [done, begun] = [this.#done, this.#begun]
    this.#done = []
    this.#begun = []
    if (done.length + begun.length === 0) return
    if (node === null || this.#isOver) {
      for (const { told } of [...done, ...begun]) told('unknown')
      return
    }
    const ids = done.map(({ id }) => id)
    const isDone = new Set(ids)
    // A message that is begun and done in one turn is done.
    const open = begun.filter(({ id }) => !isDone.has(id))
    this.#turn((out) => {
      const number = node.work(runsOf(ids), runsOf(open.map(({ id }) => id)), performance.now(), out)
      this.#answers.set(number, [...done, ...open])
    })
  }

  /** Messages that arrived to be put aside are put aside. */
  #arrived(): void {
    for (let job = this.#inbox.takeDead(); job !== null; job = this.#inbox.takeDead()) void this.#putAside(job)
    this.#wake()
  }

  /** A message that cannot be put aside now is held by some member until it can: it ends none. */
  async #putAside(job: Job): Promise<void> {
    try {
      await this.#moveAside(job)
      await this.#ports.putAside?.(job)
      await this.ack(job)
    } catch {
      if (!this.#isOver) await this.nak(job, putAsideRetryMs)
    }
  }

  async #moveAside(job: Job): Promise<void> {
    const { topic } = this.#options
    const deadLetter = this.#node?.state?.settings.deadLetter ?? ''
    if (deadLetter === '') return
    await putAside(job, topic, deadLetter, this.#ports.topic(deadLetter), { deliveries: String(job.deliveries) })
  }

  /** The outcome of an answer to a message that this member does not hold. */
  #unheld(): Answered {
    return this.#isOver && this.#node?.hasLeft !== true ? 'unknown' : 'not-held'
  }

  /** Nothing is held any more. */
  #lose(answered: Answered): void {
    this.#inbox.clear()
    this.#next = null
    const open = [...this.#answers.values()].flat()
    this.#answers.clear()
    for (const { told } of [...open, ...this.#done.splice(0), ...this.#begun.splice(0)]) told(answered)
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#failure =
      error instanceof EpochcastError ? error : new EpochcastError('EC_CLOSED', 'the group failed', { cause: error })
    this.end()
  }
}
