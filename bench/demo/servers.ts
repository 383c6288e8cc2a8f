/** The servers of the demo: processes of their own, with their logs on disk, that can be killed and started again. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { bootstrap } from '../../broker/bootstrap.ts'
import { type Address, address } from '../../proto/ids.ts'
import { dialTcp } from '../../proto/transport/tcp.ts'

const readyTimeoutMs = 60_000
const stopTimeoutMs = 5_000
// Below the ports that systems give to outgoing connections: nobody takes one while its server is down.
const firstPort = 15_000
const portCount = 15_000
const portTriesMax = 200

const cli = besides('../../broker/cli/main')

interface ServerProcess {
  readonly id: string
  readonly address: Address
  child: ChildProcess | null
  /** Whoever started it wants it to end. */
  isEnding: boolean
}

export class Servers {
  readonly #folder: string
  readonly #processes = new Map<string, ServerProcess>()
  readonly #onDeath: (error: Error) => void
  readonly #serveArgs: readonly string[]

  /**
   * @param onDeath a server ended and nobody had asked it to
   * @param serveArgs what every server is told besides
   */
  constructor(folder: string, onDeath: (error: Error) => void, serveArgs: readonly string[] = ['--no-replace']) {
    this.#folder = folder
    this.#onDeath = onDeath
    this.#serveArgs = serveArgs
  }

  /** All of them, running or not. */
  get url(): string {
    return `epochcast://${this.#addresses().join(',')}`
  }

  /** Starts servers with empty disks and makes them a cluster. */
  async boot(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const free = address(`127.0.0.1:${await freePort(this.#addresses())}`)
      this.#processes.set(id, { id, address: free, child: null, isEnding: false })
    }
    await Promise.all(ids.map((id) => this.start(id)))
    await bootstrap({ servers: this.#addresses(), dial: (name, handler) => dialTcp({ name, handler }) })
  }

  /** Starts a server on what is on its disk; resolves when it serves. */
  async start(id: string): Promise<void> {
    const server = this.#of(id)
    const peers = this.#addresses().filter((other) => other !== server.address)
    const args = ['--id', id, '--data', join(this.#folder, id), '--listen', server.address, '--peers', peers.join(',')]
    const child = spawn(
      process.execPath,
      [
        ...process.execArgv,
        '--import',
        besides('./leash').href,
        fileURLToPath(cli),
        'serve',
        ...args,
        ...this.#serveArgs,
        '--json',
      ],
      { stdio: ['ignore', 'pipe', 'pipe', 'ipc'] },
    )
    server.child = child
    server.isEnding = false
    child.stderr?.pipe(createWriteStream(this.#errorsOf(id), { flags: 'a' }))
    child.once('exit', (code, signal) => {
      if (server.child === child) server.child = null
      if (server.isEnding) return
      this.#onDeath(new Error(`server ${id} ended by itself (${signal ?? code})${this.#lastWords(id)}`))
    })
    await this.#ready(id, child)
  }

  /** Null while it does not run. */
  pidOf(id: string): number | null {
    return this.#of(id).child?.pid ?? null
  }

  /** Stops it where it stands, or lets it go on. */
  signal(id: string, signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#of(id).child?.kill(signal)
  }

  /** Ends a server at once, with whatever it had not flushed. */
  async kill(id: string): Promise<void> {
    const server = this.#of(id)
    const { child } = server
    if (child === null) return
    server.isEnding = true
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  /** Asks all to end. @returns those that had to be killed */
  async stop(): Promise<string[]> {
    const stubborn: string[] = []
    const ending = [...this.#processes.values()].map(async (server) => {
      const { child } = server
      if (child === null) return
      server.isEnding = true
      const ended = once(child, 'exit')
      const timer = setTimeout(() => {
        stubborn.push(server.id)
        child.kill('SIGKILL')
      }, stopTimeoutMs)
      child.kill('SIGTERM')
      // One that stands still hears nothing.
      child.kill('SIGCONT')
      await ended
      clearTimeout(timer)
    })
    await Promise.all(ending)
    return stubborn
  }

  /** For the last moment of this process: nothing may wait any more. */
  killAll(): void {
    for (const server of this.#processes.values()) {
      server.isEnding = true
      server.child?.kill('SIGKILL')
    }
  }

  async #ready(id: string, child: ChildProcess): Promise<void> {
    if (child.stdout === null) throw new Error('a server without stdout')
    const lines = createInterface({ input: child.stdout })
    const timer = setTimeout(() => child.kill('SIGKILL'), readyTimeoutMs)
    try {
      for await (const line of lines) {
        if (line.includes('"ready":true')) return
      }
    } finally {
      clearTimeout(timer)
      // Reading the line has paused it; what else it says is of no interest, and must not fill the pipe.
      child.stdout.resume()
    }
    throw new Error(`server ${id} did not start within ${readyTimeoutMs} ms${this.#lastWords(id)}`)
  }

  #lastWords(id: string): string {
    try {
      const text = readFileSync(this.#errorsOf(id), 'utf8').trimEnd()
      return text === '' ? '' : `; its last words:\n${text.split('\n').slice(-20).join('\n')}`
    } catch {
      return ''
    }
  }

  #errorsOf(id: string): string {
    return join(this.#folder, `${id}.stderr`)
  }

  #addresses(): Address[] {
    return [...this.#processes.values()].map((server) => server.address)
  }

  #of(id: string): ServerProcess {
    const server = this.#processes.get(id)
    if (server === undefined) throw new Error(`no server is called ${id}`)
    return server
  }
}

/** A module of this package, from the sources as well as from dist/. */
function besides(path: string): URL {
  return new URL(`${path}${extname(import.meta.url)}`, import.meta.url)
}

/** A port of loopback that nobody listens on. */
export async function freePort(taken: readonly Address[]): Promise<number> {
  for (let turn = 0; turn < portTriesMax; turn++) {
    const port = firstPort + Math.floor(Math.random() * portCount)
    if (!taken.includes(address(`127.0.0.1:${port}`)) && (await isFree(port))) return port
  }
  throw new Error(`no free port from ${firstPort} to ${firstPort + portCount}`)
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
