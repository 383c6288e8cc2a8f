/** JetStream on three servers: one stream, three replicas, file storage. */
import { writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import { callCommand } from '../child-process.ts'
import type { TargetSpec } from '../load/target.ts'
import { nowUs } from '../measure/clock.ts'
import { cpuSeconds, memoryOf } from '../measure/processes.ts'
import { sum } from '../measure/statistics.ts'
import { findProgram, versionOf } from '../peers/peer-process.ts'
import { freePorts } from '../peers/ports.ts'
import type { Session } from '../session.ts'
import { type Peer, Skipped } from './peer.ts'
import { PeerProcess } from './peer-process.ts'

export interface NatsOptions {
  readonly syncAlways: boolean
  readonly pipelined: boolean
}

const names = ['n1', 'n2', 'n3']
const stream = 'BENCH'
const subject = 'bench'
const publishTimeoutMs = 5_000
const readyTimeoutMs = 30_000
const pollMs = 20

export function natsVersion(): string | null {
  return versionOf('nats-server')
}

export class Nats implements Peer {
  readonly #session: Session
  readonly #folder: string
  readonly #options: NatsOptions
  readonly #servers: PeerProcess[] = []
  #connection: NatsConnection | null = null
  #manager: JetStreamManager | null = null

  private constructor(session: Session, folder: string, options: NatsOptions) {
    this.#session = session
    this.#folder = folder
    this.#options = options
  }

  /** @throws Skipped */
  static async start(session: Session, options: NatsOptions): Promise<Nats> {
    const program = findProgram('nats-server')
    if (program === null) throw new Skipped('nats-server is not installed')
    const nats = new Nats(session, await mkdtemp(join(session.dataFolder, 'nats-')), options)
    try {
      await nats.#boot(program)
      return nats
    } catch (error) {
      await nats.stop()
      throw error
    }
  }

  get target(): TargetSpec {
    const servers = this.#servers.map((server) => `127.0.0.1:${server.port}`)
    return { kind: 'nats', servers, stream, subject, pipelined: this.#options.pipelined, timeoutMs: publishTimeoutMs }
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
    const before = await this.#leader()
    await this.#connection?.request(`$JS.API.STREAM.LEADER.STEPDOWN.${stream}`, '', { timeout: publishTimeoutMs })
    await this.#until(async () => {
      const leader = await this.#leader()
      return leader !== null && leader !== before
    }, 'another leader')
  }

  async harmLeader(how: 'kill' | 'freeze'): Promise<() => Promise<void>> {
    const leader = await this.#leader()
    const server = this.#servers.find(({ name }) => name === leader)
    if (server === undefined) throw new Error('the stream has no leader')
    if (how === 'freeze') server.signal('SIGSTOP')
    else await server.end('SIGKILL')
    return async () => {
      if (how === 'freeze') server.signal('SIGCONT')
      else await server.start()
    }
  }

  async stop(): Promise<void> {
    await this.#connection?.close()
    await Promise.all(this.#servers.map((server) => server.end('SIGTERM')))
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }

  async #boot(program: string): Promise<void> {
    const ports = await freePorts(names.length)
    const routes = await freePorts(names.length, ports)
    for (const [at, name] of names.entries()) {
      const path = join(this.#folder, `${name}.conf`)
      writeFileSync(path, this.#configuration(name, ports[at] ?? 0, routes[at] ?? 0, routes))
      if (at === 0 && this.#options.syncAlways) refuseUnknown(program, path)
      this.#servers.push(new PeerProcess(this.#session, name, ports[at] ?? 0, [program, '-c', path], this.#folder))
    }
    await Promise.all(this.#servers.map((server) => server.start()))
    const servers = ports.map((port) => `127.0.0.1:${port}`)
    this.#connection = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 50 })
    // There is no manager before there is a leader of all.
    await this.#until(async () => {
      if (this.#connection === null) return false
      try {
        this.#manager = await jetstreamManager(this.#connection, { timeout: 1_000 })
        await this.#manager.streams.add({ name: stream, subjects: [subject], num_replicas: 3, storage: 'file' })
        return true
      } catch {
        return false
      }
    }, 'stream of three replicas')
    await this.#until(async () => (await this.#leader()) !== null, 'leader')
  }

  #configuration(name: string, port: number, route: number, routes: readonly number[]): string {
    const sync = this.#options.syncAlways ? ', sync_interval: always' : ''
    const others = routes.filter((one) => one !== route).map((one) => `nats://127.0.0.1:${one}`)
    return [
      `server_name: ${name}`,
      `listen: 127.0.0.1:${port}`,
      `jetstream { store_dir: ${JSON.stringify(join(this.#folder, name))}${sync} }`,
      `cluster { name: bench, listen: 127.0.0.1:${route}, routes: [${others.join(', ')}] }`,
      '',
    ].join('\n')
  }

  async #leader(): Promise<string | null> {
    try {
      const { cluster } = (await this.#manager?.streams.info(stream)) ?? {}
      return cluster?.leader ?? null
    } catch {
      return null
    }
  }

  async #until(isSo: () => Promise<boolean>, what: string): Promise<void> {
    const deadlineUs = nowUs() + readyTimeoutMs * 1000
    while (!(await isSo())) {
      this.#session.signal.throwIfAborted()
      if (nowUs() > deadlineUs) throw new Error(`JetStream: no ${what} within ${readyTimeoutMs} ms`)
      await sleep(pollMs)
    }
  }
}

/** Asks the server whether it knows what the configuration says. */
function refuseUnknown(program: string, configuration: string): void {
  const { status, stderr, stdout } = callCommand(program, ['-t', '-c', configuration])
  if (status === 0) return
  const why = `${stderr}${stdout}`.trim().split('\n').at(-1) ?? ''
  const version = versionOf('nats-server')
  throw new Skipped(`nats-server ${version} does not know sync_interval (${why.replace(/^.*: (?=[^:]*$)/, '')})`)
}
