/** Several durable servers in this process, each with its own data directory and port: a cluster to develop against. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { EpochcastError } from '../../proto/errors.ts'
import { type Address, address } from '../../proto/ids.ts'
import type { Shortage } from '../../proto/shortage.ts'
import type { Sync } from '../../proto/sync.ts'
import { dialTcp } from '../../proto/transport/tcp.ts'
import { formatHostPort } from '../../proto/transport/tcp-address.ts'
import { bootstrap } from '../bootstrap.ts'
import { type LaunchedServer, launch } from '../launch.ts'

export interface LocalClusterOptions {
  /** Each server has the directory of its id in here. */
  readonly data: string
  readonly host: string
  /** Of the first server; the others take the ports behind it. */
  readonly port: number
  readonly servers: number
  readonly sync?: Sync
  readonly signal?: AbortSignal
  readonly onFatal: (error: Error) => void
  readonly onShortage?: (server: string, shortage: Shortage, begins: boolean) => void
}

export const localServersMax = 26
const readyTimeoutMs = 15_000
const pollMs = 10

export class LocalCluster implements AsyncDisposable {
  readonly servers: readonly LaunchedServer[]
  /** Whether this start made the cluster. */
  readonly created: boolean

  private constructor(servers: readonly LaunchedServer[], created: boolean) {
    this.servers = servers
    this.created = created
  }

  /**
   * Starts the servers, makes them a cluster where none of them belongs to one, and waits until they see each other.
   * @throws EpochcastError as `launch` and `bootstrap` do; whatever had been started is stopped
   */
  static async start(options: LocalClusterOptions): Promise<LocalCluster> {
    const ids = localIds(options.servers)
    const addresses = ids.map((_, at) => address(formatHostPort(options.host, options.port + at)))
    const servers: LaunchedServer[] = []
    try {
      for (const [at, id] of ids.entries()) {
        const { host, onFatal, sync = 'always' } = options
        const seeds = addresses.filter((_, other) => other !== at)
        const [data, port] = [join(options.data, id), options.port + at]
        const onShortage = (shortage: Shortage, begins: boolean) => options.onShortage?.(id, shortage, begins)
        servers.push(await launch({ id, data, host, port, seeds, servers: ids.length, sync, onFatal, onShortage }))
      }
      const created = servers.every(({ server }) => server.cluster === '')
      if (created) await bootstrapLocal(addresses)
      await untilTogether(servers, options.signal)
      return new LocalCluster(servers, created)
    } catch (error) {
      await stopAll(servers)
      throw error
    }
  }

  get cluster(): string {
    return this.servers[0]?.server.cluster ?? ''
  }

  stop(): Promise<void> {
    return stopAll(this.servers)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

/** Ids of servers that have a directory in `data` beyond the first `count`. */
export function localIdsLeftOut(data: string, count: number): string[] {
  return localIds(localServersMax)
    .slice(count)
    .filter((id) => existsSync(join(data, id)))
}

/** a, b, c … */
function localIds(count: number): string[] {
  return Array.from({ length: count }, (_, at) => String.fromCharCode(97 + at))
}

async function bootstrapLocal(servers: readonly Address[]): Promise<void> {
  await bootstrap({ servers, dial: (name, handler) => dialTcp({ name, handler }) })
}

async function untilTogether(servers: readonly LaunchedServer[], signal: AbortSignal | undefined): Promise<void> {
  const deadline = performance.now() + readyTimeoutMs
  const isTogether = () => servers.every(({ server }) => server.cluster !== '' && server.aliveCount >= servers.length)
  while (!isTogether()) {
    if (signal?.aborted === true) throw new EpochcastError('EC_ABORTED', 'interrupted')
    if (performance.now() > deadline) {
      const clusters = new Set(servers.map(({ server }) => server.cluster))
      if (clusters.size > 1 && !clusters.has('')) {
        throw new EpochcastError('EC_OTHER_CLUSTER', 'the data directories belong to different clusters')
      }
      throw new EpochcastError('EC_TIMEOUT', `the servers did not find each other within ${readyTimeoutMs / 1000} s`)
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}

async function stopAll(servers: readonly LaunchedServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()))
}
