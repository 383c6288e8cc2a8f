/** The servers of the demo: processes of their own, with their logs on disk, that can be killed and started again. */
import { once } from 'node:events'
import { createWriteStream, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type BootstrapOptions, bootstrap } from '../../broker/bootstrap.ts'
import { type Address, address } from '../../proto/ids.ts'
import { dialNats } from '../../proto/transport/nats.ts'
import { formatNatsUrl, type NatsOptions } from '../../proto/transport/nats-options.ts'
import { natsServerAddress } from '../../proto/transport/nats-subjects.ts'
import { dialTcp } from '../../proto/transport/tcp.ts'
import { type ChildProcess, startModule } from '../child-process.ts'
import { freePorts } from '../peers/ports.ts'

const readyTimeoutMs = 60_000
const stopTimeoutMs = 5_000
/** The command line, from the sources as well as from dist/. */
const cli = fileURLToPath(new URL(`../../broker/cli/main${extname(import.meta.url)}`, import.meta.url))

interface ServerProcess {
  readonly id: string
  readonly address: Address
  child: ChildProcess | null
  /** Its end was asked for: an exit is no failure. */
  isEnding: boolean
}

export class Servers {
  readonly #folder: string
  readonly #processes = new Map<string, ServerProcess>()
  readonly #onDeath: (error: Error) => void
  readonly #serveArgs: readonly string[]
  readonly #nats: NatsOptions | null
  /** They were told to end: none is started any more. */
  #isOver = false

  /**
   * @param onDeath a server ended and nobody had asked it to
   * @param serveArgs further arguments of `serve` for every server
   * @param nats how they are reached, where that is not TCP
   */
  constructor(
    folder: string,
    onDeath: (error: Error) => void,
    serveArgs: readonly string[] = [],
    nats: NatsOptions | null = null,
  ) {
    this.#folder = folder
    this.#onDeath = onDeath
    this.#serveArgs = serveArgs
    this.#nats = nats
  }

  /** All of them, running or not. */
  get url(): string {
    return this.#nats === null ? `epochcast://${this.#addresses().join(',')}` : formatNatsUrl(this.#nats)
  }

  /** Starts servers with empty disks and makes them a cluster. */
  async boot(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      const at = this.#nats === null ? await freeAddress(this.#addresses()) : natsServerAddress(id)
      this.#processes.set(id, { id, address: at, child: null, isEnding: false })
    }
    await Promise.all(ids.map((id) => this.start(id)))
    const nats = this.#nats
    const dial: BootstrapOptions['dial'] = (name, handler) =>
      nats === null ? dialTcp({ name, handler }) : dialNats({ name, nats, handler })
    await bootstrap({ servers: this.#addresses(), dial })
  }

  /** Starts a server on what is on its disk; resolves when it serves. */
  async start(id: string): Promise<void> {
    if (this.#isOver) throw new Error(`server ${id} is not started: the demo is over`)
    const server = this.#of(id)
    const peers = this.#addresses().filter((other) => other !== server.address)
    const listen = this.#nats === null ? ['--listen', server.address] : ['--nats', formatNatsUrl(this.#nats)]
    const args = ['--id', id, '--data', join(this.#folder, id), ...listen, '--peers', peers.join(',')]
    const child = startModule(cli, ['serve', ...args, ...this.#serveArgs, '--json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
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
    this.#isOver = true
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
    this.#isOver = true
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

async function freeAddress(taken: readonly Address[]): Promise<Address> {
  const [port] = await freePorts(
    1,
    taken.map((one) => Number(one.split(':')[1])),
  )
  return address(`127.0.0.1:${port}`)
}
