/** Servers of this product for one measurement: processes of their own with logs on disk. */
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Admin, type Client, connect, EpochcastError, type Mode, type Order } from '../../client-sdk/index.ts'
import { parseNatsUrl } from '../../proto/transport/nats-options.ts'
import { Servers } from '../demo/servers.ts'
import { cpuSeconds, type Memory, memoryOf } from '../measure/processes.ts'
import { sum } from '../measure/statistics.ts'
import { NatsServers, natsInstallHint, natsServerVersion } from '../peers/nats-server.ts'
import type { Session } from '../session.ts'

export const transports = ['tcp', 'nats'] as const
export type Transport = (typeof transports)[number]

export interface ClusterSpec {
  readonly servers: number
  /** What `serve` is told besides. */
  readonly serveArgs: readonly string[]
  readonly transport: Transport
}

const names = 'abcdefghijklmnopqrstuvwxyz'
const pollMs = 5
const createdAtOnce = 16
const natsPrefix = 'epochcast-bench'
const natsName = 'n1'

export class Cluster {
  readonly ids: readonly string[]
  readonly #session: Session
  readonly #folder: string
  readonly #servers: Servers
  readonly #nats: NatsServers | null
  readonly #unwatch: () => void
  #client: Client | null = null
  #failure: Error | null = null

  private constructor(session: Session, folder: string, spec: ClusterSpec, nats: NatsServers | null) {
    this.#nats = nats
    this.#session = session
    this.#folder = folder
    this.ids = [...names.slice(0, spec.servers)]
    this.#servers = new Servers(
      folder,
      (error) => {
        this.#failure = error
        session.interrupt(error)
      },
      spec.serveArgs,
      nats === null ? null : { ...parseNatsUrl(nats.url), prefix: natsPrefix },
    )
    this.#unwatch = session.onKill(() => this.#servers.killAll())
  }

  /** @throws Error when a server does not start */
  static async start(session: Session, spec: ClusterSpec): Promise<Cluster> {
    const nats = spec.transport === 'nats' ? await startNats() : null
    session.own(nats?.pidOf(natsName))
    const cluster = new Cluster(session, await mkdtemp(join(session.dataFolder, 'servers-')), spec, nats)
    try {
      await cluster.#servers.boot(cluster.ids)
      session.own(...cluster.pids)
      cluster.#client = await connect(cluster.url, { timeoutMs: 20_000, signal: session.signal })
      const limits = { signal: session.signal }
      while ((await cluster.admin.servers(limits)).some((server) => !server.alive)) {
        await sleep(pollMs, undefined, limits)
      }
      return cluster
    } catch (error) {
      await cluster.stop()
      throw cluster.#failure ?? error
    }
  }

  get url(): string {
    return this.#servers.url
  }

  get admin(): Admin {
    if (this.#client === null) throw new Error('the cluster has not started')
    return this.#client.admin
  }

  get pids(): number[] {
    return this.ids.map((id) => this.#servers.pidOf(id)).filter((pid) => pid !== null)
  }

  /** Seconds of all servers together. */
  get cpuSeconds(): number {
    // What carries the frames is part of the price.
    const pids = [...this.pids, ...(this.#nats === null ? [] : [this.#nats.pidOf(natsName)])]
    return sum(pids.map(cpuSeconds))
  }

  get memory(): (Memory & { readonly id: string })[] {
    return this.ids.flatMap((id) => {
      const pid = this.#servers.pidOf(id)
      const memory = pid === null ? null : memoryOf(pid)
      return memory === null ? [] : [{ id, ...memory }]
    })
  }

  async createTopics(names: readonly string[], mode: Mode, members: readonly string[], order?: Order): Promise<void> {
    const { signal } = this.#session
    const options = { mode, members, signal, timeoutMs: 30_000, ...(order !== undefined && { order }) }
    for (let at = 0; at < names.length; at += createdAtOnce) {
      const some = names.slice(at, at + createdAtOnce)
      await Promise.all(some.map((name) => this.#createTopic(name, options)))
    }
  }

  async #createTopic(name: string, options: Parameters<Admin['createTopic']>[1]): Promise<void> {
    try {
      await this.admin.createTopic(name, options)
    } catch (error) {
      // Nobody else is here: asked twice, a slow machine finds what the first request made.
      if (!(error instanceof EpochcastError) || error.code !== 'EC_TOPIC_EXISTS') throw error
    }
  }

  async kill(id: string): Promise<void> {
    this.#session.disown(this.#servers.pidOf(id) ?? undefined)
    await this.#servers.kill(id)
  }

  async restart(id: string): Promise<void> {
    await this.#servers.start(id)
    this.#session.own(this.#servers.pidOf(id) ?? undefined)
  }

  freeze(id: string): void {
    this.#servers.signal(id, 'SIGSTOP')
  }

  thaw(id: string): void {
    this.#servers.signal(id, 'SIGCONT')
  }

  async stop(): Promise<void> {
    this.#session.disown(...this.pids)
    await this.#client?.close()
    const stubborn = await this.#servers.stop()
    if (stubborn.length > 0) this.#session.say(`had to be killed at the end: ${stubborn.join(', ')}`)
    this.#unwatch()
    this.#session.disown(this.#nats?.pidOf(natsName))
    await this.#nats?.close()
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }
}

/** @throws EpochcastError when there is none to start */
async function startNats(): Promise<NatsServers> {
  if (natsServerVersion() === null) {
    throw new EpochcastError('EC_BAD_ARGUMENT', 'nats-server is not installed', { hint: natsInstallHint })
  }
  return NatsServers.start({ count: 1 })
}
