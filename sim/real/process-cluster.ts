/** Servers as processes of their own with empty disks, made one cluster with its topics; no clients yet. */
import { mkdirSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { bootstrap } from '../../broker/bootstrap.ts'
import { type Admin, connect, EpochcastError } from '../../client-sdk/index.ts'
import type { Order } from '../../proto/configuration.ts'
import { address } from '../../proto/ids.ts'
import { dialTcp } from '../../proto/transport/tcp.ts'
import { isInside } from './platform.ts'
import { ServerProcess } from './server-process.ts'

export interface TopicPlan {
  readonly name: string
  readonly mode: 'single' | 'fault-recovery' | 'fault-masking'
  readonly members: readonly string[]
  readonly order?: Order
}

/** How one server is reached, and run. */
export interface Endpoint {
  readonly listen: string
  readonly advertise?: string
  readonly wrapper?: readonly string[]
}

export interface ClusterOptions {
  readonly folder: string
  readonly topics: readonly TopicPlan[]
  readonly ids?: readonly string[]
  /** Data directory of a server; without it a folder named after the server. */
  readonly dataOf?: (id: string) => string
  readonly environmentOf?: (id: string) => Record<string, string>
  readonly endpointOf?: (id: string) => Endpoint
}

/** The longest wait for a cluster to serve, in milliseconds. */
export const servesWithinMs = 120_000
const firstPort = 15_000
const portCount = 15_000

export class ProcessCluster {
  readonly topics: readonly TopicPlan[]
  readonly servers: ReadonlyMap<string, ServerProcess>
  /** Names of the servers with their storage, by id, as their processes printed them. */
  readonly names = new Map<string, string>()

  private constructor(topics: readonly TopicPlan[], servers: ReadonlyMap<string, ServerProcess>) {
    this.topics = topics
    this.servers = servers
  }

  /** Builds the server objects without starting a process. */
  static async plan(options: ClusterOptions): Promise<ProcessCluster> {
    const { folder, topics, ids = ['a', 'b', 'c'] } = options
    mkdirSync(folder, { recursive: true })
    const servers = new Map<string, ServerProcess>()
    const peers = () => [...servers.values()].map((server) => server.address)
    const ports = await freePorts(ids.length)
    for (const [at, id] of ids.entries()) {
      const endpoint = options.endpointOf?.(id) ?? { listen: `127.0.0.1:${ports[at]}` }
      const data = options.dataOf?.(id) ?? join(folder, id)
      const server = new ServerProcess({ id, data, logs: folder, peers, ...endpoint })
      server.environment = options.environmentOf?.(id) ?? {}
      servers.set(id, server)
    }
    return new ProcessCluster(topics, servers)
  }

  get url(): string {
    return `epochcast://${[...this.servers.values()].map((server) => server.address).join(',')}`
  }

  server(id: string): ServerProcess {
    const server = this.servers.get(id)
    if (server === undefined) throw new Error(`no server is called ${id}`)
    return server
  }

  /** Starts every server, bootstraps the cluster once, and creates the topics. */
  async start(): Promise<void> {
    await Promise.all([...this.servers.values()].map(async (server) => this.names.set(server.id, await server.start())))
    const servers = [...this.servers.values()].map((server) => address(server.address))
    await bootstrap({ servers, dial: (name, handler) => dialTcp({ name, handler }), timeoutMs: 60_000 })
    await this.withAdmin(async (admin) => {
      for (const { name, ...options } of this.topics) {
        // A slow machine may need a second request, which finds the topic that the first one made.
        await admin.createTopic(name, { ...options, timeoutMs: servesWithinMs }).catch((error: unknown) => {
          if (!(error instanceof EpochcastError) || error.code !== 'EC_TOPIC_EXISTS') throw error
        })
      }
    })
  }

  async withAdmin(use: (admin: Admin) => Promise<void>): Promise<void> {
    const client = await connect(this.url, { timeoutMs: 30_000 })
    try {
      await use(client.admin)
    } finally {
      await client.close()
    }
  }

  async kill(): Promise<void> {
    await Promise.all([...this.servers.values()].map((server) => server.kill()))
  }

  /** @throws Error naming a server that ended without being told to */
  mustBeWell(): void {
    for (const server of this.servers.values()) {
      const [exit] = server.unexpected
      if (exit === undefined) continue
      throw new Error(`server ${server.id} ended by itself (${exit.signal ?? exit.code}): ${exit.words}`)
    }
  }
}

/** Ports below those that systems give to clients; those of a network of our own are all free. */
async function freePorts(count: number): Promise<number[]> {
  if (isInside) return Array.from({ length: count }, (_, at) => firstPort + at)
  const ports: number[] = []
  while (ports.length < count) {
    const port = firstPort + Math.floor(Math.random() * portCount)
    if (!ports.includes(port) && (await isFree(port))) ports.push(port)
  }
  return ports
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host: '127.0.0.1', exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
