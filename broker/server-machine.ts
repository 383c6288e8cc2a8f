/**
 * One server: routes what arrives to the topic, the arbiter, the changes or the directory that it belongs to. No IO, no clock,
 * no chance: those come in through the ports.
 */
import type { Configuration, Intent, Member } from '../proto/configuration.ts'
import { InvariantViolation } from '../proto/errors.ts'
import { type Address, type ClusterId, type ServerName, serverIdOf, type TopicName } from '../proto/ids.ts'
import { type DurableMachine, type Effect, type Input, send } from '../proto/machine/contract.ts'
import type { Clock, Random } from '../proto/machine/ports.ts'
import type { Position, RecordKind } from '../proto/machine/store.ts'
import type { Shortage } from '../proto/shortage.ts'
import type { Sync } from '../proto/sync.ts'
import { decodeMessage, type Frame, ownFrame } from '../proto/wire/codec.ts'
import { isTopical, type Message, type MessageOf } from '../proto/wire/messages.ts'
import { Arbiter } from './engines/arbiter.ts'
import { Arbiters } from './engines/arbiters.ts'
import { Deciders } from './engines/deciders.ts'
import { type OutsideEngine, OutsideEngines } from './engines/outside.ts'
import { Changes } from './epoch/changes.ts'
import { Finder, type TopicDefaults } from './finder.ts'
import { limits as defaultLimits, endlessRoom, type Host, type Limits, type Room } from './host.ts'
import { Belonging } from './membership/belonging.ts'
import { Directory } from './membership/directory.ts'
import { Incarnations } from './membership/incarnations.ts'
import { Parts } from './membership/parts.ts'
import { ShownPositions } from './membership/shown-positions.ts'
import { StorageProof } from './membership/storage-proof.ts'
import { Outlets } from './outlets.ts'
import { answerAbsent } from './replica/answers.ts'
import { Replica, type ReplicaMessage } from './replica/replica.ts'
import { Wakeful } from './replica/wakeful.ts'

export interface ServerMachineOptions {
  readonly self: Member
  readonly seeds: readonly Address[]
  readonly random: Random
  /** For the durations that people read; no decision depends on it. */
  readonly clock: Clock
  readonly defaults: TopicDefaults
  /** Space on the disk; without an end unless said otherwise. */
  readonly store?: Room
  /** Bytes that wait for a receiver outside of the machine; none unless said otherwise. */
  readonly waitingBytes?: (to: Address) => number
  /** What this server is short of now; nothing unless said otherwise. */
  readonly shortages?: () => readonly Shortage[]
  /** Decision engines outside of the cluster that this server may ask. */
  readonly engines?: readonly OutsideEngine[]
  /** How much of the log this storage will always have. Without it nobody finds out that a disk is an old copy. */
  readonly writtenTo?: () => Position
  /** When the log is flushed; `always` unless said otherwise. */
  readonly sync?: Sync
  readonly limits?: Partial<Limits>
  /** Called when this server, which belonged to no cluster, belongs to one. */
  readonly tellJoined?: () => void
}

