/**
 * A deterministic world in virtual time: the real machines of servers and clients, driven by the real loop, with the real
 * codec, over a network and disks that the test controls. One seed, one history. No event happens outside of the queue, so a
 * world is synchronous: `runQuiet` returns when nothing is left to happen but the passing of time.
 */

import type { TopicDefaults } from '../../broker/finder.ts'
import type { Limits } from '../../broker/host.ts'
import { ServerMachine } from '../../broker/server-machine.ts'
import { engineDecider } from '../../proto/decider.ts'
import {
  type Address,
  address,
  type ClusterId,
  clusterId,
  type ServerName,
  serverId,
  serverName,
} from '../../proto/ids.ts'
import { tickMs } from '../../proto/machine/contract.ts'
import type { EngineCall } from '../../proto/machine/engine-port.ts'
import { Loop, type LoopTimers } from '../../proto/machine/loop.ts'
import type { Clock, Random } from '../../proto/machine/ports.ts'
import { encodeEnvelope, messageBytes } from '../../proto/wire/codec.ts'
import type { ClusterRecord, GetLevel, Message } from '../../proto/wire/messages.ts'
import { seededRandom } from '../seeded-random.ts'
import { ClientNode } from './client-node.ts'
import { EventQueue } from './event-queue.ts'
import { matches, Network, type NetworkEvent, type Parcel, type Selection } from './network.ts'
import { Operation, type OperationKind, type Step } from './operations.ts'
import { type DiskRecord, VirtualDisk } from './virtual-disk.ts'
import { VirtualEngine } from './virtual-engine.ts'

export type WorldEvent =
  | { readonly what: NetworkEvent; readonly at: number; readonly parcel: Parcel }
  | { readonly what: 'append'; readonly at: number; readonly server: ServerName; readonly record: DiskRecord }
  | {
      readonly what: 'flush'
      readonly at: number
      readonly server: ServerName
      readonly records: readonly DiskRecord[]
    }
  | { readonly what: 'start' | 'crash'; readonly at: number; readonly server: ServerName }
  /** A server stopped by itself. */
  | { readonly what: 'fatal'; readonly at: number; readonly server: ServerName; readonly error: unknown }
  /** A server asks a decision engine outside of the cluster. */
  | {
      readonly what: 'engine'
      readonly at: number
      readonly server: ServerName
      readonly engine: string
      readonly call: EngineCall
    }
  | { readonly what: 'operation'; readonly at: number; readonly operation: Operation; readonly step: Step }

/** Looks at everything that happens: a trace, a checker. */
export type Watcher = (event: WorldEvent) => void

export interface WorldOptions {
  readonly seed: number
  readonly limits?: Partial<Limits>
  readonly defaults?: TopicDefaults
  /** Milliseconds that a frame takes; 0 without it, so that time passes in ticks alone. */
  readonly latency?: (parcel: Parcel) => number
  /** Milliseconds that a flush takes; 0 without it. */
  readonly flushTime?: (server: string) => number
  /** What people's clocks show; no decision may depend on it. */
  readonly clock?: (id: string, now: number) => number
  /** Keeps every event in `trace`; true by default. */
  readonly keepTrace?: boolean
}

/** A server that crashes by itself at a certain frame of its own. */
interface CrashPoint {
  readonly server: string
  readonly selection: Selection
  /** The frame leaves first, or it does not leave any more. */
  readonly moment: 'before' | 'after'
  remaining: number
}

const explicitTopics: TopicDefaults = { autoCreate: false, template: { members: [] } }
const eventsMax = 100_000

export class World {
  readonly queue: EventQueue = new EventQueue()
  readonly network: Network
  readonly trace: WorldEvent[] = []
  readonly watchers: Watcher[] = []
  readonly servers = new Map<string, ServerNode>()
  readonly clients = new Map<string, ClientNode>()
  readonly operations: Operation[] = []
  /** Decision engines outside of the cluster, and the servers that have them. */
  readonly engines = new Map<string, { readonly engine: VirtualEngine; readonly servers: readonly string[] | null }>()
  readonly options: WorldOptions
  cluster: ClusterRecord | null = null
  readonly timers: LoopTimers
  #storages = 0
  #streams = 0
  #crashPoints: CrashPoint[] = []

  constructor(options: WorldOptions) {
    this.options = options
    if (options.keepTrace !== false) this.watchers.push((event) => this.trace.push(event))
    this.timers = {
      soon: (run) => {
        this.queue.after(0, run)
      },
      every: (milliseconds, run) => this.queue.every(milliseconds, run),
    }
    this.network = new Network({
      queue: this.queue,
      event: (what, parcel) => this.tell({ what, at: this.queue.now, parcel }),
      latency: (parcel) => options.latency?.(parcel) ?? 0,
      mayLeave: (parcel) => this.#mayLeave(parcel),
      hasLeft: (parcel) => this.#hasLeft(parcel),
    })
  }

  get now(): number {
    return this.queue.now
  }

  tell(event: WorldEvent): void {
    for (const watcher of this.watchers) watcher(event)
  }

