/**
 * A deterministic world in virtual time: the real machines of servers and clients, driven by the real loop, with the real
 * codec, over a network and disks that the test controls. One seed, one history. No event happens outside of the queue, so a
 * world is synchronous: `runQuiet` returns when nothing is left to happen but the passing of time.
 */

import type { TopicDefaults } from '../../broker/finder.ts'
import type { Limits } from '../../broker/host.ts'
import { engineDecider } from '../../proto/decider.ts'
import { address, type ClusterId, clusterId, type ServerName } from '../../proto/ids.ts'
import { tickMs } from '../../proto/machine/contract.ts'
import type { LoopTimers } from '../../proto/machine/loop.ts'
import type { Clock, Random } from '../../proto/machine/ports.ts'
import type { Sync } from '../../proto/sync.ts'
import { encodeEnvelope, messageBytes } from '../../proto/wire/codec.ts'
import type { ClusterRecord, GetLevel, Message } from '../../proto/wire/messages.ts'
import { seededRandom } from '../seeded-random.ts'
import { ClientNode } from './client-node.ts'
import { EventQueue } from './event-queue.ts'
import type { PointHook, Watcher, WorldEvent } from './events.ts'
import { matches, Network, type Parcel, type Selection } from './network.ts'
import { Operation, type OperationKind } from './operations.ts'
import { ServerNode } from './server-node.ts'
import { VirtualEngine } from './virtual-engine.ts'

export interface WorldOptions {
  readonly seed: number
  readonly limits?: Partial<Limits>
  readonly defaults?: TopicDefaults
  /** Milliseconds that a frame takes; 0 without it, so that time passes in ticks alone. */
  readonly latency?: (parcel: Parcel) => number
  /** Milliseconds that a flush takes; 0 without it. */
  readonly flushTime?: (server: string) => number
  /** When servers flush; `always` without it. */
  readonly sync?: (server: string) => Sync
  /** What people's clocks show; no decision may depend on it. */
  readonly clock?: (id: string, now: number) => number
  /** Keeps every event in `trace`; true by default. */
  readonly keepTrace?: boolean
  /** Delay of every copy of a frame that arrives, none for a loss; null leaves it to the rules. */
  readonly fate?: (parcel: Parcel) => readonly number[] | null
  /** How fast the time of a process goes; 1 by default. */
  readonly drift?: (id: string) => number
  /**
   * `records` (default): a list of records that keeps what was flushed, everything synchronous. `segments`: the production
   * log on a directory that loses unflushed sectors; such a world moves with `advance` alone.
   */
  readonly disks?: 'records' | 'segments'
  /** Streams by name, so that one process less does not shift those of the others. */
  readonly streamFor?: (name: string) => Random
  /** Also what disks do passes `onPoint`. */
  readonly points?: boolean
  /** Limit of events without rest; a world that exceeds it is broken. */
  readonly eventsMax?: number
}

/** A server that crashes by itself at a certain frame of its own. */
interface CrashPoint {
  readonly server: string
  readonly selection: Selection
  /** The frame leaves first, or it does not leave any more. */
  readonly moment: 'before' | 'after'
  remaining: number
}