/** Messages of servers that may bring a topic here which this server has never heard of. */
const bringsTopic = new Set<Message['kind']>(['preload', 'stage', 'start', 'decided', 'report', 'wedge'])
/** What a server does that does not speak for its topics yet. */
const beforeServing = new Set<Message['kind']>(['alive', 'directory', 'list-servers', 'prove', 'shown'])
/** Frames that wait until it does. */
const heldFramesMax = 1_000
const heldBytesMax = 16 * 1024 * 1024
/** What only servers of this cluster say: from anybody else it is dropped. */
const betweenServers = new Set<Message['kind']>([
  ...bringsTopic,
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
export class ServerMachine implements DurableMachine {
  readonly directory: Directory
  readonly #options: ServerMachineOptions
  readonly #limits: Limits
  readonly #host: Host
  readonly #replicas = new Wakeful()
  readonly #outlets: Outlets
  readonly #touched = new Set<Replica>()
  readonly #belonging: Belonging
  readonly #positions = new ShownPositions()
  readonly #incarnations = new Incarnations(() => this.#host.nextToken())
  readonly #proof: StorageProof
  #held: { readonly from: Address; readonly frame: Frame }[] = []
  #heldBytes = 0
  readonly #arbiter = new Arbiter()
  readonly #arbiters: Arbiters
  readonly #outside: OutsideEngines
  readonly #deciders: Deciders
  readonly #changes: Changes
  readonly #finder: Finder
  readonly #parts: Parts
  readonly #rounds = new Map<TopicName, number>()
  #token = 0
  /** Messages between servers that did not come from one that is known. */
  strangeMessages = 0

  constructor(options: ServerMachineOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    const incarnation = () => this.#host.incarnation
    const shows = () => {
      if (options.writtenTo === undefined) return null
      return { incarnation: incarnation(), ...(this.#proof.isServing && { position: options.writtenTo() }) }
    }
    const findings = { old: () => this.#positions.old(), twins: () => this.#incarnations.twins() }
    this.directory = new Directory(options.self, options.seeds, shows, findings, options.sync, options.shortages)
    const joinsOthers = options.seeds.length > 0
    const processes = [this.#incarnations, incarnation] as const
    this.#belonging = new Belonging(options.self, this.directory, ...processes, joinsOthers, options.tellJoined)
    this.#token = options.random.below(0x7fff_ffff)
    this.#outlets = new Outlets(options.waitingBytes)
    this.#host = this.#makeHost()
    this.#proof = new StorageProof(options.self, this.#host.incarnation)
    this.#arbiters = new Arbiters(this.#host, this.#limits, () => this.#belonging.arbiters)
    this.#outside = new OutsideEngines(this.#host, options.engines ?? [], () => this.#belonging.id)
    this.#deciders = new Deciders(this.#arbiters, this.#outside, () => this.#belonging.decider)
    const replica = (topic: TopicName) => this.#replicas.get(topic)
    const coordination = {
      host: this.#host,
      limits: this.#limits,
      deciders: this.#deciders,
      registry: this.#arbiters,
      nowMs: () => options.clock.nowMs(),
    }
    // One counter for each topic: two attempts of this server never have one stake.
    const rounds = (topic: TopicName, above: number): number => {
      const round = Math.max(this.#rounds.get(topic) ?? 0, above) + 1
      this.#rounds.set(topic, round)
      return round
    }
    this.#changes = new Changes({ ...coordination, nextRound: rounds }, this.directory, replica)
    const { defaults } = options
    const [registry, deciders] = [this.#arbiters, this.#deciders]
    const states = () => this.#replicas.all.map(({ state }) => state)
    this.#parts = new Parts(this.directory, registry, () => this.#belonging.arbiters, states)
    this.#finder = new Finder(this.#host, this.#limits, registry, deciders, this.directory, defaults, replica)
  }

  get cluster(): ClusterId | '' {
    return this.#belonging.id
  }

  /** The arbiter that had the id of this server and lost its disk, where this server came in its place. */
  get lostArbiter(): Member | null {
    const { self } = this.#options
    const isOther = ({ name }: Member) => name !== self.name && serverIdOf(name) === serverIdOf(self.name)
    return this.#belonging.arbiters.find(isOther) ?? null
  }

  get topics(): readonly Replica[] {
    return this.#replicas.all
  }

  recover(kind: RecordKind, bytes: Uint8Array, position: Position): void {
    const message = decodeMessage(bytes)
    if (message.kind === 'join') this.#belonging.recover(message)
    else if (message.kind === 'remembered') this.#positions.recover(message)
    else if (message.kind === 'lives') this.directory.recoverLives(message)
    else if (message.kind === 'arbiter-prepare' || message.kind === 'arbiter-accept' || message.kind === 'note') {
      this.#arbiter.recover(message)
    } else if (isTopical(message)) this.#replica(message.topic).state.recover(kind, message, position)
    else throw new InvariantViolation('log', `record of kind ${message.kind} is not one of a server`)
  }

  step(input: Input, out: Effect[]): void {
    if (this.#proof.isNew) this.#begin(out)
    switch (input.kind) {
      case 'frame':
        return this.#onFrame(input.from, input.frame, out)
      case 'turn':
        this.#settle(out)
        return this.#outlets.turnEnded()
      case 'tick':
        return this.#onTick(out)
      case 'engine':
        return this.#outside.take(input.engine, input.token, input.answer, out)
      case 'peer':
        if (!input.up) this.directory.peerDown(input.address, out)
        if (!input.up) this.#peerDown(input.address)
        return
    }
  }

  #onFrame(from: Address, frame: Frame, out: Effect[]): void {
    const { message, envelope } = frame
    const isWithoutCluster = this.#belonging.id === ''
    if (this.#belonging.takes(from, frame, out)) {
      if (isWithoutCluster && this.#belonging.id !== '' && this.#options.writtenTo !== undefined)
        this.#proof.joined(this.#witnesses, out)
      return
    }
    if (betweenServers.has(message.kind) && !this.directory.isServer(envelope.from as ServerName, from)) {
      this.strangeMessages++
      return
    }
    if (!this.#proof.isServing && !beforeServing.has(message.kind)) return this.#hold(from, frame)
    switch (message.kind) {
      case 'alive':
        this.#onAlive(from, message, out)
        return
      case 'prove':
        // One that is not known to be the only process under its id gets no answer, and asks again.
        if (message.member.address === from && this.#incarnations.meets(message.member, message.incarnation, out))
          this.#positions.answer(from, envelope.token, message, out)
        return
      case 'shown':
        this.#proof.shown(from, envelope.from as ServerName, message)
        if (this.#proof.isServing) this.#release(out)
        return
      case 'directory':
        // Only servers tell of others that are gone.
        if (this.directory.isServer(envelope.from as ServerName, from)) this.directory.learnLives(message.lives, out)
        return this.directory.told(message.servers, out)
      case 'list-servers':
        send(out, from, this.directory.describe(this.#belonging.arbiters), envelope.token)
        return
      case 'list-engines': {
        const { founding } = this.#deciders
        send(out, from, { kind: 'engines', engines: this.#outside.states(), decider: founding }, envelope.token)
        return
      }
      case 'list-parts':
        return this.#parts.list(from, envelope.token, message, out)
      case 'forget':
        return this.#parts.forget(from, envelope.token, message, out)
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
      case 'stored':
      case 'expected':
      case 'refused':
      case 'opened':
      case 'room':
        this.#replicas.get(message.topic)?.answered(name, message, out)
        return
      case 'batch':
      case 'subscribe':
      case 'credit':
      case 'unsubscribe':
      case 'ask-room':
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
        const answer = answerAbsent(message)
        if (answer !== null) send(out, from, answer, frame.envelope.token)
        return
      }
      replica = this.#replica(message.topic)
    }
    this.#touched.add(replica)
    replica.take(from, frame, message, out)
  }

  #onListTopics(from: Address, frame: Frame, message: MessageOf<'list-topics'>, out: Effect[]): void {
    // A server asks this arbiter; a client asks for what all of them know.
    const isServer = frame.envelope.from.includes('@')
    if (!isServer) this.#finder.list(from, frame.envelope.token, message.after, out)
    else if (this.#isArbiter()) this.#arbiter.take(from, frame.envelope.token, message, out)
  }

  #onTick(out: Effect[]): void {
    this.#belonging.tick(out)
    this.directory.tick(out)
    this.#incarnations.tick()
    this.#proof.tick(out)
    if (!this.#proof.isServing) return
    this.#release(out)
    this.#positions.tick(out)
    this.#arbiters.tick(out)
    this.#outside.tick(out)
    this.#changes.tick(out)
    this.#finder.tick(out)
    this.#parts.tick(out)
    // What quiet topics cost is next to nothing: whatever comes in for one touches it by itself.
    const told = (replica: Replica) => {
      if (replica.isStaging) this.#touched.add(replica)
    }
    this.#replicas.tick(this.directory.alive().length, told, out)
  }

  /** Everything has been read from the disk. Who belongs to no cluster has promised nothing to anybody. */
  #begin(out: Effect[]): void {
    const { writtenTo } = this.#options
    const isAsking = this.#belonging.id !== '' && writtenTo !== undefined
    this.#proof.begin(writtenTo?.() ?? 0, isAsking ? this.#witnesses : [], out)
  }

  /** Servers that may have seen this one before. */
  get #witnesses(): readonly Address[] {
    return [...this.#options.seeds, ...this.#belonging.arbiters.map((arbiter) => arbiter.address)]
  }

  #onAlive(from: Address, message: MessageOf<'alive'>, out: Effect[]): void {
    const { member, incarnation, position } = message
    // Nobody tells of another how far it reached, or which process it is.
    if (member.address === from && incarnation !== undefined) {
      if (!this.#incarnations.meets(member, incarnation, out)) return
      if (position !== undefined) this.#positions.heard(from, member.name, incarnation, position, out)
    }
    this.directory.onAlive(from, message, out)
  }

  #peerDown(address: Address): void {
    this.#replicas.wakeAll()
    for (const replica of this.#replicas.all) replica.peerDown(address)
  }

  #hold(from: Address, frame: Frame): void {
    if (this.#held.length >= heldFramesMax || this.#heldBytes + frame.bytes.length > heldBytesMax) return
    this.#held.push({ from, frame: ownFrame(frame) })
    this.#heldBytes += frame.bytes.length
  }

  /** What came before this server knew that it may speak. */
  #release(out: Effect[]): void {
    const held = this.#held
    this.#held = []
    this.#heldBytes = 0
    for (const { from, frame } of held) this.#onFrame(from, frame, out)
  }

  #settle(out: Effect[]): void {
    if (this.#touched.size === 0) return
    for (const replica of this.#touched) replica.settle(out)
    this.#touched.clear()
  }

  #isArbiter(): boolean {
    return this.#belonging.arbiters.some((member) => member.name === this.#host.self.name)
  }

  #replica(topic: TopicName): Replica {
    let replica = this.#replicas.get(topic)
    if (replica === undefined) {
      replica = new Replica(topic, this.#host, this.#limits)
      this.#replicas.add(topic, replica)
    }
    return replica
  }

  #makeHost(): Host {
    const { self, random, store, sync = 'always' } = this.#options
    return {
      self,
      incarnation: random.below(0xffff_ffff),
      random,
      nextToken: () => ++this.#token,
      addressOf: (member) => this.directory.addressOf(member),
      isAlive: (name) => this.directory.isAlive(name),
      alive: () => this.directory.alive(),
      isFull: (member) => this.directory.fullAmong([member]).length > 0,
      isCutOff: () => this.directory.isCutOff,
      room: store ?? endlessRoom,
      outlets: this.#outlets,
      sync,
      askDecider: (of, done, out) => this.#deciders.learn(of, done, out),
      askNewest: (topic, done, out) => {
        const found = (newest: Configuration | null, into: Effect[]) => {
          if (newest !== null) done(newest, into)
        }
        this.#arbiters.lookup(topic, { found, unanswered: () => {} }, out)
      },
      coordinate: (topic: TopicName, intent: Intent, out: Effect[]) => {
        const wedged = this.#replicas.peek(topic)?.phase === 'wedged'
        this.#changes.finish(topic, intent, wedged, out)
      },
    }
  }
}
