/** Real nats-server processes on free loopback ports, with a folder of their own: one, or a cluster of three with JetStream. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findProgram, PeerProcess, versionOf } from './peer-process.ts'
import { freePorts } from './ports.ts'

export interface NatsServersOptions {
  /** One server or a cluster of three; default 1. */
  readonly count?: 1 | 3
  /** Lines added to every server's configuration file: authorization, tls, max_payload … */
  readonly config?: string
  /** Milliseconds to be ready in. */
  readonly readyTimeoutMs?: number
}

interface Node {
  readonly name: string
  readonly port: number
  readonly httpPort: number
  readonly configPath: string
  readonly logPath: string
  process: PeerProcess | null
}

interface JetStreamReport {
  readonly meta_cluster?: { readonly leader?: string; readonly cluster_size?: number }
  readonly account_details?: readonly {
    readonly stream_detail?: readonly { readonly name: string; readonly cluster?: { readonly leader?: string } }[]
  }[]
}

const program = 'nats-server'
const host = '127.0.0.1'
const pollMs = 20
const askTimeoutMs = 1_000
const defaultReadyTimeoutMs = 30_000

export const natsInstallHint = 'Install it: apt-get install nats-server (Debian), brew install nats-server (macOS).'

/** Version of the installed nats-server, such as `2.9.10`; null when there is none. */
export function natsServerVersion(): string | null {
  return versionOf(program)
}

export class NatsServers {
  readonly #folder: string
  readonly #path: string
  readonly #nodes: readonly Node[]
  readonly #readyTimeoutMs: number

  private constructor(folder: string, path: string, nodes: readonly Node[], readyTimeoutMs: number) {
    this.#folder = folder
    this.#path = path
    this.#nodes = nodes
    this.#readyTimeoutMs = readyTimeoutMs
  }

