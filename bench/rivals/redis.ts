/** Redis Streams: a primary and two replicas; three sentinels where a dead primary is to be replaced. */
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis as Connection } from 'ioredis'
import type { TargetSpec } from '../load/target.ts'
import { nowUs } from '../measure/clock.ts'
import { cpuSeconds, memoryOf } from '../measure/processes.ts'
import { sum } from '../measure/statistics.ts'
import { findProgram, versionOf } from '../peers/peer-process.ts'
import { freePorts } from '../peers/ports.ts'
import type { Session } from '../session.ts'
import { type Peer, Skipped } from './peer.ts'
import { PeerProcess } from './peer-process.ts'

export interface RedisOptions {
  /** `appendonly yes`, `appendfsync always`; without: as it comes, which keeps no log. */
  readonly always: boolean
  /** Replicas that must have a message before it counts. */
  readonly wait: number
  readonly sentinels: boolean
  /** A client takes its connection for dead when nothing comes for so long. */
  readonly patienceMs: number
}

const primaryName = 'bench'
const key = 'bench'
const readyTimeoutMs = 30_000
const pollMs = 10
/** By default 30 s; a dead primary is replaced after about this. */
export const sentinelDownAfterMs = 1_000

export function redisVersion(): string | null {
  return versionOf('redis-server')
}

export class Redis implements Peer {
  readonly #session: Session
  readonly #folder: string
  readonly #options: RedisOptions
  readonly #servers: PeerProcess[] = []
  readonly #sentinels: PeerProcess[] = []
  readonly #connections = new Map<number, Connection>()

  private constructor(session: Session, folder: string, options: RedisOptions) {
    this.#session = session
    this.#folder = folder
    this.#options = options
  }

  /** @throws Skipped */
  static async start(session: Session, options: RedisOptions): Promise<Redis> {
    const program = findProgram('redis-server')
    if (program === null) throw new Skipped('redis-server is not installed')
    const redis = new Redis(session, await mkdtemp(join(session.dataFolder, 'redis-')), options)
    try {
      await redis.#boot(program)
      return redis
    } catch (error) {
      await redis.stop()
      throw error
    }
  }

  get target(): TargetSpec {
    const ports = this.#servers.map((server) => server.port)
    return { kind: 'redis', ports, key, wait: this.#options.wait, waitMs: this.#options.patienceMs }
  }

  get cpuSeconds(): number {
    return sum(this.#servers.map(({ pid }) => (pid === null ? 0 : cpuSeconds(pid))))
  }

  get memory() {
    return this.#servers.flatMap(({ pid, name }) => {
      const memory = pid === null ? null : memoryOf(pid)
      return memory === null ? [] : [{ id: name, ...memory }]
    })
  }

