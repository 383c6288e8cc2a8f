/**
 * One server: routes what arrives to the topic, the arbiter, the changes or the directory that it belongs to. No IO, no clock,
 * no chance: those come in through the ports.
 */
import type { Intent, Member } from '../proto/configuration.ts'
import { InvariantViolation } from '../proto/errors.ts'
import type { Address, ClusterId, ServerName, TopicName } from '../proto/ids.ts'
import { type DurableMachine, type Effect, type Input, send } from '../proto/machine/contract.ts'
import type { Clock, Random } from '../proto/machine/ports.ts'
import type { Position, RecordKind } from '../proto/machine/store.ts'
import { decodeMessage, type Frame, messageBytes } from '../proto/wire/codec.ts'
import { type ClusterRecord, isTopical, type Message, type MessageOf } from '../proto/wire/messages.ts'
import { Arbiter } from './engines/arbiter.ts'
import { Arbiters } from './engines/arbiters.ts'
import { Changes } from './epoch/changes.ts'
import { Finder, type TopicDefaults } from './finder.ts'
import { limits as defaultLimits, type Host, type Limits } from './host.ts'
import { Directory } from './membership/directory.ts'
import { Replica, type ReplicaMessage } from './replica/replica.ts'

export interface ServerMachineOptions {
  readonly self: Member
  readonly seeds: readonly Address[]
  readonly random: Random
  /** For the durations that people read; no decision depends on it. */
  readonly clock: Clock
  readonly defaults: TopicDefaults
  readonly storeFull?: () => boolean
  readonly limits?: Partial<Limits>
}

/** Messages of servers that may bring a topic here which this server has never heard of. */
const bringsTopic = new Set<Message['kind']>(['preload', 'stage', 'start', 'decided', 'report'])
/** What only servers of this cluster say: from anybody else it is dropped. */
const betweenServers = new Set<Message['kind']>([
  ...bringsTopic,
  'wedge',
  'accept',
  'wedged',
  'accepted',
  'outranked',
  'staged',
  'preloaded',
  'condition',
  'started',
  'enabled',
  'working',
  'arbiter-prepare',
  'arbiter-accept',
  'arbiter-promised',
  'arbiter-accepted',
  'arbiter-outranked',
  'arbiter-closed',
  'note',
  'noted',
  'lookup',
  'found',
  'moved',
  'decisions',
])
/** What a server without a cluster, or somebody who does not know ours yet, may say. */
const beforeCluster = new Set<Message['kind']>(['introduce', 'identity', 'join', 'joined'])

export class ServerMachine implements DurableMachine {
  readonly directory: Directory
  readonly #options: ServerMachineOptions
  readonly #limits: Limits
  readonly #host: Host
  readonly #replicas = new Map<TopicName, Replica>()
  readonly #touched = new Set<Replica>()
  readonly #arbiter = new Arbiter()
  readonly #arbiters: Arbiters
  readonly #changes: Changes
  readonly #finder: Finder
  readonly #rounds = new Map<TopicName, number>()
  #cluster: ClusterRecord | null = null
  #token = 0
  /** Frames of another cluster. */
  foreignFrames = 0