  /** A stream of numbers of its own for everybody, and a new one for every process. */
  newRandom(): Random {
    return seededRandom(Math.imul(this.options.seed + 1, 0x9e37_79b1) + this.#streams++ * 0x632b_e5ab)
  }

  clockOf(id: string): Clock {
    const { clock } = this.options
    return { nowMs: () => clock?.(id, this.queue.now) ?? 1_700_000_000_000 + this.queue.now }
  }

  newStorage(): string {
    return `00000000-0000-4000-8000-${String(++this.#storages).padStart(12, '0')}`
  }

  /** An engine that these servers have from their start; all of them where none is named. */
  addEngine(id: string, servers: readonly string[] | null = null): VirtualEngine {
    const engine = new VirtualEngine(id, this.queue)
    this.engines.set(id, { engine, servers })
    return engine
  }

  engine(id: string): VirtualEngine {
    const known = this.engines.get(id)
    if (known === undefined) throw new Error(`no engine is called ${id}`)
    return known.engine
  }

  enginesOf(server: string): VirtualEngine[] {
    const has = [...this.engines.values()].filter(({ servers }) => servers === null || servers.includes(server))
    return has.map(({ engine }) => engine)
  }

  /**
   * Starts servers and makes a cluster of them.
   * @param founding engine that decides about new topics, instead of the arbiters
   */
  bootstrap(ids: readonly string[], arbiters: readonly string[], founding: string | null = null): void {
    for (const id of ids)
      this.servers.set(
        id,
        new ServerNode(
          this,
          id,
          ids.filter((one) => one !== id),
        ),
      )
    const named = arbiters.map((id) => this.server(id).member)
    const decider = founding === null ? null : engineDecider(founding, this.engine(founding).instance)
    const id = clusterId('00000000-0000-4000-8000-0000000000c1')
    this.cluster = { id, arbiters: named, ...(decider && { decider }) }
    for (const id of ids) this.inject('bootstrap', id, { kind: 'join', cluster: this.cluster }, '')
    this.runQuiet()
    this.tick(25)
  }

  server(id: string): ServerNode {
    const server = this.servers.get(id)
    if (server === undefined) throw new Error(`no server is called ${id}`)
    return server
  }

  client(id: string): ClientNode {
    const known = this.clients.get(id)
    if (known !== undefined) return known
    const client = new ClientNode({
      id: address(id),
      seeds: [...this.servers.keys()].map(address),
      network: this.network,
      timers: this.timers,
      random: this.newRandom(),
      clock: this.clockOf(id),
      newOperation: (kind, topic, label, level) => this.#newOperation(kind, id, topic, label, level),
    })
    this.clients.set(id, client)
    this.runQuiet()
    return client
  }

  /** The process is gone, and nobody waits for what it asked for. */
  killClient(id: string): void {
    this.clients.get(id)?.kill()
    this.clients.delete(id)
    for (const operation of this.operations) if (operation.client === id) operation.over = true
  }

  /** Brings a message from nowhere: bootstrap, and what a broken or foreign peer might say. */
  inject(
    from: string,
    to: string,
    message: Message,
    cluster: ClusterId | '' = this.cluster?.id ?? '',
    name = from,
  ): void {
    const bytes = Buffer.concat([encodeEnvelope({ cluster, from: name, token: 0 }), messageBytes(message)])
    this.network.inject(address(from), address(to), bytes)
  }

  /** Sends frames again that were sent at any time. @returns how many */
  replay(selection: Selection): number {
    const sent = this.trace.flatMap((event) =>
      event.what === 'send' && matches(selection, event.parcel) ? [event.parcel] : [],
    )
    for (const parcel of sent) this.network.replay(parcel)
    return sent.length
  }

  /** The server crashes at the `count`-th frame of this kind that it sends from now on. */
  crashAt(server: string, moment: 'before' | 'after', selection: Selection, count = 1): void {
    this.#crashPoints.push({ server, moment, selection: { ...selection, from: [server] }, remaining: count })
  }

  /** Until nothing is left to happen but the passing of time. */
  runQuiet(): void {
    let count = 0
    while (!this.queue.quiet) {
      if (!this.queue.step(Number.POSITIVE_INFINITY)) return
      if (++count > eventsMax) throw new Error('the world does not come to rest')
    }
  }

  /** Lets so many ticks pass, and what they cause happen. */
  tick(count = 1): void {
    this.runUntil(this.queue.now + count * tickMs)
    this.runQuiet()
  }

  runUntil(moment: number): void {
    while (this.queue.step(moment));
    this.queue.now = Math.max(this.queue.now, moment)
  }

  /** A server's name as people say it: a second storage of the same id has a dash. */
  short(name: ServerName): string {
    const id = name.slice(0, name.indexOf('@'))
    const storages = this.servers.get(id)?.storages ?? []
    return id + "'".repeat(Math.max(0, storages.indexOf(name.slice(name.indexOf('@') + 1))))
  }

  #newOperation(kind: OperationKind, client: string, topic: string, label: string, level?: GetLevel): Operation {
    const of = { number: this.operations.length, kind, client, topic, label, level: level ?? null }
    const operation = new Operation(of, (one, step) =>
      this.tell({ what: 'operation', at: this.queue.now, operation: one, step }),
    )
    this.operations.push(operation)
    return operation
  }

