/** One server as a process of its own, as a user would start it: `epochcast serve` on a directory of its own. */
import { once } from 'node:events'
import { appendFileSync, createWriteStream, existsSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type ChildProcess, startChild } from '../../bench/child-process.ts'

const readyTimeoutMs = 60_000
/** The command line, from the sources as well as from dist/. */
const cli = fileURLToPath(new URL(`../../broker/cli/main${extname(import.meta.url)}`, import.meta.url))

export interface ServerOptions {
  readonly id: string
  /** Where it listens, `host:port`. */
  readonly listen: string
  /** Where others reach it, when that is elsewhere. */
  readonly advertise?: string
  readonly data: string
  /** Logs of all its processes go here. */
  readonly logs: string
  readonly peers: () => readonly string[]
  /** Commands in front, such as one that enters a namespace. */
  readonly wrapper?: readonly string[]
}

/** How a process ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly words: string
}

export class ServerProcess {
  readonly options: ServerOptions
  /** Variables of the next start, such as a library to load first. */
  environment: Readonly<Record<string, string>> = {}
  /** Ends that nobody asked for. */
  readonly unexpected: Exit[] = []
  #child: ChildProcess | null = null
  #isEnding = false
  #starts = 0
  #words = ''

  constructor(options: ServerOptions) {
    this.options = options
  }

  get id(): string {
    return this.options.id
  }

  get address(): string {
    return this.options.advertise ?? this.options.listen
  }

  get isRunning(): boolean {
    return this.#child !== null
  }

  /** The output of the present process on stderr. */
  get words(): string {
    return this.#words
  }

  /** Starts it on what is on its disk; resolves with its name when it serves, rejects when it ends instead. */
  async start(): Promise<string> {
    const exit = this.launch()
    const child = this.#child
    if (child?.stdout == null) throw new Error('a server without stdout')
    const timer = setTimeout(() => child.kill('SIGKILL'), readyTimeoutMs)
    try {
      for await (const line of createInterface({ input: child.stdout })) {
        if (line.includes('"ready":true')) return String((JSON.parse(line) as { name: unknown }).name)
      }
    } finally {
      clearTimeout(timer)
      child.stdout.resume()
    }
    const { code, signal, words } = await exit
    throw new Error(`server ${this.id} did not start (${signal ?? code}): ${words}`)
  }

  /** Starts it without waiting for it to serve. @returns how it ends */
  launch(): Promise<Exit> {
    if (this.#child !== null) throw new Error(`server ${this.id} is running`)
    const { id, listen, advertise, data, logs, wrapper = [] } = this.options
    const where = ['--id', id, '--data', data, '--listen', listen, '--insecure']
    const peers = this.options.peers().filter((peer) => peer !== this.address)
    const args = [...where, '--peers', peers.join(','), ...(advertise === undefined ? [] : ['--advertise', advertise])]
    const program = [process.execPath, ...process.execArgv, cli, 'serve']
    const [command = '', ...rest] = [...wrapper, ...program, ...args, '--json']
    const child = startChild(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...this.environment },
    })
    this.#child = child
    this.#isEnding = false
    this.#words = ''
    const log = join(logs, `${id}.log`)
    appendFileSync(log, `--- start ${++this.#starts}, process ${child.pid}\n`)
    child.stderr?.pipe(createWriteStream(log, { flags: 'a' }))
    child.stderr?.on('data', (chunk: Buffer) => {
      this.#words += chunk.toString()
    })
    return new Promise((resolve) => {
      child.once('close', (code, signal) => {
        if (this.#child === child) this.#child = null
        const exit = { code, signal, words: this.#words.trim() }
        if (!this.#isEnding) this.unexpected.push(exit)
        resolve(exit)
      })
    })
  }

  /** Ends it at once, without a word. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  /** Asks it to end. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** The log of this server so far, over all its processes. */
  log(): string {
    const path = join(this.options.logs, `${this.id}.log`)
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#isEnding = true
    const ended = once(child, 'close')
    child.kill(signal)
    // One that is stopped hears of nothing else than the end.
    if (signal !== 'SIGKILL') child.kill('SIGCONT')
    await ended
  }
}
