/** One server: its data directory, its transport, and the loop that drives its machine. */
import { randomInt } from 'node:crypto'
import type { EpochcastError } from '../proto/errors.ts'
import { type Address, type ClusterId, type ServerId, type ServerName, serverId, serverName } from '../proto/ids.ts'
import { Loop } from '../proto/machine/loop.ts'
import type { Store } from '../proto/machine/store.ts'
import type { Shortage } from '../proto/shortage.ts'
import type { Transport } from '../proto/transport/port.ts'
import { EngineClients } from './engines/clients.ts'
import type { TopicDefaults } from './finder.ts'
import { ServerMachine } from './server-machine.ts'
import { type ServerOptions, serverOptions } from './server-options.ts'
import { ShortageWatch } from './shortage-watch.ts'

export type { ServerOptions } from './server-options.ts'

/** Milliseconds between two looks at what this server is short of. */
const shortageLookMs = 100

const anyTopic: TopicDefaults = { autoCreate: true, template: { members: [] } }

export class Server implements AsyncDisposable {
  readonly id: ServerId
  readonly name: ServerName
  readonly address: Address
  readonly #machine: ServerMachine
  readonly #loop: Loop
  readonly #store: Store
  readonly #engines: EngineClients
  readonly #told: ServerOptions['onFatal']
  readonly #shortageWatch: ShortageWatch
  #transport: Transport | null = null
  #watching: NodeJS.Timeout | undefined
  #isStopped = false

  private constructor(options: ServerOptions) {
    this.id = serverId(options.id)
    this.name = serverName(this.id, options.storage)
    this.address = options.address
    this.#store = options.store
    this.#told = options.onFatal
    this.#engines = new EngineClients(options.engines ?? [])
    const clock = options.clock ?? { nowMs: () => performance.timeOrigin + performance.now() }
    this.#machine = new ServerMachine({
      self: { name: this.name, address: this.address },
      seeds: options.seeds ?? [],
      random: options.random ?? { below: (bound) => randomInt(bound) },
      clock,
      defaults: options.defaults ?? anyTopic,
      store: this.#store,
      engines: this.#engines.engines,
      writtenTo: () => this.#store.writtenTo,
      shortages: () => this.shortages,
      waitingBytes: (to) => this.#loop.waitingBytes(to),
      sync: options.sync ?? 'always',
      ...(options.onJoined && { tellJoined: options.onJoined }),
      ...(options.limits && { limits: options.limits }),
    })
    this.#shortageWatch = new ShortageWatch(options.onShortage ?? (() => {}))
    this.#loop = new Loop({
      machine: this.#machine,
      name: this.name,
      cluster: () => this.#machine.cluster,
      store: this.#store,
      engines: this.#engines,
      onFatal: (error) => this.#onFatal(error),
    })
  }

  /**
   * Reads what is on disk, then listens.
   * @throws EpochcastError `EC_LOG_DAMAGED`, `EC_DISK_FAILED`, `EC_BAD_ARGUMENT` for options, and when the address is in use
   */
  static async start(given: ServerOptions): Promise<Server> {
    const options = serverOptions(given)
    const server = new Server(options)
    await server.#store.recover((kind, body, position) => server.#machine.recover(kind, body, position))
    server.#transport = await options.listen(server.#loop)
    server.#loop.start(server.#transport)
    server.#watching = setInterval(() => server.#shortageWatch.look(server.shortages), shortageLookMs)
    server.#watching.unref()
    return server
  }

  get cluster(): ClusterId | '' {
    return this.#machine.cluster
  }

  /** What this server is short of now. */
  get shortages(): readonly Shortage[] {
    const short: Shortage[] = []
    if (this.#store.full) short.push('space')
    if (this.#transport?.isCrowded === true) short.push('descriptors')
    return short
  }

  /** The arbiter that had the id of this server and lost its disk, where this server came in its place: `id@storage`. */
  get lostArbiter(): ServerName | null {
    return this.#machine.lostArbiter?.name ?? null
  }

  /** Servers that this one knows and that answer, itself included. */
  get aliveCount(): number {
    return this.#machine.directory.alive().length
  }

  /** Stops speaking at once, for a reason from outside of the protocol; `stop` still has to be called. */
  fail(error: EpochcastError): void {
    if (this.#isStopped) return
    this.#loop.stop()
    this.#onFatal(error)
  }

  /** Stops speaking, and closes the log once what is being flushed is on disk. */
  async stop(): Promise<void> {
    if (this.#isStopped) return
    this.#isStopped = true
    clearInterval(this.#watching)
    this.#loop.stop()
    await this.#transport?.close()
    await this.#engines.close()
    await this.#store.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  #onFatal(error: unknown): void {
    clearInterval(this.#watching)
    void this.#transport?.close()
    const reason = error instanceof Error ? error : new Error(String(error))
    if (this.#told === undefined) throw reason
    this.#told(reason)
  }
}