  constructor(options: ServerMachineOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    this.directory = new Directory(options.self, options.seeds)
    this.#token = options.random.below(0x7fff_ffff)
    this.#host = this.#makeHost()
    this.#arbiters = new Arbiters(this.#host, this.#limits, () => this.#cluster?.arbiters ?? [])
    const replica = (topic: TopicName) => this.#replicas.get(topic)
    const coordination = {
      host: this.#host,
      limits: this.#limits,
      engine: this.#arbiters,
      nowMs: () => options.clock.nowMs(),
    }
    // One counter for each topic: two attempts of this server never have one stake.
    const rounds = (topic: TopicName, above: number): number => {
      const round = Math.max(this.#rounds.get(topic) ?? 0, above) + 1
      this.#rounds.set(topic, round)
      return round
    }
    this.#changes = new Changes({ ...coordination, nextRound: rounds }, this.directory, replica)
    this.#finder = new Finder(this.#host, this.#limits, this.#arbiters, this.directory, options.defaults, replica)
  }

  get cluster(): ClusterId | '' {
    return this.#cluster?.id ?? ''
  }

  get topics(): readonly Replica[] {
    return [...this.#replicas.values()]
  }

  recover(kind: RecordKind, bytes: Uint8Array, position: Position): void {
    const message = decodeMessage(bytes)
    if (message.kind === 'join') this.#cluster = message.cluster
    else if (message.kind === 'arbiter-prepare' || message.kind === 'arbiter-accept' || message.kind === 'note') {
      this.#arbiter.recover(message)
    } else if (isTopical(message)) this.#replica(message.topic).state.recover(kind, message, position)
    else throw new InvariantViolation('log', `record of kind ${message.kind} is not one of a server`)
  }

  step(input: Input, out: Effect[]): void {
    switch (input.kind) {
      case 'frame':
        return this.#onFrame(input.from, input.frame, out)
      case 'turn':
        return this.#settle(out)
      case 'tick':
        return this.#onTick(out)
      case 'peer':
        if (!input.up) this.directory.peerDown(input.address)
        if (!input.up) for (const replica of this.#replicas.values()) replica.peerDown(input.address)
        return
    }
  }

  #onFrame(from: Address, frame: Frame, out: Effect[]): void {
    const { message, envelope } = frame
    if (envelope.cluster !== this.cluster || this.cluster === '') {
      if (beforeCluster.has(message.kind)) this.#onStranger(from, frame, out)
      else this.#refuseStranger(from, frame, out)
      return
    }
    if (betweenServers.has(message.kind) && !this.directory.isServer(envelope.from as ServerName, from)) {
      this.foreignFrames++
      return
    }
    switch (message.kind) {
      case 'introduce':
      case 'identity':
      case 'join':
      case 'joined':
        return this.#onStranger(from, frame, out)
      case 'alive':
        return this.directory.onAlive(from, message, out)
      case 'directory':
        return this.directory.told(message.servers, out)
      case 'list-servers': {
        const silent = this.directory.silent()
        send(out, from, { kind: 'directory', servers: this.directory.servers(), silent }, envelope.token)
        return
      }
      case 'locate':
        return this.#finder.locate(from, envelope.token, message, out)
      case 'reconfigure':
        return this.#changes.reconfigure(from, envelope.token, message, out)
      case 'list-topics':
        return this.#onListTopics(from, frame, message, out)
      case 'arbiter-prepare':
      case 'arbiter-accept':
      case 'note':
      case 'lookup':
        if (this.#isArbiter()) this.#arbiter.take(from, envelope.token, message, out)
        return
      case 'arbiter-promised':
      case 'arbiter-accepted':
      case 'arbiter-outranked':
      case 'arbiter-closed':
      case 'noted':
      case 'found':
      case 'topics':
        return this.#arbiters.take(envelope.from as ServerName, envelope.token, message, out)
      default:
        if (isTopical(message)) this.#onTopical(from, frame, message, out)
    }
  }

  /** Messages of one topic: to its replica here, to a change that is coordinated here, or both. */
  #onTopical(from: Address, frame: Frame, message: Message & { topic: TopicName }, out: Effect[]): void {
    const name = frame.envelope.from as ServerName
    switch (message.kind) {
      case 'condition':
      case 'preloaded':
      case 'wedged':
      case 'staged':
      case 'accepted':
      case 'outranked':
        return this.#changes.take(name, frame.envelope.token, message, out)
      case 'moved':
      case 'enabled':
        this.#changes.take(name, frame.envelope.token, message, out)
        this.#replicas.get(message.topic)?.take(from, frame, message, out)
        return
      case 'decisions':
        this.#changes.decisions(frame.envelope.token, message, out)
        return this.#onReplica(from, frame, message, out)
      case 'started':
        this.#changes.started(name, message, out)
        this.#finder.take(name, message, out)
        this.#replicas.get(message.topic)?.take(from, frame, message, out)
        return
      case 'batch':
      case 'subscribe':
      case 'credit':
      case 'unsubscribe':
      case 'report':
      case 'collect':
      case 'complete':
      case 'pull':
      case 'pulled':
      case 'chain':
      case 'inquire':
      case 'preload':
      case 'wedge':
      case 'stage':
      case 'accept':
      case 'start':
      case 'decided':
      case 'working':
        return this.#onReplica(from, frame, message, out)
      default:
        return
    }
  }

  #onReplica(from: Address, frame: Frame, message: ReplicaMessage, out: Effect[]): void {
    let replica = this.#replicas.get(message.topic)
    if (replica === undefined) {
      if (!bringsTopic.has(message.kind)) {
        this.#answerWithoutReplica(from, frame, message, out)
        return
      }
      replica = this.#replica(message.topic)
    }
    this.#touched.add(replica)
    replica.take(from, frame, message, out)
  }

  #answerWithoutReplica(from: Address, frame: Frame, message: ReplicaMessage, out: Effect[]): void {
    const { topic, epoch } = message
    const { token } = frame.envelope
    switch (message.kind) {
      case 'inquire':
        send(
          out,
          from,
          { kind: 'condition', topic, epoch, phase: 'absent', stored: new Map(), stagedCount: 0, heldEpochs: 0 },
          token,
        )
        return
      case 'batch':
      case 'subscribe':
      case 'collect':
      case 'complete':
        send(out, from, { kind: 'refused', topic, epoch, refusal: 'not-yet', detail: 'not served here' }, token)
        return
      case 'pull':
        send(out, from, { kind: 'pulled', topic, epoch, more: false, unheld: true, resume: 0 }, token)
        return
      default:
        return
    }
  }