  #mayLeave(parcel: Parcel): boolean {
    const point = this.#crashPoints.find((one) => one.moment === 'before' && matches(one.selection, parcel))
    if (point === undefined || --point.remaining > 0) return true
    this.#crashPoints = this.#crashPoints.filter((one) => one !== point)
    this.server(point.server).kill()
    return false
  }

  #hasLeft(parcel: Parcel): void {
    const point = this.#crashPoints.find((one) => one.moment === 'after' && matches(one.selection, parcel))
    if (point === undefined || --point.remaining > 0) return
    this.#crashPoints = this.#crashPoints.filter((one) => one !== point)
    this.server(point.server).kill()
  }
}

/** One server: its storages, and the process that runs on the newest of them. */
export class ServerNode {
  readonly id: string
  /** Every storage it ever had; the last is the present one. */
  readonly storages: string[] = []
  readonly #world: World
  readonly #seeds: readonly Address[]
  #records: readonly DiskRecord[] = []
  #backup: readonly DiskRecord[] | null = null
  #running: { readonly machine: ServerMachine; readonly loop: Loop; readonly disk: VirtualDisk } | null = null
  #holdsFlushes = false
  #heldFlushes: (() => void)[] = []

  constructor(world: World, id: string, seeds: readonly string[]) {
    this.id = id
    this.#world = world
    this.#seeds = seeds.map(address)
    this.storages.push(world.newStorage())
    this.start()
  }

  get name(): ServerName {
    return serverName(serverId(this.id), this.storages[this.storages.length - 1] ?? '')
  }

  get member() {
    return { name: this.name, address: address(this.id) }
  }

  get alive(): boolean {
    return this.#running !== null
  }

  /** Null while it is dead. */
  get machine(): ServerMachine | null {
    return this.#running?.machine ?? null
  }

  get disk(): VirtualDisk | null {
    return this.#running?.disk ?? null
  }

  start(): void {
    if (this.#running !== null) return
    const world = this.#world
    const { name } = this
    const disk: VirtualDisk = new VirtualDisk(
      {
        appended: (record) => world.tell({ what: 'append', at: world.now, server: name, record }),
        flushed: (records) => world.tell({ what: 'flush', at: world.now, server: name, records }),
        flushing: (end) => this.#flushing(end),
      },
      this.#records,
    )
    const machine = new ServerMachine({
      self: { name, address: address(this.id) },
      seeds: this.#seeds,
      random: world.newRandom(),
      clock: world.clockOf(this.id),
      defaults: world.options.defaults ?? explicitTopics,
      storeFull: () => disk.full,
      engines: world.enginesOf(this.id).map(({ id }) => ({ id, type: 'virtual' })),
      flushedTo: () => disk.flushedTo,
      ...(world.options.limits && { limits: world.options.limits }),
    })
    disk.replay((kind, body, position) => machine.recover(kind, body, position))
    const loop = new Loop({
      machine,
      name,
      cluster: () => machine.cluster,
      store: disk,
      engines: {
        ask: (engine, call, answer) => {
          world.tell({ what: 'engine', at: world.now, server: name, engine, call })
          world.engine(engine).ask(call, answer)
        },
      },
      timers: world.timers,
      onFatal: (error) => {
        world.tell({ what: 'fatal', at: world.now, server: name, error })
        this.kill()
      },
    })
    this.#running = { machine, loop, disk }
    world.tell({ what: 'start', at: world.now, server: name })
    loop.start(world.network.attach(address(this.id), loop))
  }

  /** Gone at once, and with it what it had not flushed. */
  kill(): void {
    const running = this.#running
    if (running === null) return
    this.#running = null
    this.#heldFlushes = []
    this.#records = running.disk.crash()
    running.loop.stop()
    this.#world.network.detach(address(this.id))
    this.#world.tell({ what: 'crash', at: this.#world.now, server: this.name })
  }

  /** Comes back under the same id with an empty disk. */
  loseDisk(): void {
    this.kill()
    this.#records = []
    this.storages.push(this.#world.newStorage())
  }

  /** Copies what is on the disk now. */
  backUp(): void {
    this.#backup = this.#running?.disk.records.slice(0, this.#running.disk.flushedCount) ?? this.#records
  }

  /** Comes back with the copy that was made before: the same storage, as it was then. */
  restoreDisk(): void {
    if (this.#backup === null) throw new Error(`nothing was backed up of server ${this.id}`)
    this.kill()
    this.#records = this.#backup
  }

  /** Flushes do not end until they are released. */
  holdFlushes(): void {
    this.#holdsFlushes = true
  }

  releaseFlushes(): void {
    this.#holdsFlushes = false
    const held = this.#heldFlushes
    this.#heldFlushes = []
    for (const end of held) this.#world.queue.after(0, end)
  }

  #flushing(end: () => void): void {
    if (this.#holdsFlushes) this.#heldFlushes.push(end)
    else this.#world.queue.after(this.#world.options.flushTime?.(this.id) ?? 0, end)
  }
}
