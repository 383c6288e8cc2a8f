/** A real redis-server on a free loopback port, with a folder of its own: it survives being killed as its settings say. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { findProgram, PeerProcess, versionOf } from './peer-process.ts'
import { freePorts } from './ports.ts'

export interface RedisServerOptions {
  /** Instead of the settings that a decision engine needs. */
  readonly settings?: Readonly<Record<string, string>>
  /** Milliseconds to be ready in. */
  readonly readyTimeoutMs?: number
}

const program = 'redis-server'
const host = '127.0.0.1'
const pollMs = 20
const askTimeoutMs = 1_000
const defaultReadyTimeoutMs = 30_000
const durable = { appendonly: 'yes', appendfsync: 'always', 'maxmemory-policy': 'noeviction' }

export const redisInstallHint = 'Install it: apt-get install redis-server (Debian), brew install redis (macOS).'

/** Version of the installed redis-server, such as `7.0.15`; null when there is none. */
export function redisServerVersion(): string | null {
  return versionOf(program)
}

export class RedisServer {
  readonly port: number
  readonly #folder: string
  readonly #path: string
  readonly #readyTimeoutMs: number
  #process: PeerProcess | null = null

  private constructor(folder: string, path: string, port: number, readyTimeoutMs: number) {
    this.#folder = folder
    this.#path = path
    this.port = port
    this.#readyTimeoutMs = readyTimeoutMs
  }

  /** @throws Error when redis-server is not installed or does not get ready */
  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const path = findProgram(program)
    if (path === null) throw new Error(`${program} is not installed. ${redisInstallHint}`)
    const folder = await mkdtemp(join(tmpdir(), 'epochcast-redis-'))
    const [port = 0] = await freePorts(1)
    const server = new RedisServer(folder, path, port, options.readyTimeoutMs ?? defaultReadyTimeoutMs)
    const settings = { bind: host, port: String(port), dir: folder, save: '""', ...durable, ...options.settings }
    const lines = Object.entries(settings).map(([key, value]) => `${key} ${value}`)
    await writeFile(join(folder, 'redis.conf'), `${lines.join('\n')}\n`)
    try {
      await server.restart()
      return server
    } catch (error) {
      await server.close()
      throw error
    }
  }

  get url(): string {
    return `redis://${host}:${this.port}`
  }

  /** Ends it at once: what it had not written to its file is gone. */
  async kill(): Promise<void> {
    await this.#process?.kill()
    this.#process = null
  }

  /** Starts it again on its file, at its old port; resolves when it serves. */
  async restart(): Promise<void> {
    await this.kill()
    this.#process = new PeerProcess(this.#path, [join(this.#folder, 'redis.conf')], join(this.#folder, 'log'))
    const deadline = performance.now() + this.#readyTimeoutMs
    while (!(await this.#isReady())) {
      if (this.#process.isEnded || performance.now() > deadline)
        throw new Error(`${program} did not get ready: ${this.#process.lastWords()}`)
      await sleep(pollMs)
    }
  }

  /** Stops it without ending it: its connections stay open and silent. */
  freeze(): void {
    this.#process?.signal('SIGSTOP')
  }

  thaw(): void {
    this.#process?.signal('SIGCONT')
  }

  /** Ends it and removes its folder. */
  async close(): Promise<void> {
    await this.kill()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** For the last moment of this process: nothing may wait any more. */
  killNow(): void {
    this.#process?.signal('SIGKILL')
  }

  /** It serves when it has read its file and answers. */
  #isReady(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ port: this.port, host })
      const end = (answer: boolean) => {
        socket.destroy()
        resolve(answer)
      }
      socket.setTimeout(askTimeoutMs, () => end(false))
      socket.once('connect', () => socket.write('PING\r\n'))
      socket.once('data', (bytes) => end(bytes.toString().startsWith('+PONG')))
      socket.once('error', () => end(false))
      socket.once('close', () => resolve(false))
    })
  }
}