const eventsMaxDefault = 100_000
const [firstWritesMs, foundingMs] = [60, 250]

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
  /** Asked at every point where a fault can be placed. */
  onPoint: PointHook | null = null
  /** Promises of a log may have moved: they come to rest before the next event. */
  restless = false
  #storages = 0
  #streams = 0
  readonly #processes = new Map<string, number>()
  #crashPoints: CrashPoint[] = []

  constructor(options: WorldOptions) {
    this.options = options
    if (options.keepTrace !== false) this.watchers.push((event) => this.trace.push(event))
    this.timers = {
      soon: (run) => {
        this.queue.after(0, run)
      },
      after: (milliseconds, run) => this.queue.later(milliseconds, run),
      nowMs: () => this.queue.now,
    }
    this.network = new Network({
      queue: this.queue,
      event: (what, parcel) => this.tell({ what, at: this.queue.now, parcel }),
      latency: (parcel) => options.latency?.(parcel) ?? 0,
      ...(options.fate && { fate: options.fate }),
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
  newRandom(owner: string): Random {
    const { streamFor } = this.options
    if (streamFor !== undefined) {
      const number = (this.#processes.get(owner) ?? 0) + 1
      this.#processes.set(owner, number)
      return streamFor(`${owner} ${number}`)
    }
    return seededRandom(Math.imul(this.options.seed + 1, 0x9e37_79b1) + this.#streams++ * 0x632b_e5ab)
  }

  clockOf(id: string): Clock {
    const { clock } = this.options
    return { nowMs: () => clock?.(id, this.queue.now) ?? 1_700_000_000_000 + this.queue.now }
  }

  /** Time of one process. */
  timersOf(id: string): LoopTimers {
    const drift = this.options.drift?.(id) ?? 1
    if (drift === 1) return this.timers
    return {
      soon: this.timers.soon,
      after: (milliseconds, run) => this.queue.later(milliseconds * drift, run),
      nowMs: () => this.queue.now / drift,
    }
  }

  newStorage(): string {
    return `00000000-0000-4000-8000-${String(++this.#storages).padStart(12, '0')}`
  }

  /** An engine that these servers have from their start; all of them where none is named. */
  addEngine(id: string, servers: readonly string[] | null = null): VirtualEngine {
    const engine = new VirtualEngine(id, this.queue, (register, value) =>
      this.tell({ what: 'decided', at: this.queue.now, engine: id, register, value }),
    )
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
    this.#makeServers(ids)
    this.#makeCluster(arbiters, founding)
    this.runQuiet()
    this.tick(25)
  }

  /** The same for a world that moves with `advance`. */
  async found(ids: readonly string[], arbiters: readonly string[], founding: string | null = null): Promise<void> {
    this.#makeServers(ids)
    // What they write first takes a few flushes.
    await this.advance(this.now + firstWritesMs)
    this.#makeCluster(arbiters, founding)
    await this.advance(this.now + foundingMs)
  }

  #makeServers(ids: readonly string[]): void {
    for (const id of ids) {
      const others = ids.filter((one) => one !== id)
      this.servers.set(id, new ServerNode(this, id, others))
    }
  }

  #makeCluster(arbiters: readonly string[], founding: string | null = null): void {
    const named = arbiters.map((id) => this.server(id).member)
    const decider = founding === null ? null : engineDecider(founding, this.engine(founding).instance)
    const id = clusterId('00000000-0000-4000-8000-0000000000c1')
    this.cluster = { id, arbiters: named, ...(decider && { decider }) }
    for (const id of this.servers.keys()) this.inject('bootstrap', id, { kind: 'join', cluster: this.cluster }, '')
  }

  server(id: string): ServerNode {
    const server = this.servers.get(id)
    if (server === undefined) throw new Error(`no server is called ${id}`)
    return server
  }

  /** @param settle lets everything that it says at first happen at once */
  client(id: string, settle = true): ClientNode {
    const known = this.clients.get(id)
    if (known !== undefined) return known
    const client = new ClientNode({
      id: address(id),
      seeds: [...this.servers.keys()].map(address),
      network: this.network,
      timers: this.timersOf(id),
      random: this.newRandom(id),
      clock: this.clockOf(id),
      newOperation: (kind, topic, label, level) => this.#newOperation(kind, id, topic, label, level),
    })
    this.clients.set(id, client)
    if (settle) this.runQuiet()
    return client
  }

  /** The process is gone, and nobody waits for what it asked for. */
  killClient(id: string): void {
    if (!this.clients.has(id)) return
    this.clients.get(id)?.kill()
    this.clients.delete(id)
    this.tell({ what: 'gone', at: this.queue.now, client: id })
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

  /** Sends frames again that were sent at any time. @returns the frames */
  replay(selection: Selection): readonly Parcel[] {
    const sent = this.trace.flatMap((event) =>
      event.what === 'send' && matches(selection, event.parcel) ? [event.parcel] : [],
    )
    for (const parcel of sent) this.network.replay(parcel)
    return sent
  }

  /**
   * The server crashes at the `count`-th frame of this kind that it sends from now on.
   * @returns whether it has not done so yet
   */
  crashAt(server: string, moment: 'before' | 'after', selection: Selection, count = 1): () => boolean {
    const point = { server, moment, selection: { ...selection, from: [server] }, remaining: count }
    this.#crashPoints.push(point)
    return () => this.#crashPoints.includes(point)
  }

  /** Until nothing is left to happen but the passing of time. */
  runQuiet(): void {
    let count = 0
    while (!this.queue.quiet) {
      if (!this.queue.step(Number.POSITIVE_INFINITY)) return
      if (++count > (this.options.eventsMax ?? eventsMaxDefault)) throw new Error('the world does not come to rest')
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

  /** The same where disks have promises: until `moment`, each event comes to rest before the next. */
  async advance(moment: number): Promise<void> {
    for (;;) {
      if (this.restless) {
        this.restless = false
        await promisesAtRest()
        continue
      }
      if (!this.queue.step(moment)) break
    }
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
    if (this.onPoint?.({ moment: 'before', what: 'send', id: parcel.from, kind: parcel.kind }) === false) return false
    if (this.#crashPoints.length === 0) return true
    const point = this.#crashPoints.find((one) => one.moment === 'before' && matches(one.selection, parcel))
    if (point === undefined || --point.remaining > 0) return true
    this.#crashPoints = this.#crashPoints.filter((one) => one !== point)
    this.server(point.server).kill()
    return false
  }

  #hasLeft(parcel: Parcel): void {
    this.onPoint?.({ moment: 'after', what: 'send', id: parcel.from, kind: parcel.kind })
    if (this.#crashPoints.length === 0) return
    const point = this.#crashPoints.find((one) => one.moment === 'after' && matches(one.selection, parcel))
    if (point === undefined || --point.remaining > 0) return
    this.#crashPoints = this.#crashPoints.filter((one) => one !== point)
    this.server(point.server).kill()
  }
}

/** Until no promise has anything left to do: the log's own chains end within one turn of the process. */
function promisesAtRest(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}