  /**
   * Starts the servers; resolves when they serve, a cluster when it has its leader.
   * @throws Error when nats-server is not installed or does not get ready
   */
  static async start(options: NatsServersOptions = {}): Promise<NatsServers> {
    const path = findProgram(program)
    if (path === null) throw new Error(`${program} is not installed. ${natsInstallHint}`)
    const names = ['n1', 'n2', 'n3'].slice(0, options.count ?? 1)
    const folder = await mkdtemp(join(tmpdir(), 'epochcast-nats-'))
    const ports = await freePorts(names.length * 3)
    const routes = names.map((_, at) => `nats://${host}:${ports[at * 3 + 2]}`)
    const nodes = names.map((name, at): Node => {
      const paths = { configPath: join(folder, `${name}.conf`), logPath: join(folder, `${name}.log`) }
      return { name, port: ports[at * 3] ?? 0, httpPort: ports[at * 3 + 1] ?? 0, ...paths, process: null }
    })
    const servers = new NatsServers(folder, path, nodes, options.readyTimeoutMs ?? defaultReadyTimeoutMs)
    try {
      for (const [at, node] of nodes.entries()) {
        const cluster = names.length === 1 ? '' : clusterLines(ports[at * 3 + 2] ?? 0, routes)
        await writeFile(node.configPath, configText(node, join(folder, node.name), cluster, options.config ?? ''))
      }
      for (const node of nodes) servers.#spawn(node)
      await Promise.all(nodes.map((node) => servers.#ready(node)))
      return servers
    } catch (error) {
      await servers.close()
      throw error
    }
  }

  get names(): string[] {
    return this.#nodes.map((node) => node.name)
  }

  /** All of them, running or not, as `host:port`. */
  get addresses(): string[] {
    return this.#nodes.map((node) => `${host}:${node.port}`)
  }

  /** `nats://host:port,host:port`. */
  get url(): string {
    return `nats://${this.addresses.join(',')}`
  }

  addressOf(name: string): string {
    return `${host}:${this.#of(name).port}`
  }

  pidOf(name: string): number {
    return this.#of(name).process?.pid ?? 0
  }

  /** Ends one at once. What it had not flushed survives: the machine goes on. */
  async kill(name: string): Promise<void> {
    const node = this.#of(name)
    await node.process?.kill()
    node.process = null
  }

  /** Starts one again on what is on its disk and at its old ports; resolves when it serves. */
  async restart(name: string): Promise<void> {
    const node = this.#of(name)
    await this.kill(name)
    this.#spawn(node)
    await this.#ready(node)
  }

  /** Stops one without ending it: its connections stay open and silent. */
  freeze(name: string): void {
    this.#of(name).process?.signal('SIGSTOP')
  }

  thaw(name: string): void {
    this.#of(name).process?.signal('SIGCONT')
  }

  /** Tells one to send its clients away and end (at the earliest 10 s later). */
  lameDuck(name: string): void {
    this.#of(name).process?.signal('SIGUSR2')
  }

  /** Who leads the JetStream cluster, or one of its streams; undefined while nobody does, or nobody can be asked. */
  async leader(stream?: string): Promise<string | undefined> {
    for (const node of this.#nodes) {
      if (node.process === null) continue
      const report = await ask<JetStreamReport>(node, '/jsz?accounts=true&streams=true')
      const leader = stream === undefined ? report?.meta_cluster?.leader : leaderOf(report, stream)
      if (leader) return leader
    }
    return undefined
  }

  /** Waits for a leader other than `not`, such as one that was killed. */
  async untilLeader(stream?: string, not?: string): Promise<string> {
    const deadline = performance.now() + this.#readyTimeoutMs
    for (;;) {
      const leader = await this.leader(stream)
      if (leader !== undefined && leader !== not) return leader
      if (performance.now() > deadline) throw new Error(`no leader of ${stream ?? 'the cluster'} was elected`)
      await sleep(pollMs)
    }
  }

  /** Ends all and removes their folder. */
  async close(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => this.kill(node.name)))
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** For the last moment of this process: nothing may wait any more. */
  killAll(): void {
    for (const node of this.#nodes) node.process?.signal('SIGKILL')
  }

  #spawn(node: Node): void {
    node.process = new PeerProcess(this.#path, ['-c', node.configPath], node.logPath)
  }

  async #ready(node: Node): Promise<void> {
    const deadline = performance.now() + this.#readyTimeoutMs
    while (!(await this.#isReady(node))) {
      const { process } = node
      const late = performance.now() > deadline
      if (process !== null && !process.isEnded && !late) await sleep(pollMs)
      else throw new Error(`${program} ${node.name} did not get ready: ${process?.lastWords() ?? 'it was ended'}`)
    }
  }

  async #isReady(node: Node): Promise<boolean> {
    if ((await ask(node, '/healthz')) === undefined) return false
    if (this.#nodes.length === 1) return true
    return Boolean((await ask<JetStreamReport>(node, '/jsz'))?.meta_cluster?.leader)
  }

  #of(name: string): Node {
    const node = this.#nodes.find((one) => one.name === name)
    if (node === undefined) throw new Error(`no ${program} is called ${name}`)
    return node
  }
}

function configText(node: Node, store: string, cluster: string, more: string): string {
  return [
    `server_name: ${node.name}`,
    `listen: ${host}:${node.port}`,
    `http: ${host}:${node.httpPort}`,
    `jetstream { store_dir: "${store}", max_memory_store: 64MB, max_file_store: 1GB }`,
    'lame_duck_grace_period: "1s"',
    cluster,
    more,
    '',
  ].join('\n')
}

function clusterLines(port: number, routes: readonly string[]): string {
  return `cluster { name: epochcast-test, listen: ${host}:${port}, routes: [${routes.join(', ')}] }`
}

function leaderOf(report: JetStreamReport | undefined, stream: string): string | undefined {
  const streams = report?.account_details?.flatMap((account) => account.stream_detail ?? []) ?? []
  return streams.find((one) => one.name === stream)?.cluster?.leader
}

/** @returns undefined when the server does not answer, or not with 200 */
async function ask<T>(node: Node, path: string): Promise<T | undefined> {
  try {
    const answer = await fetch(`http://${host}:${node.httpPort}${path}`, { signal: AbortSignal.timeout(askTimeoutMs) })
    return answer.ok ? ((await answer.json()) as T) : undefined
  } catch {
    return undefined
  }
}
