/** A server of somebody else: found, started on loopback, ended with this process however that ends. */
import { once } from 'node:events'
import { createWriteStream, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChildProcess, startChild } from '../child-process.ts'
import { nowUs } from '../measure/clock.ts'
import type { Session } from '../session.ts'

const readyTimeoutMs = 20_000
const endTimeoutMs = 5_000
const pollMs = 20

export class PeerProcess {
  readonly name: string
  readonly port: number
  readonly #session: Session
  readonly #command: readonly string[]
  readonly #log: string
  #child: ChildProcess | null = null
  #release: () => void = () => {}
  #isEnding = false

  constructor(session: Session, name: string, port: number, command: readonly string[], folder: string) {
    this.#session = session
    this.name = name
    this.port = port
    this.#command = command
    this.#log = join(folder, `${name}.log`)
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const [program = '', ...args] = this.#command
    // Not of this terminal's group: Ctrl-C is for this process to handle.
    const child = startChild(program, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    this.#child = child
    this.#isEnding = false
    const log = createWriteStream(this.#log, { flags: 'a' })
    child.stdout?.pipe(log, { end: false })
    child.stderr?.pipe(log, { end: false })
    child.once('error', (error) => this.#session.interrupt(error))
    child.once('exit', (code, signal) => {
      if (this.#child === child) this.#child = null
      if (this.#isEnding) return
      this.#session.interrupt(new Error(`${this.name} ended by itself (${signal ?? code})${this.#lastWords()}`))
    })
    this.#release = this.#session.onKill(() => child.kill('SIGKILL'))
    this.#session.own(child.pid)
    const deadlineUs = nowUs() + readyTimeoutMs * 1000
    while (!(await answers(this.port))) {
      this.#session.signal.throwIfAborted()
      if (nowUs() > deadlineUs) throw new Error(`${this.name} does not take connections${this.#lastWords()}`)
      await sleep(pollMs)
    }
  }

  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }

  async end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (child === null) return
    this.#isEnding = true
    this.#session.disown(child.pid)
    const ended = once(child, 'exit')
    const timer = setTimeout(() => child.kill('SIGKILL'), endTimeoutMs)
    child.kill(signal)
    // One that stands still hears nothing.
    child.kill('SIGCONT')
    await ended
    clearTimeout(timer)
    this.#release()
  }

  #lastWords(): string {
    try {
      return `; its last words:\n${readFileSync(this.#log, 'utf8').trimEnd().split('\n').slice(-10).join('\n')}`
    } catch {
      return ''
    }
  }
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (isThere: boolean) => {
      socket.destroy()
      resolve(isThere)
    }
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
