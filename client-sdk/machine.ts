/**
 * The client's machine: routes answers to the operations that wait for them. No IO; the same class runs in scenarios, in the
 * simulator and behind `connect`.
 */
import type { Member } from '../proto/configuration.ts'
import type { EpochcastError } from '../proto/errors.ts'
import {
  type Address,
  type ClusterId,
  isSystemPublisher,
  type PublisherId,
  publisherId,
  type ServerName,
  type TopicName,
} from '../proto/ids.ts'
import { type Effect, type Input, type Machine, send } from '../proto/machine/contract.ts'
import { type Clock, hexDigits, type Random } from '../proto/machine/ports.ts'
import { type Timer, Timers } from '../proto/machine/timers.ts'
import type { Frame } from '../proto/wire/codec.ts'
import { isTopical, type Message, type MessageOf } from '../proto/wire/messages.ts'
import { Attendance } from './attendance.ts'
import { CausalPast, HybridClock } from './causal-past.ts'
import { Faults, warnOfMistakes } from './faults.ts'
import { type EpochFollower, Follower } from './follower.ts'
import { Publisher } from './operations/add.ts'
import { type AddLimits, addLimits } from './operations/epoch-window.ts'
import type { Get } from './operations/get.ts'
import type { Listener, Reader } from './operations/reader.ts'
import type { Together } from './operations/together.ts'
import { unknownOutcome } from './operations/waiters.ts'
import { Watch } from './operations/watch.ts'
import { Requests } from './requests.ts'
import { Servers } from './servers.ts'
import type { ClientTimer, ClientTimers } from './timers.ts'

export interface ClientMachineOptions {
  readonly seeds: readonly Address[]
  readonly random: Random
  readonly clock: Clock
  readonly limits?: Partial<AddLimits>
  /** Hears of everything that is thrown in a step; by default only one operation ends by it. */
  readonly onFault?: (error: unknown) => void
}

/** How often a client asks for the list of servers, and how many it asks: not all of them need be there. */
const directoryTicks = 500
/** Until servers of which none has answered are asked again who they are. */
const introductionTicks = 20
const directoryAskedMax = 3

/** Something to do inside the machine; what it wants sent goes into `out`. */
export type ClientCall = (out: Effect[]) => void

export class ClientMachine implements Machine<ClientCall> {
  readonly servers: Servers
  readonly requests: Requests
  readonly timers = new Timers<ClientTimer>()
  /** Known once a server introduced itself. */
  cluster: ClusterId | '' = ''
  /** Servers that introduced themselves and belong to no cluster. */
  unclustered = 0
  readonly #options: ClientMachineOptions
  readonly #limits: AddLimits
  readonly #followers = new Map<TopicName, Follower>()
  readonly #publishers = new Map<PublisherId, Publisher>()
  readonly #gets = new Map<number, Get>()
  readonly #subscriptions = new Map<number, Reader>()
  readonly #watches = new Set<Watch>()
  readonly #togethers = new Set<Together>()
  readonly #past = new CausalPast()
  readonly #clock: HybridClock
  readonly #faults: Faults
  readonly #attendance: Attendance
  #introduced: (() => void)[] = []
  readonly #introduction: Timer<ClientTimer>
  readonly #directory: Timer<ClientTimer>