  async moveLead(): Promise<void> {
    const before = await this.#primary()
    if (before === null) throw new Error('there is no primary')
    await this.#connection(before.port).call('FAILOVER')
    let primary: PeerProcess | null = null
    await this.#until(async () => {
      primary = await this.#primary()
      return primary !== null && primary.port !== before.port
    }, 'other primary')
    // The third one still follows the one before: it is told, as an operator would.
    const { port } = primary ?? before
    const third = this.#servers.find((server) => server.port !== port && server.port !== before.port)
    if (third !== undefined) await this.#ask(third.port, 'REPLICAOF', '127.0.0.1', String(port))
    await this.#until(async () => (await this.#replicasOf(port)) === 2, 'two replicas')
  }

  async harmLeader(how: 'kill' | 'freeze'): Promise<() => Promise<void>> {
    const primary = await this.#primary()
    if (primary === null) throw new Error('there is no primary')
    if (how === 'freeze') primary.signal('SIGSTOP')
    else await primary.end('SIGKILL')
    return async () => {
      if (how === 'freeze') primary.signal('SIGCONT')
      else await primary.start()
    }
  }

  async stop(): Promise<void> {
    for (const connection of this.#connections.values()) connection.disconnect()
    await Promise.all([...this.#sentinels, ...this.#servers].map((server) => server.end('SIGKILL')))
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }

  async #boot(program: string): Promise<void> {
    for (const name of ['r1', 'r2', 'r3']) {
      const [port = 0] = await freePorts(1)
      const path = this.#write(name, port, [
        ...(this.#options.always ? ['appendonly yes', 'appendfsync always'] : []),
        ...(this.#servers[0] === undefined ? [] : [`replicaof 127.0.0.1 ${this.#servers[0].port}`]),
      ])
      this.#servers.push(new PeerProcess(this.#session, name, port, [program, path], this.#folder))
    }
    await Promise.all(this.#servers.map((server) => server.start()))
    const [primary] = this.#servers
    if (primary === undefined) return
    await this.#until(async () => (await this.#replicasOf(primary.port)) === 2, 'two replicas')
    if (!this.#options.sentinels) return
    for (const name of ['s1', 's2', 's3']) {
      const [port = 0] = await freePorts(1)
      const path = this.#write(name, port, [
        `sentinel monitor ${primaryName} 127.0.0.1 ${primary.port} 2`,
        `sentinel down-after-milliseconds ${primaryName} ${sentinelDownAfterMs}`,
        `sentinel failover-timeout ${primaryName} 10000`,
      ])
      this.#sentinels.push(new PeerProcess(this.#session, name, port, [program, path, '--sentinel'], this.#folder))
    }
    await Promise.all(this.#sentinels.map((sentinel) => sentinel.start()))
    await this.#until(async () => {
      const known = await Promise.all(this.#sentinels.map(({ port }) => this.#fieldsOf(port)))
      return known.every((fields) => fields.get('num-slaves') === '2' && fields.get('num-other-sentinels') === '2')
    }, 'sentinels that know each other')
  }

  #write(name: string, port: number, lines: readonly string[]): string {
    const path = join(this.#folder, `${name}.conf`)
    const folder = JSON.stringify(this.#folder)
    const own = [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, `dbfilename ${name}.rdb`, 'save ""']
    const log = name.startsWith('r') ? [`appenddirname ${name}.aof`] : []
    writeFileSync(path, `${[...own, ...log, ...lines].join('\n')}\n`)
    return path
  }

  /** The newest, where two think that they are it. */
  async #primary(): Promise<PeerProcess | null> {
    for (const server of this.#servers) {
      if (server.pid === null) continue
      const role = await this.#ask(server.port, 'ROLE')
      if (Array.isArray(role) && String(role[0]) === 'master') return server
    }
    return null
  }

  async #replicasOf(port: number): Promise<number> {
    const info = await this.#ask(port, 'INFO', 'replication')
    return String(info).match(/state=online/g)?.length ?? 0
  }

  async #fieldsOf(sentinel: number): Promise<Map<string, string>> {
    const answer = await this.#ask(sentinel, 'SENTINEL', 'MASTER', primaryName)
    const flat = Array.isArray(answer) ? answer.map(String) : []
    const fields = new Map<string, string>()
    for (let at = 0; at + 1 < flat.length; at += 2) fields.set(flat[at] ?? '', flat[at + 1] ?? '')
    return fields
  }

  /** Null when it does not answer. */
  async #ask(port: number, command: string, ...args: readonly string[]): Promise<unknown> {
    try {
      return await this.#connection(port).call(command, ...args)
    } catch {
      return null
    }
  }

  #connection(port: number): Connection {
    let connection = this.#connections.get(port)
    if (connection === undefined) {
      connection = new Connection({
        port,
        host: '127.0.0.1',
        maxRetriesPerRequest: 1,
        commandTimeout: 500,
        retryStrategy: () => 50,
        enableOfflineQueue: true,
      })
      connection.on('error', () => {})
      this.#connections.set(port, connection)
    }
    return connection
  }

  async #until(isSo: () => Promise<boolean>, what: string): Promise<void> {
    const deadlineUs = nowUs() + readyTimeoutMs * 1000
    while (!(await isSo())) {
      this.#session.signal.throwIfAborted()
      if (nowUs() > deadlineUs) throw new Error(`Redis: no ${what} within ${readyTimeoutMs} ms`)
      await sleep(pollMs)
    }
  }
}