  #onListTopics(from: Address, frame: Frame, message: MessageOf<'list-topics'>, out: Effect[]): void {
    // A server asks this arbiter; a client asks for what all of them know.
    const isServer = frame.envelope.from.includes('@')
    if (!isServer) this.#finder.list(from, frame.envelope.token, message.after, out)
    else if (this.#isArbiter()) this.#arbiter.take(from, frame.envelope.token, message, out)
  }

  #onStranger(from: Address, frame: Frame, out: Effect[]): void {
    const { message, envelope } = frame
    switch (message.kind) {
      case 'introduce': {
        const cluster = this.#cluster
        const member = this.#host.self
        send(out, from, { kind: 'identity', member, ...(cluster && { cluster }) }, envelope.token)
        return
      }
      case 'identity':
        return this.#onIdentity(message, out)
      case 'join':
        return this.#onJoin(from, envelope.token, message, out)
      default:
        return
    }
  }

  #onIdentity(message: MessageOf<'identity'>, out: Effect[]): void {
    const { cluster, member } = message
    if (cluster === undefined) return
    // An empty server that was told whom to join belongs to their cluster from now on.
    if (this.#cluster === null && this.#options.seeds.length > 0) this.#adopt(cluster, out)
    if (this.#cluster?.id !== cluster.id) return
    this.directory.told([member], out)
    // It answered itself, so this is where it is now: after a move, what is noted of it is wrong.
    this.directory.heard(member)
  }

  #onJoin(from: Address, token: number, message: MessageOf<'join'>, out: Effect[]): void {
    if (this.#cluster === null) this.#adopt(message.cluster, out)
    const member = this.#host.self
    if (this.#cluster?.id === message.cluster.id) send(out, from, { kind: 'joined', member }, token)
    else send(out, from, { kind: 'identity', member, ...(this.#cluster && { cluster: this.#cluster }) }, token)
  }

  #adopt(cluster: ClusterRecord, out: Effect[]): void {
    this.#cluster = cluster
    out.push({ kind: 'persist', record: 'protocol', bytes: messageBytes({ kind: 'join', cluster }) })
    this.directory.told(cluster.arbiters, out)
  }

  #refuseStranger(from: Address, frame: Frame, out: Effect[]): void {
    this.foreignFrames++
    const { message, envelope } = frame
    if (!isTopical(message) || message.kind === 'refused') return
    const { topic, epoch } = message
    const refusal = this.#cluster === null ? 'no-cluster' : 'other-cluster'
    const detail = this.#cluster === null ? 'this server has not joined a cluster' : `this is cluster ${this.cluster}`
    send(out, from, { kind: 'refused', topic, epoch, refusal, detail }, envelope.token)
  }

  #onTick(out: Effect[]): void {
    if (this.#cluster !== null && this.directory.servers().length === 1)
      this.directory.told(this.#cluster.arbiters, out)
    this.directory.tick(out)
    this.#arbiters.tick(out)
    this.#changes.tick(out)
    this.#finder.tick(out)
    for (const replica of this.#replicas.values()) {
      replica.tick(out)
      this.#touched.add(replica)
    }
  }

  #settle(out: Effect[]): void {
    for (const replica of this.#touched) replica.settle(out)
    this.#touched.clear()
  }

  #isArbiter(): boolean {
    return this.#cluster?.arbiters.some((member) => member.name === this.#host.self.name) === true
  }

  #replica(topic: TopicName): Replica {
    let replica = this.#replicas.get(topic)
    if (replica === undefined) {
      replica = new Replica(topic, this.#host, this.#limits)
      this.#replicas.set(topic, replica)
    }
    return replica
  }

  #makeHost(): Host {
    const { self, random, storeFull } = this.#options
    return {
      self,
      incarnation: random.below(0xffff_ffff),
      random,
      nextToken: () => ++this.#token,
      addressOf: (member) => this.directory.addressOf(member),
      isAlive: (name) => this.directory.isAlive(name),
      storeFull: storeFull ?? (() => false),
      coordinate: (topic: TopicName, intent: Intent, out: Effect[]) => {
        const wedged = this.#replicas.get(topic)?.phase === 'wedged'
        this.#changes.finish(topic, intent, wedged, out)
      },
    }
  }
}