  constructor(options: ClientMachineOptions) {
    this.#options = options
    // In steps that leave the remainders alone by which readers choose their first source.
    this.#faults = new Faults(options.onFault ?? warnOfMistakes)
    this.requests = new Requests(options.random.below(0x10_0000) * 840, this.#faults, this.timers)
    this.#limits = { ...addLimits, ...options.limits }
    this.servers = new Servers(options.seeds, this.timers)
    this.#clock = new HybridClock(() => options.clock.nowMs())
    const timers = this.#timersOf(null)
    this.#attendance = new Attendance(timers, {
      subscriptions: () => this.#subscriptionsByServer(),
      again: (server, out) => this.#eachListener(server, (reader) => reader.peer(server, true, out), out),
      silent: (server, out) => this.#eachListener(server, (reader) => reader.silent(server, out), out),
      heard: (server, out) => this.#eachListener(server, (reader) => reader.heard(server), out),
    })
    this.#introduction = timers.timer('introduction', '', (out) => this.#introduce(out))
    this.#directory = timers.timer('directory', '', (out) => {
      this.#directory.set(directoryTicks)
      this.#list(out)
    })
  }

  get nextDue(): number | null {
    return this.timers.nextDue
  }

  step(input: Input<ClientCall>, out: Effect[]): void {
    switch (input.kind) {
      case 'call':
        return this.#faults.wall(
          out,
          () => input.call(out),
          (error) => input.failed?.(error),
        )
      case 'frame':
        // What belongs to one operation ends that one; any other frame is as good as lost.
        return this.#faults.wall(
          out,
          () => this.#onFrame(input.from, input.frame, out),
          () => {},
        )
      case 'time':
        return this.timers.pass(input.now)
      case 'turn':
        this.timers.ring(out)
        return this.#onTurn(out)
      case 'peer':
        this.servers.peer(input.address, input.up)
        if (!input.up) {
          this.requests.peerDown(input.address, out)
          this.#eachPublisher((publisher) => publisher.peerDown(input.address), out)
          this.#list(out)
        }
        this.#eachReader((reader) => reader.peer(input.address, input.up, out), out)
        this.#eachWatch((watch) => watch.peer(input.address, input.up, out), out)
        this.#eachGet((get) => get.peer(input.address, input.up, out), out)
        if (input.up) this.#reached(input.address, out)
        return
    }
  }

  /** A message cannot be written: what it was sent for is over. */
  unsent(message: Message, token: number, error: EpochcastError, out: Effect[]): void {
    if (this.requests.fail(token, error)) return
    const get = this.#gets.get(token)
    const subscription = this.#subscriptions.get(token)
    if (get !== undefined) get.failed(error, out)
    if (subscription !== undefined) this.#endReader(subscription, error, out)
    const publisher = message.kind === 'batch' ? this.#publishers.get(message.publisher) : undefined
    if (publisher !== undefined) this.#endPublisher(publisher, error)
  }

  /** What waits for this server can leave now. */
  #reached(address: Address, out: Effect[]): void {
    this.#eachPublisher((publisher) => publisher.peerUp(address, out), out)
  }

  follower(topic: TopicName): Follower {
    let follower = this.#followers.get(topic)
    if (follower === undefined) {
      follower = new Follower(topic, {
        servers: this.servers,
        requests: this.requests,
        past: this.#past,
        clock: this.#clock,
        faults: this.#faults,
        timersOf: (operation) => this.#timersOf(operation),
      })
      this.#followers.set(topic, follower)
    }
    return follower
  }

  /** A new publisher, with an id that no other has or will have; it begins when it is added to its topic's follower. */
  createPublisher(topic: TopicName): Publisher {
    let id = publisherId(hexDigits(this.#options.random, 16))
    while (isSystemPublisher(id)) id = publisherId(hexDigits(this.#options.random, 16))
    const follower = this.follower(topic)
    const publisher = new Publisher(id, follower, this.servers, this.#limits)
    this.#publishers.set(id, publisher)
    return publisher
  }

  addGet(get: Get, topic: TopicName, out: Effect[]): void {
    this.#gets.set(get.token, get)
    get.whenOver(() => this.#gets.delete(get.token))
    this.follower(topic).add(get, out, false)
  }

  addSubscription(subscription: Reader, topic: TopicName, out: Effect[]): void {
    this.#subscriptions.set(subscription.token, subscription)
    this.#attendance.begin()
    this.follower(topic).add(subscription, out)
  }

  removeSubscription(subscription: Reader, out: Effect[]): void {
    if (this.#subscriptions.delete(subscription.token)) subscription.close(out)
  }

  /** Subscriptions that are read together; each is added on its own, too. */
  addTogether(together: Together): void {
    this.#togethers.add(together)
  }

  removeTogether(together: Together): void {
    this.#togethers.delete(together)
  }

  addWatch(watch: Watch, out: Effect[]): void {
    this.#watches.add(watch)
    this.#attendance.begin()
    this.follower(watch.topic).add(watch, out)
  }

  removeWatch(watch: Watch, out: Effect[]): void {
    if (this.#watches.delete(watch)) watch.close(out)
  }

  /** Operations that have not ended. */
  get openCount(): number {
    const [subscriptions, watches] = [this.#subscriptions.size, this.#watches.size]
    let count = subscriptions + watches + this.#togethers.size + this.requests.openCount + this.#gets.size
    for (const follower of this.#followers.values()) count += follower.followerCount
    return count
  }

  publishers(): readonly Publisher[] {
    return [...this.#publishers.values()]
  }

  subscriptions(): readonly Reader[] {
    return [...this.#subscriptions.values()]
  }

  /** Finds out which cluster the seeds belong to, and which servers it has. */
  introduce(told: () => void, out: Effect[]): void {
    this.#introduced.push(told)
    this.#introduce(out)
  }

  #introduce(out: Effect[]): void {
    if (this.#introduced.length === 0) return
    this.#introduction.set(introductionTicks)
    send(out, this.servers.addresses(), { kind: 'introduce' })
  }

  #onTurn(out: Effect[]): void {
    const stamped: Publisher[] = []
    this.#eachPublisher((publisher) => {
      if (publisher.settle(out)) stamped.push(publisher)
    }, out)
    if (stamped.length > 0) {
      this.#faults.wall(
        out,
        () => this.#past.send(stamped, out),
        (error) => {
          for (const publisher of stamped) this.#endPublisher(publisher, error)
        },
      )
    }
    for (const together of this.#togethers) {
      this.#faults.wall(
        out,
        () => together.settle(out),
        () => this.#togethers.delete(together),
      )
    }
  }

  #onFrame(from: Address, frame: Frame, out: Effect[]): void {
    const { message, envelope } = frame
    // A hint may be wrong, or be lost: where a frame comes from there is a connection.
    if (this.servers.peer(from, true)) this.#reached(from, out)
    if (message.kind === 'identity') {
      this.#onIdentity(from, message, out)
      return
    }
    if (envelope.cluster !== this.cluster) return
    const name = envelope.from as ServerName
    const { token } = envelope
    if (this.requests.take(token, message, from, out)) return
    if (message.kind === 'directory') this.#onDirectory(message.servers)
    if (message.kind === 'attendance') return this.#attendance.answered(from, message, out)
    if (message.kind === 'report') this.#attendance.reported(from, out)
    if (!isTopical(message)) return
    this.#onTopical(from, name, token, message, out)
  }

  #onTopical(
    from: Address,
    name: ServerName,
    token: number,
    message: Message & { topic: TopicName },
    out: Effect[],
  ): void {
    const get = this.#gets.get(token)
    const subscription = this.#subscriptions.get(token)
    const { topic } = message
    const toGet = (run: (one: Get) => void) => {
      if (get === undefined) return
      this.#faults.wall(
        out,
        () => run(get),
        (error) => get.failed(error, out),
      )
    }
    const toReader = (run: (one: Reader) => void) => {
      if (subscription !== undefined) this.#reader(subscription, run, out)
    }
    switch (message.kind) {
      case 'stored':
        return this.#publisher(this.#publishers.get(message.publisher), (one) => one.stored(name, message, out), out)
      case 'expected':
        return this.#publisher(this.#publishers.get(message.publisher), (one) => one.expected(name, message, out), out)
      case 'batch':
        this.servers.sentBody(from)
        toGet((one) => one.batch(message, out))
        return toReader((one) => one.batch(from, message, out))
      case 'pulled':
        toGet((one) => one.pulled(message, out))
        return toReader((one) => one.pulled(message, out))
      case 'held':
        return toGet((one) => one.held(name, message, out))
      case 'report':
        return this.#eachReader((one) => one.topic === topic && one.report(name, message, out), out)
      case 'room':
        return this.#eachPublisher((one) => one.topic === topic && one.room(name, message, out), out)
      case 'opened':
        this.#eachPublisher((one) => one.topic === topic && one.opened(name, message, out), out)
        this.#eachReader((one) => one.topic === topic && one.opened(from, message, out), out)
        return this.#eachWatch((watch) => watch.topic === topic && watch.opened(out), out)
      case 'moved':
        return this.#followers.get(topic)?.moved(message, out)
      case 'refused':
        if (get !== undefined) toGet((one) => one.refused(message, out))
        else if (subscription !== undefined) toReader((one) => one.refused(message, out))
        else this.#eachPublisher((one) => one.topic === topic && one.refused(name, message, out), out)
        return
      default:
        return
    }
  }

  #onIdentity(from: Address, { cluster, member }: MessageOf<'identity'>, out: Effect[]): void {
    this.servers.learn([member])
    if (cluster === undefined) {
      this.unclustered++
      return
    }
    if (this.cluster === '') {
      this.cluster = cluster.id
      this.#directory.set(directoryTicks)
    }
    // The list of servers is asked of one that answers: others may be gone.
    if (this.#introduced.length > 0) send(out, from, { kind: 'list-servers' })
  }

  /**
   * Asks for the list of servers: those that a client was told of may all be gone when it needs one, and others may have come
   * since.
   */
  #list(out: Effect[]): void {
    const all = this.servers.addresses()
    const isUp = (one: Address) => this.servers.isUp(one)
    const to = [...all.filter(isUp), ...all.filter((one) => !isUp(one))].slice(0, directoryAskedMax)
    if (this.cluster !== '') send(out, to, { kind: 'list-servers' })
  }

  #onDirectory(servers: readonly Member[]): void {
    this.servers.learn(servers)
    const introduced = this.#introduced
    this.#introduced = []
    this.#introduction.stop()
    for (const told of introduced) told()
  }

  // Every operation has its part of a step behind a wall of its own.

  #timersOf(operation: EpochFollower | null): ClientTimers {
    return this.#faults.walled(this.timers, (error, out) => {
      if (operation !== null) this.#endOperation(operation, error, out)
    })
  }

  #endOperation(operation: EpochFollower, error: EpochcastError, out: Effect[]): void {
    if (operation instanceof Publisher) return this.#endPublisher(operation, error)
    if (operation instanceof Watch) return this.#endWatch(operation, error, out)
    for (const reader of this.#subscriptions.values()) {
      if (reader === operation) return this.#endReader(reader, error, out)
    }
    operation.failed(error, out)
  }

  #reader(reader: Reader, run: (one: Reader) => unknown, out: Effect[]): void {
    this.#faults.wall(
      out,
      () => run(reader),
      (error) => this.#endReader(reader, error, out),
    )
  }

  #eachReader(run: (one: Reader) => unknown, out: Effect[]): void {
    for (const reader of this.#subscriptions.values()) this.#reader(reader, run, out)
  }

  #eachListener(server: Address, run: (one: Listener) => unknown, out: Effect[]): void {
    this.#eachReader((reader) => reader.listensTo().includes(server) && run(reader), out)
    this.#eachWatch((watch) => watch.listensTo().includes(server) && run(watch), out)
  }

  #subscriptionsByServer(): Map<Address, number> {
    const counts = new Map<Address, number>()
    for (const listener of [...this.#subscriptions.values(), ...this.#watches]) {
      for (const server of listener.listensTo()) counts.set(server, (counts.get(server) ?? 0) + 1)
    }
    return counts
  }

  #eachGet(run: (one: Get) => unknown, out: Effect[]): void {
    for (const get of [...this.#gets.values()]) {
      this.#faults.wall(
        out,
        () => run(get),
        (error) => get.failed(error, out),
      )
    }
  }

  #eachWatch(run: (one: Watch) => unknown, out: Effect[]): void {
    for (const watch of this.#watches) {
      this.#faults.wall(
        out,
        () => run(watch),
        (error) => this.#endWatch(watch, error, out),
      )
    }
  }

  #publisher(publisher: Publisher | undefined, run: (one: Publisher) => unknown, out: Effect[]): void {
    if (publisher === undefined) return
    this.#faults.wall(
      out,
      () => run(publisher),
      (error) => this.#endPublisher(publisher, error),
    )
  }

  #eachPublisher(run: (one: Publisher) => unknown, out: Effect[]): void {
    for (const publisher of this.#publishers.values()) this.#publisher(publisher, run, out)
  }

  #endWatch(watch: Watch, error: EpochcastError, out: Effect[]): void {
    this.removeWatch(watch, out)
    watch.failed(error)
  }

  #endReader(reader: Reader, error: EpochcastError, out: Effect[]): void {
    this.removeSubscription(reader, out)
    reader.failed(error, out)
  }

  /** What it had under way may have been stored; whoever publishes next begins with a new one. */
  #endPublisher(publisher: Publisher, error: EpochcastError): void {
    this.#publishers.delete(publisher.id)
    publisher.close((id) => (id === null ? error : unknownOutcome(id, error, null)))
  }
}
