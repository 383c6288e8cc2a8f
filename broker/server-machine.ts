/**
 * One server: routes what arrives to the topic, the arbiter, the changes or the directory that it belongs to. No IO, no clock,
 * no chance: those come in through the ports.
 */
import type { Configuration, Intent, Member } from '../proto/configuration.ts'
import { type Address, type ClusterId, type ServerName, serverIdOf, type TopicName } from '../proto/ids.ts'
import { type DurableMachine, type Effect, type Input, send } from '../proto/machine/contract.ts'
import type { Clock, Random } from '../proto/machine/ports.ts'
import type { Position, RecordKind } from '../proto/machine/store.ts'
import { type TimerState, Timers } from '../proto/machine/timers.ts'
import type { Shortage } from '../proto/shortage.ts'
import type { Sync } from '../proto/sync.ts'
import { protocolVersions, type VersionRange } from '../proto/version.ts'
import { decodeRecord, type Frame, ownFrame } from '../proto/wire/codec.ts'
import type { Destination, ServerDestination } from '../proto/wire/entry.ts'
import { kinds, type MessageKind, type MessageOf, type MessageTo, table } from '../proto/wire/messages.ts'
import { Admission } from './admission.ts'
import { Audience } from './audience.ts'
import { Drops } from './drops.ts'
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
import { memberEntry } from './replica/outcomes.ts'
import { Replica } from './replica/replica.ts'
import type { ServerTimer } from './timers.ts'

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
  /** Versions of the protocol that this server speaks; those of this build unless said otherwise. */
  readonly versions?: VersionRange
  /** Called when this server, which belonged to no cluster, belongs to one. */
  readonly tellJoined?: () => void
}

type Handler<D extends Destination> = (from: Address, frame: Frame<MessageTo<D>>, out: Effect[]) => void
type Handlers = { readonly [D in ServerDestination]: Handler<D> }

/** What is done with a message while the server does not speak for its topics yet. */
const untilProven: Readonly<Record<ServerDestination, 'take' | 'hold'>> = {
  cluster: 'take',
  proof: 'take',
  directory: 'take',
  engines: 'hold',
  parts: 'hold',
  finder: 'hold',
  arbiter: 'hold',
  proposer: 'hold',
  coordinator: 'hold',
  sequencer: 'hold',
  audience: 'hold',
  member: 'hold',
}

/** The parts of a server that receive each message, in their order. */
const routes = new Map<MessageKind, readonly ServerDestination[]>(
  kinds.map((kind) => {
    const { to, and = [] } = table[kind]
    return [kind, [...and, to].filter((destination) => destination !== 'client')]
  }),
)

/** Frames that wait for the proof of the storage. */
const heldFramesMax = 1_000
const heldBytesMax = 16 * 1024 * 1024
export class ServerMachine implements DurableMachine {
  readonly directory: Directory
  readonly #timers = new Timers<ServerTimer>()
  readonly #options: ServerMachineOptions
  readonly #limits: Limits
  readonly #host: Host
  readonly #replicas = new Map<TopicName, Replica>()
  readonly #audience: Audience
  readonly #outlets: Outlets
  readonly #touched = new Set<Replica>()
  readonly #touch = (replica: Replica) => this.#touched.add(replica)
  /** The topics that were on the disk speak. */
  #hasBegun = false
  readonly #belonging: Belonging
  readonly #positions = new ShownPositions(this.#timers)
  readonly #incarnations = new Incarnations(this.#timers, () => this.#host.nextToken())
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
  /** Frames that were not handled. */
  readonly drops = new Drops()
  readonly #admission: Admission
  readonly #handlers: Handlers

