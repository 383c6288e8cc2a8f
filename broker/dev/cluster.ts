/** A whole cluster in this process, for tests and experiments: real machines, real codec, memory instead of disk and network. */
import { randomUUID } from 'node:crypto'
import { type Client, connect } from '../../client-sdk/index.ts'
import { type Decider, engineDecider } from '../../proto/decider.ts'
import { refusal } from '../../proto/door/refusal.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { address, serverId } from '../../proto/ids.ts'
import { MemoryNetwork } from '../../proto/transport/memory.ts'
import { bootstrap } from '../bootstrap.ts'
import { MemoryEngine } from '../engines/memory.ts'
import { MemoryStore } from '../log/memory-store.ts'
import { Server } from '../server.ts'
import {
  type ClusterConnectOptions,
  type ClusterOptions,
  clusterConnectOptions,
  clusterOptions,
} from './cluster-options.ts'

export type { ClusterConnectOptions, ClusterOptions } from './cluster-options.ts'

interface Node {
  readonly id: string
  readonly storage: string
  store: MemoryStore
  server: Server | null
  /** Whether its server runs, or is on its way: one at a time. */
  isUp: boolean
}

/** A running cluster. Made by `createCluster`. */
export class Cluster implements AsyncDisposable {
  readonly network: MemoryNetwork = new MemoryNetwork()
  readonly #options: ClusterOptions
  readonly #nodes = new Map<string, Node>()
  readonly #clients = new Set<Client>()

  /** @throws EpochcastError `EC_BAD_ARGUMENT` */
  constructor(options: ClusterOptions) {
    this.#options = clusterOptions(options)
  }

  /** Ids of all servers, running or not. */
  get servers(): string[] {
    return [...this.#nodes.keys()]
  }

  /** Starts the servers and makes them a cluster; where that fails, none of them goes on. */
  async boot(): Promise<void> {
    try {
      await this.#boot(this.#options.servers ?? 3)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  async #boot(count: number): Promise<void> {
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

  /**
   * Connects a client; it is closed with the cluster.
   * @throws EpochcastError as `connect` of the SDK does
   */
  async connect(given: ClusterConnectOptions = {}): Promise<Client> {
    const options = clusterConnectOptions(given)
    const url = `epochcast://${this.servers.map(addressOf).join(',')}`
    const client = await connect(url, {
      ...options,
      transport: (name, handler) => this.network.attach(address(`client:${name}`), handler),
    })
    this.#clients.add(client)
    return client
  }

  /**
   * Starts one more server, on an empty disk; it joins the cluster. Under the id of a server that was killed it comes in its place.
   * @throws EpochcastError `EC_BAD_ARGUMENT` where the id is none, or that of a server that runs
   */
  async addServer(id: string): Promise<void> {
    const known = this.#nodes.get(serverId(id))
    if (known?.isUp === true) throw refusal(`server ${id} runs already`, `another id, or first: kill('${id}')`)
    const node: Node = { id, storage: randomUUID(), store: new MemoryStore(), server: null, isUp: false }
    this.#nodes.set(id, node)
    await this.#start(node)
  }

  /**
   * The server is gone at once, and with it everything that it had not flushed.
   * @throws EpochcastError `EC_UNKNOWN_SERVER`, `EC_BAD_ARGUMENT` for what is no id
   */
  async kill(id: string): Promise<void> {
    const node = this.#node(id)
    this.network.detach(addressOf(id))
    node.store = node.store.reopen()
    const server = node.server
    node.server = null
    node.isUp = false
    await server?.stop()
  }

  /** Starts a killed server again on what it had flushed. @throws EpochcastError as `kill` does */
  async restart(id: string): Promise<void> {
    const node = this.#node(id)
    if (!node.isUp) await this.#start(node)
  }

  async close(): Promise<void> {
    for (const client of this.#clients) await client.close()
    for (const node of this.#nodes.values()) await node.server?.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #start(node: Node): Promise<void> {
    node.isUp = true
    try {
      node.server = await this.#started(node)
    } catch (error) {
      node.isUp = false
      throw error
    }
  }

  #started(node: Node): Promise<Server> {
    const at = addressOf(node.id)
    const seeds = this.servers.filter((id) => id !== node.id).map(addressOf)
    const { defaults, limits, engines } = this.#options
    return Server.start({
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
    const node = this.#nodes.get(serverId(id))
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

/**
 * Starts a cluster in this process, in well under a second.
 * @throws EpochcastError `EC_BAD_ARGUMENT` before anything is started
 */
export async function createCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const cluster = new Cluster(options)
  await cluster.boot()
  return cluster
}

function addressOf(id: string) {
  return address(`server-${id}:1`)
}
