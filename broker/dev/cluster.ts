/** A whole cluster in this process, for tests and experiments: real machines, real codec, memory instead of disk and network. */
import { randomUUID } from 'node:crypto'
import { type Client, type ConnectOptions, connect } from '../../client-sdk/index.ts'
import { type Decider, engineDecider } from '../../proto/decider.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { address } from '../../proto/ids.ts'
import { MemoryNetwork } from '../../proto/transport/memory.ts'
import { bootstrap } from '../bootstrap.ts'
import { MemoryEngine, type MemoryRegisters } from '../engines/memory.ts'
import type { TopicDefaults } from '../finder.ts'
import type { Limits } from '../host.ts'
import { MemoryStore } from '../log/memory-store.ts'
import { Server } from '../server.ts'

export interface ClusterOptions {
  /** Number of servers, called a, b, c …; 3 by default, at most 26. */
  readonly servers?: number
  readonly defaults?: TopicDefaults
  readonly limits?: Partial<Limits>
  /** Decision engines that all servers have, by their ids. */
  readonly engines?: Readonly<Record<string, MemoryRegisters>>
  /** The one of them that decides about new topics, instead of the arbiters. */
  readonly founding?: string
}

interface Node {
  readonly id: string
  readonly storage: string
  store: MemoryStore
  server: Server | null
}

/** A running cluster. Made by `createCluster`. */
export class Cluster implements AsyncDisposable {
  readonly network: MemoryNetwork = new MemoryNetwork()
  readonly #options: ClusterOptions
  readonly #nodes = new Map<string, Node>()
  readonly #clients = new Set<Client>()

  constructor(options: ClusterOptions) {
    this.#options = options
  }

  /** Ids of all servers, running or not. */
  get servers(): string[] {
    return [...this.#nodes.keys()]
  }

  async boot(): Promise<void> {
    const count = this.#options.servers ?? 3
    if (!Number.isInteger(count) || count < 1 || count > 26) {
      throw new EpochcastError('EC_BAD_ARGUMENT', `a cluster has 1 to 26 servers here, not ${count}`)
    }
    const ids = Array.from({ length: count }, (_, at) => String.fromCharCode(97 + at))
    for (const id of ids) await this.addServer(id)
    const { founding } = this.#options
    const dial = this.network.attach.bind(this.network)
    await bootstrap({
      servers: ids.map(addressOf),
      dial: (name, handler) => dial(address(`client:${name}`), handler),
      ...(founding !== undefined && { decider: this.#founding(founding) }),
    })
    await this.#until(() => [...this.#nodes.values()].every((node) => (node.server?.aliveCount ?? count) >= count))
  }

  /** Connects a client; it is closed with the cluster. */
  async connect(options: ConnectOptions = {}): Promise<Client> {
    const url = `epochcast://${this.servers.map(addressOf).join(',')}`
    const client = await connect(url, {
      ...options,
      transport: (name, handler) => this.network.attach(address(`client:${name}`), handler),
    })
    this.#clients.add(client)
    return client
  }

  /** Starts one more server; it joins the cluster. */
  async addServer(id: string): Promise<void> {
    const node: Node = { id, storage: randomUUID(), store: new MemoryStore(), server: null }
    this.#nodes.set(id, node)
    await this.#start(node)
  }

  /** The server is gone at once, and with it everything that it had not flushed. */
  async kill(id: string): Promise<void> {
    const node = this.#node(id)
    this.network.detach(addressOf(id))
    node.store = node.store.reopen()
    const server = node.server
    node.server = null
    await server?.stop()
  }

  /** Starts a killed server again on what it had flushed. */
  async restart(id: string): Promise<void> {
    const node = this.#node(id)
    if (node.server === null) await this.#start(node)
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close()
    for (const node of this.#nodes.values()) await node.server?.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #start(node: Node): Promise<void> {
    const at = addressOf(node.id)
    const seeds = this.servers.filter((id) => id !== node.id).map(addressOf)
    const { defaults, limits, engines } = this.#options
    node.server = await Server.start({
      id: node.id,
      storage: node.storage,
      store: node.store,
      address: at,
      seeds,
      listen: async (handler) => this.network.attach(at, handler),
      ...(defaults && { defaults }),
      ...(limits && { limits }),
      engines: Object.entries(engines ?? {}).map(([id, registers]) => new MemoryEngine(id, registers)),
    })
  }

  #founding(id: string): Decider {
    const registers = this.#options.engines?.[id]
    if (registers === undefined) throw new EpochcastError('EC_BAD_ARGUMENT', `no engine is called ${id}`)
    return engineDecider(id, registers.instance)
  }

  #node(id: string): Node {
    const node = this.#nodes.get(id)
    if (node === undefined) throw new EpochcastError('EC_UNKNOWN_SERVER', `no server is called ${id}`)
    return node
  }

  async #until(isTrue: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000
    while (!isTrue()) {
      if (performance.now() > deadline) throw new EpochcastError('EC_TIMEOUT', 'the servers did not find each other')
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
}

/** Starts a cluster in this process, in well under a second. */
export async function createCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(options)
  await cluster.boot()
  return cluster
}

function addressOf(id: string) {
  return address(`server-${id}:1`)
}