  constructor(options: ServerMachineOptions) {
    this.#options = options
    this.#limits = { ...defaultLimits, ...options.limits }
    const incarnation = () => this.#host.incarnation
    const shows = () => {
      if (options.writtenTo === undefined) return null
      return { incarnation: incarnation(), ...(this.#proof.isServing && { position: options.writtenTo() }) }
    }
    const findings = { old: () => this.#positions.old(), twins: () => this.#incarnations.twins() }
    const { shortages = () => [] } = options
    const tellAliveChanged = (_name: ServerName, _isAlive: boolean, out: Effect[]) => {
      if (this.#hasBegun) for (const replica of this.#replicas.values()) replica.serversChanged()
      this.#arbiters.aliveChanged(out)
    }
    const ports = { shows, findings, shortages, tellAliveChanged }
    this.directory = new Directory(options.self, options.seeds, this.#timers, options.sync, ports)
    const joinsOthers = options.seeds.length > 0
    const processes = [this.#incarnations, incarnation] as const
    const versions = options.versions ?? protocolVersions
    this.#belonging = new Belonging(
      options.self,
      this.directory,
      ...processes,
      joinsOthers,
      versions,
      options.tellJoined,
    )
    this.#token = options.random.below(0x7fff_ffff)
    this.#outlets = new Outlets(options.waitingBytes)
    this.#audience = new Audience(this.#timers, this.#limits.clientTicks, (address) => {
      for (const replica of this.#replicas.values()) replica.listenerGone(address)
    })
    this.#host = this.#makeHost()
    const serving = (out: Effect[]) => {
      this.#outside.begin()
      this.#release(out)
    }
    this.#proof = new StorageProof(options.self, this.#host.incarnation, this.#timers, serving)
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
    const states = () => [...this.#replicas.values()].map(({ state }) => state)
    this.#parts = new Parts(this.directory, registry, () => this.#belonging.arbiters, states)
    this.#finder = new Finder(this.#host, this.#limits, registry, deciders, this.directory, defaults, replica)
    this.#admission = new Admission(this.directory, {
      arbiters: () => this.#belonging.arbiters,
      configurationOf: (topic, epoch) => this.#replicas.get(topic)?.state.configurationOf(epoch),
    })
    this.#handlers = this.#makeHandlers()
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
    return [...this.#replicas.values()]
  }

  recover(kind: RecordKind, bytes: Uint8Array, position: Position): void {
    const record = decodeRecord(bytes)
    switch (record.kind) {
      case 'join':
        return this.#belonging.recover(record)
      case 'remembered':
        return this.#positions.recover(record)
      case 'lives':
        return this.directory.recoverLives(record)
      case 'arbiter-prepare':
      case 'arbiter-accept':
      case 'note':
        return this.#arbiter.recover(record)
      default:
        return this.#replica(record.topic).state.recover(kind, record, position)
    }
  }

  /** Subscriptions that a client has here. */
  audienceOf(client: string): number {
    return this.#audience.subscriptionsOf(client as Address)
  }

  /** Timers that are set, the next one first. */
  get timersSet(): readonly TimerState<ServerTimer>[] {
    return this.#timers.list()
  }

  get nextDue(): number | null {
    return this.#timers.nextDue
  }

  step(input: Input, out: Effect[]): void {
    if (this.#proof.isNew) this.#begin(out)
    switch (input.kind) {
      case 'frame':
        return this.#onFrame(input.from, input.frame, out)
      case 'time':
        return this.#timers.pass(input.now)
      case 'turn':
        this.#timers.ring(out)
        this.#settle(out)
        return this.#outlets.turnEnded()
      case 'engine':
        return this.#outside.take(input.engine, input.token, input.answer, out)
      case 'peer':
        if (!input.up) this.directory.peerDown(input.address, out)
        if (!input.up) this.#peerDown(input.address)
        return
    }
  }

  /** Cluster, permission, proof of the storage, and then the parts that receive it: all by the message table. */
  #onFrame(from: Address, frame: Frame, out: Effect[]): void {
    const { kind } = frame.message
    if (table[kind].from !== 'anyone' && !this.#belonging.shares(frame)) {
      this.drops.note('other-cluster', kind)
      this.#belonging.refuse(from, frame, out)
      return
    }
    if (table[kind].since > this.#belonging.version) return this.drops.note('version', kind)
    if (!this.#admission.permits(from, frame)) return this.drops.note('not-permitted', kind)
    const destinations = routes.get(kind) ?? []
    if (destinations.length === 0) return this.drops.note('no-receiver', kind)
    if (!this.#proof.isServing && destinations.some((destination) => untilProven[destination] === 'hold'))
      return this.#hold(from, frame)
    for (const destination of destinations) (this.#handlers[destination] as Handler<Destination>)(from, frame, out)
  }

  #makeHandlers(): Handlers {
    const nameOf = ({ envelope }: Frame) => envelope.from as ServerName
    return {
      cluster: (from, frame, out) => this.#onCluster(from, frame, out),
      proof: (from, frame, out) => this.#onProof(from, frame, out),
      directory: (from, frame, out) => this.#onDirectory(from, frame, out),
      engines: (from, { envelope }, out) => {
        const engines = this.#outside.states()
        send(out, from, { kind: 'engines', engines, decider: this.#deciders.founding }, envelope.token)
      },
      parts: (from, { envelope, message }, out) => {
        if (message.kind === 'forget') this.#parts.forget(from, envelope.token, message, out)
        else this.#parts.list(from, envelope.token, message, out)
      },
      finder: (from, frame, out) => this.#onFinder(from, frame, out),
      arbiter: (from, { envelope, message }, out) => {
        if (this.#isArbiter()) this.#arbiter.take(from, envelope.token, message, out)
      },
      proposer: (_from, frame, out) => this.#arbiters.take(nameOf(frame), frame.envelope.token, frame.message, out),
      coordinator: (from, frame, out) => {
        const { envelope, message } = frame
        if (message.kind === 'reconfigure') this.#changes.reconfigure(from, envelope.token, message, out)
        else this.#changes.take(nameOf(frame), envelope.token, message, out)
      },
      sequencer: (_from, frame, out) =>
        this.#replicas.get(frame.message.topic)?.answered(nameOf(frame), frame.message, out),
      audience: (from, _frame, out) => this.#audience.attend(from, out),
      member: (from, frame, out) => this.#onMember(from, frame, out),
    }
  }

  #onCluster(from: Address, { envelope, message }: Frame<MessageTo<'cluster'>>, out: Effect[]): void {
    const isWithoutCluster = this.#belonging.id === ''
    this.#belonging.take(from, envelope.token, message, out)
    if (isWithoutCluster && this.#belonging.id !== '' && this.#options.writtenTo !== undefined)
      this.#proof.joined(this.#witnesses, out)
  }

  #onProof(from: Address, { envelope, message }: Frame<MessageTo<'proof'>>, out: Effect[]): void {
    if (message.kind === 'shown') return this.#proof.shown(from, envelope.from as ServerName, message, out)
    // A process that is not known to be the only one under its id gets no answer, and asks again.
    if (this.#incarnations.meets(message.member, message.incarnation, out))
      this.#positions.answer(from, envelope.token, message, out)
  }

  #onDirectory(from: Address, { envelope, message }: Frame<MessageTo<'directory'>>, out: Effect[]): void {
    switch (message.kind) {
      case 'alive':
        return this.#onAlive(from, message, out)
      case 'directory':
        this.directory.learnLives(message.lives, out)
        return this.directory.told(message.servers, out)
      case 'list-servers':
        return send(out, from, this.directory.describe(this.#belonging.arbiters), envelope.token)
    }
  }

  #onFinder(from: Address, { envelope, message }: Frame<MessageTo<'finder'>>, out: Effect[]): void {
    switch (message.kind) {
      case 'locate':
        return this.#finder.locate(from, envelope.token, message, out)
      case 'list-topics':
        return this.#finder.list(from, envelope.token, message, out)
      case 'started':
        return this.#finder.started(envelope.from as ServerName, message, out)
    }
  }

  /** A message of one topic goes to its replica here; where there is none, the message table says what becomes of it. */
  #onMember(from: Address, frame: Frame<MessageTo<'member'>>, out: Effect[]): void {
    const { kind, topic, epoch } = frame.message
    let replica = this.#replicas.get(topic)
    if (replica === undefined) {
      const outcome = memberEntry(kind).phases.unknown
      if (outcome === 'drop') return this.drops.note('phase', kind)
      if (outcome === 'not-yet') {
        const refused = { kind: 'refused', topic, epoch, refusal: 'not-yet', detail: 'not served here' } as const
        return send(out, from, refused, frame.envelope.token)
      }
      replica = outcome === 'bring' ? this.#replica(topic) : new Replica(topic, this.#host, this.#limits, this.#touch)
    }
    this.#touched.add(replica)
    replica.take(from, frame, out)
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
    if (incarnation !== undefined) {
      if (!this.#incarnations.meets(member, incarnation, out)) return
      if (position !== undefined) this.#positions.heard(from, member.name, incarnation, position, out)
    }
    this.directory.onAlive(from, message, out)
  }

  #peerDown(address: Address): void {
    for (const replica of this.#replicas.values()) replica.peerDown(address)
  }

  #hold(from: Address, frame: Frame): void {
    const isFull = this.#held.length >= heldFramesMax || this.#heldBytes + frame.bytes.length > heldBytesMax
    if (isFull) return this.drops.note('waiting', frame.message.kind)
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
    if (!this.#hasBegun && this.#proof.isServing) {
      this.#hasBegun = true
      for (const replica of this.#replicas.values()) this.#touched.add(replica)
    }
    for (const replica of this.#touched) replica.settle(out)
    if (this.#touched.size > 0) this.#touched.clear()
  }

  #isArbiter(): boolean {
    return this.#belonging.arbiters.some((member) => member.name === this.#host.self.name)
  }

  #replica(topic: TopicName): Replica {
    let replica = this.#replicas.get(topic)
    if (replica === undefined) {
      replica = new Replica(topic, this.#host, this.#limits, this.#touch)
      this.#replicas.set(topic, replica)
    }
    return replica
  }

  #makeHost(): Host {
    const { self, random, store, sync = 'always' } = this.#options
    return {
      self,
      incarnation: random.below(0xffff_ffff),
      random,
      timers: this.#timers,
      nextToken: () => ++this.#token,
      addressOf: (member) => this.directory.addressOf(member),
      isAlive: (name) => this.directory.isAlive(name),
      isSettled: () => this.directory.settled,
      alive: () => this.directory.alive(),
      isFull: (member) => this.directory.fullAmong([member]).length > 0,
      isCutOff: () => this.directory.isCutOff,
      room: store ?? endlessRoom,
      audience: this.#audience,
      outlets: this.#outlets,
      drops: this.drops,
      sync,
      askDecider: (of, done, out) => this.#deciders.learn(of, done, out),
      askNewest: (topic, done, out) => {
        const found = (newest: Configuration | null, into: Effect[]) => {
          if (newest !== null) done(newest, into)
        }
        this.#arbiters.lookup(topic, { found, unanswered: () => {} }, out)
      },
      note: (configuration, done, out) => this.#arbiters.note(configuration, done, out),
      topicCount: () => this.#replicas.size,
      coordinate: (topic: TopicName, intent: Intent, out: Effect[]) => {
        const wedged = this.#replicas.get(topic)?.phase === 'wedged'
        this.#changes.finish(topic, intent, wedged, out)
      },
    }
  }
}
