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
import type { EventStream } from '../stream.ts'
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

interface Answer {
  readonly ids: readonly string[]
  resolve(refused: readonly string[]): void
}

const rollBytes = 4 * 1024 * 1024
const ticksPerLease = 25

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
  #acks: { readonly id: string; readonly told: (isHeld: boolean) => void }[] = []
  readonly #answers = new Map<number, Answer>()
  #failure: EpochcastError | null = null
  #isOver = false

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

  /** The next message for the reader; null when none is here, or when others may have been given what is. */
  take(): Job | null {
    if (this.#node?.isSure(performance.now()) !== true) return null
    return this.#inbox.take()
  }

  /** @returns false when this member did not hold it any more; what is answered in one turn is written at once */
  ack(job: Job): Promise<boolean> {
    return new Promise((resolve) => {
      if (!this.#inbox.release(job)) return resolve(false)
      if (this.#acks.length === 0) setImmediate(() => this.#sendAcks())
      this.#acks.push({ id: job.id, told: resolve })
    })
  }

  nak(job: Job, delayMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const node = this.#node
      if (node === null || this.#isOver || !this.#inbox.release(job)) return resolve(false)
      this.#turn((out) => {
        const number = node.nak(runsOf([job.id]), delayMs, performance.now(), out)
        this.#answers.set(number, { ids: [job.id], resolve: (refused) => resolve(refused.length === 0) })
      })
    })
  }

  /** Hands on what was not given out, and is gone once that is agreed, or after `leaseMs` anyway. */
  async leave(): Promise<void> {
    const node = this.#node
    if (node === null || this.#isOver || this.#ports.closed() !== null) return this.end()
    this.#sendAcks()
    this.#turn((out) => node.leave(runsOf(this.#inbox.unread()), performance.now(), out))
    const deadline = performance.now() + this.#options.leaseMs
    while (!node.hasLeft && !this.#isOver && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    this.end()
  }

  /** Ends at once; the others find out after `leaseMs`. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearInterval(this.#timer)
    void this.#stream?.return()
    this.#inbox.close()
    const { loop, machine } = this.#ports
    const [feed, watch] = [this.#feed, this.#watch]
    loop.call((out) => {
      if (feed !== null) machine.removeSubscription(feed, out)
      if (watch !== null) machine.removeWatch(watch, out)
    })
    this.#lose()
    this.#wake()
  }

  async #run(): Promise<void> {
    const { topic, log } = this.#options
    this.#topic = await this.#ports.configuration()
    const found = await findLog(this.#ports, log, this.#topic)
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
    this.#timer = setInterval(() => this.#tick(node), Math.max(5, leaseMs / ticksPerLease))
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
    if (!this.#isOver) this.#turn((out) => node.tick(performance.now(), Date.now(), out))
  }

  /** One input of the machine, and what it wants done. */
  #turn(run: (out: NodeEffect[]) => void): void {
    const node = this.#node
    if (node === null || this.#isOver) return
    try {
      const out: NodeEffect[] = []
      run(out)
      node.settle(Date.now(), out)
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
        return this.#lose()
      case 'answered': {
        this.#answers.get(effect.number)?.resolve(effect.refused)
        this.#answers.delete(effect.number)
        return
      }
      case 'feed':
        return this.#feedFrom(effect.from)
    }
  }

  #publish(message: LogMessage): void {
    // What an epoch's end drops is written again by whoever still wants it: in the next epoch it may mean something else.
    const published = this.#logTopic.publish(encodeLogMessage(message), { onEpochEnd: 'settle' })
    published.catch((error: unknown) => {
      if (!(error instanceof EpochcastError) || !error.retryable) this.#fail(error)
    })
  }

  #claim(node: GroupNode, expectEpoch: Epoch, changeId: string): void {
    const topic = this.#topic
    if (topic === null) return
    const timeoutMs = Math.max(2_000, this.#options.leaseMs * 2)
    const change = this.#ports.admin.reconfigure(this.#options.log, {
      ...likeTopic(topic),
      expectEpoch,
      changeId,
      timeoutMs,
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

  #sendAcks(): void {
    const acks = this.#acks
    this.#acks = []
    const node = this.#node
    if (acks.length === 0) return
    if (node === null || this.#isOver) {
      for (const { told } of acks) told(false)
      return
    }
    const ids = acks.map(({ id }) => id)
    this.#turn((out) => {
      const number = node.ack(runsOf(ids), performance.now(), out)
      const resolve = (refused: readonly string[]) => {
        for (const { id, told } of acks) told(!refused.includes(id))
      }
      this.#answers.set(number, { ids, resolve })
    })
  }

  /** What arrived to be put aside is put aside. */
  #arrived(): void {
    for (let job = this.#inbox.takeDead(); job !== null; job = this.#inbox.takeDead()) void this.#putAside(job)
    this.#wake()
  }

  async #putAside(job: Job): Promise<void> {
    const deadLetter = this.#node?.state?.settings.deadLetter ?? ''
    if (deadLetter === '') return
    const headers = { ...job.properties.headers, 'dead-letter-of': job.id, 'dead-letter-topic': this.#options.topic }
    const deliveries = String(job.deliveries)
    try {
      await this.#ports
        .topic(deadLetter)
        .publish(job.payload, { ...job.properties, headers: { ...headers, 'dead-letter-deliveries': deliveries } })
      await this.ack(job)
    } catch (error) {
      if (!this.#isOver) this.#fail(error)
    }
  }

  /** Taken for dead: others have what was here. */
  #lose(): void {
    this.#inbox.clear()
    const answers = [...this.#answers.values()]
    this.#answers.clear()
    for (const { ids, resolve } of answers) resolve(ids)
    for (const { told } of this.#acks.splice(0)) told(false)
  }

  #fail(error: unknown): void {
    if (this.#isOver) return
    this.#failure =
      error instanceof EpochcastError ? error : new EpochcastError('EC_CLOSED', 'the group failed', { cause: error })
    this.end()
  }
}
