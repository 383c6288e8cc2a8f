/**
 * The client's machine: routes answers to the operations that wait for them. No IO; the same class runs in scenarios, in the
 * simulator and behind `connect`.
 */
import type { Member } from '../proto/configuration.ts'
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
import type { Frame } from '../proto/wire/codec.ts'
import { isTopical, type Message, type MessageOf } from '../proto/wire/messages.ts'
import { CausalPast, HybridClock } from './causal-past.ts'
import { Follower } from './follower.ts'
import { Publisher } from './operations/add.ts'
import { type AddLimits, addLimits } from './operations/epoch-window.ts'
import type { Get } from './operations/get.ts'
import type { Reader } from './operations/reader.ts'
import type { Together } from './operations/together.ts'
import type { Watch } from './operations/watch.ts'
import { Requests } from './requests.ts'
import { Servers } from './servers.ts'

export interface ClientMachineOptions {
  readonly seeds: readonly Address[]
  readonly random: Random
  readonly clock: Clock
  readonly limits?: Partial<AddLimits>
}

/** How often a client asks for the list of servers, and how many it asks: not all of them need be there. */
const directoryTicks = 500
const directoryAskedMax = 3

/** Something to do inside the machine; what it wants sent goes into `out`. */
export type ClientCall = (out: Effect[]) => void

export class ClientMachine implements Machine<ClientCall> {
  readonly servers: Servers
  readonly requests: Requests
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
  #introduced: (() => void)[] = []
  #ticks = 0

  constructor(options: ClientMachineOptions) {
    this.#options = options
    // In steps that leave the remainders alone by which readers choose their first source.
    this.requests = new Requests(options.random.below(0x10_0000) * 840)
    this.#limits = { ...addLimits, ...options.limits }
    this.servers = new Servers(options.seeds)
    this.#clock = new HybridClock(() => options.clock.nowMs())
  }

  step(input: Input<ClientCall>, out: Effect[]): void {
    switch (input.kind) {
      case 'call':
        return input.call(out)
      case 'frame':
        return this.#onFrame(input.from, input.frame, out)
      case 'turn':
        return this.#onTurn(out)
      case 'tick':
        return this.#onTick(out)
      case 'peer':
        this.servers.peer(input.address, input.up)
        if (!input.up) {
          this.requests.peerDown(input.address, out)
          this.#list(out)
        }
        for (const subscription of this.#subscriptions.values()) subscription.peer(input.address, input.up, out)
        if (input.up) this.#reached(input.address, out)
        return
    }
  }

  /** What waits for this server can leave now. */
  #reached(address: Address, out: Effect[]): void {
    for (const publisher of this.#publishers.values()) publisher.peerUp(address, out)
  }

  follower(topic: TopicName): Follower {
    let follower = this.#followers.get(topic)
    if (follower === undefined) {
      follower = new Follower(topic, this.servers, this.requests, this.#past, this.#clock)
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
    this.follower(topic).add(get, out, false)
  }

  addSubscription(subscription: Reader, topic: TopicName, out: Effect[]): void {
    this.#subscriptions.set(subscription.token, subscription)
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
    this.follower(watch.topic).add(watch, out)
  }

  removeWatch(watch: Watch, out: Effect[]): void {
    if (this.#watches.delete(watch)) watch.close(out)
  }

  /** Operations that have not ended. */
  get openCount(): number {
    const [gets, subscriptions, watches] = [this.#gets.size, this.#subscriptions.size, this.#watches.size]
    let count = gets + subscriptions + watches + this.#togethers.size + this.requests.openCount
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
    send(out, this.servers.addresses(), { kind: 'introduce' })
  }

  #onTurn(out: Effect[]): void {
    let stamped: Publisher[] | null = null
    for (const publisher of this.#publishers.values()) {
      if (!publisher.settle(out)) continue
      if (stamped === null) stamped = [publisher]
      else stamped.push(publisher)
    }
    if (stamped !== null) this.#past.send(stamped, out)
    for (const together of this.#togethers) together.settle(out)
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
    switch (message.kind) {
      case 'stored':
        return this.#publishers.get(message.publisher)?.stored(name, message, out)
      case 'expected':
        return this.#publishers.get(message.publisher)?.expected(name, message, out)
      case 'batch':
        this.servers.sentBody(from)
        get?.batch(message, out)
        return subscription?.batch(from, message, out)
      case 'pulled':
        get?.pulled(message, out)
        return subscription?.pulled(message, out)
      case 'held':
        return get?.held(name, message, out)
      case 'report':
        for (const one of this.#of(message.topic, this.#subscriptions)) one.report(name, message, out)
        return
      case 'room':
        for (const publisher of this.#publishersOf(message.topic)) publisher.room(name, message, out)
        return
      case 'opened':
        for (const publisher of this.#publishersOf(message.topic)) publisher.opened(name, message, out)
        for (const one of this.#of(message.topic, this.#subscriptions)) one.opened(from, message, out)
        for (const watch of this.#watches) if (watch.topic === message.topic) watch.opened(out)
        return
      case 'moved':
        return this.#followers.get(message.topic)?.moved(message, out)
      case 'refused':
        if (get !== undefined) get.refused(message, out)
        else if (subscription !== undefined) subscription.refused(message, out)
        else for (const publisher of this.#publishersOf(message.topic)) publisher.refused(name, message, out)
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
    if (this.cluster === '') this.cluster = cluster.id
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
    for (const told of introduced) told()
  }

  #onTick(out: Effect[]): void {
    this.#ticks++
    if (this.#introduced.length > 0 && this.#ticks % 20 === 0)
      send(out, this.servers.addresses(), { kind: 'introduce' })
    if (this.#ticks % directoryTicks === 0) this.#list(out)
    this.requests.tick(out)
    for (const follower of this.#followers.values()) follower.tick()
    for (const publisher of this.#publishers.values()) publisher.tick(out)
    for (const get of this.#gets.values()) {
      get.tick(out)
      if (get.over) this.#gets.delete(get.token)
    }
    for (const subscription of this.#subscriptions.values()) subscription.tick(out)
    for (const watch of this.#watches) watch.tick(out)
    this.servers.ticked()
  }

  #of<T extends { readonly topic: TopicName }>(topic: TopicName, all: ReadonlyMap<number, T>): T[] {
    return [...all.values()].filter((one) => one.topic === topic)
  }

  #publishersOf(topic: TopicName): Publisher[] {
    return [...this.#publishers.values()].filter((publisher) => publisher.topic === topic)
  }
}
