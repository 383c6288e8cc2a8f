/** A cluster of real processes under load, and what can be done to it. One rig, one history. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { bootstrap } from '../../broker/bootstrap.ts'
import { connect } from '../../client-sdk/index.ts'
import { address } from '../../proto/ids.ts'
import type { Random } from '../../proto/machine/ports.ts'
import { dialTcp } from '../../proto/transport/tcp.ts'
import { judge } from './history.ts'
import { isInside } from './platform.ts'
import { ServerProcess } from './server-process.ts'
import { Workload, type WorkloadOptions } from './workload.ts'

export interface RigOptions {
  readonly folder: string
  readonly random: Random
  readonly ids?: readonly string[]
  /** Where a server keeps its data; in the folder without it. */
  readonly dataOf?: (id: string) => string
  readonly environmentOf?: (id: string) => Record<string, string>
  readonly endpointOf?: (id: string) => Endpoint
  readonly load?: Pick<WorkloadOptions, 'window' | 'pauseMs'>
  readonly topics?: readonly TopicPlan[]
}

/** How one server is reached, and run. */
export interface Endpoint {
  readonly listen: string
  readonly advertise?: string
  readonly wrapper?: readonly string[]
}

interface TopicPlan {
  readonly name: string
  readonly mode: 'fault-masking' | 'fault-recovery'
  readonly members: readonly string[]
}

const servesWithinMs = 120_000
const firstPort = 15_000
const portCount = 15_000

const usualTopics: readonly TopicPlan[] = [
  { name: 'fm', mode: 'fault-masking', members: ['a', 'b', 'c'] },
  { name: 'fr', mode: 'fault-recovery', members: ['a', 'b'] },
]

export class Rig {
  readonly servers: ReadonlyMap<string, ServerProcess>
  readonly workload: Workload
  readonly random: Random
  readonly folder: string
  readonly topics: readonly TopicPlan[]
  /** What servers said that they are called, with their storage. */
  readonly names = new Map<string, string>()
  /** Topics beside the usual ones. */
  readonly made = new Set<string>()

  private constructor(options: RigOptions, servers: ReadonlyMap<string, ServerProcess>) {
    this.servers = servers
    this.random = options.random
    this.folder = options.folder
    this.topics = options.topics ?? usualTopics
    const names = this.topics.map(({ name }) => name)
    this.workload = new Workload({ url: this.url, topics: names, ...options.load })
  }

  /** Starts servers with empty disks, makes them a cluster with its topics, and lets the clients begin. */
  static async create(options: RigOptions): Promise<Rig> {
    const { folder, ids = ['a', 'b', 'c'] } = options
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
    const rig = new Rig(options, servers)
    try {
      await rig.#begin()
      return rig
    } catch (error) {
      await rig.killAll()
      throw error
    }
  }

  get url(): string {
    return `epochcast://${[...this.servers.values()].map((server) => server.address).join(',')}`
  }

  server(id: string): ServerProcess {
    const server = this.servers.get(id)
    if (server === undefined) throw new Error(`no server is called ${id}`)
    return server
  }

  /** One of these, by chance. */
  pick<T>(of: readonly T[]): T {
    return of[this.random.below(of.length)] as T
  }

  /** Up to `most` servers, at least one, by chance. */
  pickServers(most: number): ServerProcess[] {
    const left = [...this.servers.values()]
    const count = 1 + this.random.below(Math.min(most, left.length))
    return Array.from({ length: count }, () => left.splice(this.random.below(left.length), 1)[0] as ServerProcess)
  }

  async serves(): Promise<void> {
    await this.workload.serves(servesWithinMs)
    this.#mustBeWell()
  }

  /** An epoch change beside everything else, to the same members, now and then. Its end is not waited for. */
  roll(): void {
    const { name, members, mode } = this.pick(this.topics)
    this.workload.fault(`change of ${name}`)
    void this.#withAdmin(async (admin) => {
      await admin.reconfigure(name, { members, mode, expectEpoch: 'any', timeoutMs: 10_000 }).enabled
    }).catch(() => {})
  }

  async until(isTrue: () => boolean, what: string, withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs
    while (!isTrue()) {
      if (performance.now() > deadline) throw new Error(what)
      await sleep(20)
    }
  }

  /** Brings a topic back to its members, by whatever servers have their names now. */
  async restoreMembers(): Promise<void> {
    for (const { name, members, mode } of this.topics) {
      await this.#withAdmin(async (admin) => {
        const change = admin.reconfigure(name, { members, mode, expectEpoch: 'any', timeoutMs: servesWithinMs })
        await change.enabled
      })
    }
  }

  /** Ends the load, waits until everybody has everything, and judges. @returns what does not hold */
  async finish(): Promise<string[]> {
    try {
      await this.workload.finish(servesWithinMs)
      this.#mustBeWell()
      return judge(this.workload.history)
    } catch (error) {
      return [...judge(this.workload.history), error instanceof Error ? error.message : String(error)]
    } finally {
      await this.workload.close().catch(() => {})
    }
  }

  /** What a reader needs to see what went wrong: everything that clients saw, beside the servers' logs and disks. */
  keepHistory(problems: readonly string[]): void {
    const lines = this.workload.history.map((record) => JSON.stringify(record))
    writeFileSync(join(this.folder, 'history.jsonl'), `${lines.join('\n')}\n`)
    writeFileSync(join(this.folder, 'problems.txt'), `${problems.join('\n')}\n`)
  }

  async killAll(): Promise<void> {
    await this.workload.close().catch(() => {})
    await Promise.all([...this.servers.values()].map((server) => server.kill()))
  }

  async #begin(): Promise<void> {
    await Promise.all([...this.servers.values()].map(async (server) => this.names.set(server.id, await server.start())))
    const servers = [...this.servers.values()].map((server) => address(server.address))
    await bootstrap({ servers, dial: (name, handler) => dialTcp({ name, handler }), timeoutMs: 60_000 })
    await this.#withAdmin(async (admin) => {
      for (const { name, mode, members } of this.topics) {
        await admin.createTopic(name, { mode, members, timeoutMs: servesWithinMs })
      }
    })
    await this.workload.start()
    await this.workload.serves(servesWithinMs)
  }

  async #withAdmin(use: (admin: Awaited<ReturnType<typeof connect>>['admin']) => Promise<void>): Promise<void> {
    const client = await connect(this.url, { timeoutMs: 30_000 })
    try {
      await use(client.admin)
    } finally {
      await client.close()
    }
  }

  #mustBeWell(): void {
    if (this.workload.failure !== null) throw this.workload.failure
    for (const server of this.servers.values()) {
      const [exit] = server.unexpected
      if (exit === undefined) continue
      throw new Error(`server ${server.id} ended by itself (${exit.signal ?? exit.code}): ${exit.words}`)
    }
  }
}

/** Copies of data directories, as a backup makes them. */
export function copyDirectory(from: string, to: string): void {
  rmSync(to, { recursive: true, force: true })
  cpSync(from, to, { recursive: true })
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

export async function between(random: Random, fromMs: number, toMs: number): Promise<void> {
  await sleep(fromMs + random.below(toMs - fromMs))
}
