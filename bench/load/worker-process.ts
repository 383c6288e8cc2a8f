/** A load process as the benchmark that started it sees it. */
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ChildProcess, startModule } from '../child-process.ts'
import type {
  FromWorker,
  PublisherResult,
  PublisherSpec,
  SubscriberResult,
  SubscriberSpec,
  ToWorker,
} from './contract.ts'

const endTimeoutMs = 3_000

/** The target does not offer the requested order, call or peer. */
export class Refused extends Error {}

export class WorkerProcess {
  published = 0
  settled = 0
  readonly #child: ChildProcess
  #isEnding = false
  #waiting: { resolve(message: FromWorker): void; reject(error: Error): void } | null = null
  #failure: Error | null = null
  readonly #arrived: FromWorker[] = []

  /** @param onFailure it failed while nobody waited for it */
  constructor(onFailure: (error: Error) => void) {
    const path = fileURLToPath(new URL(`./worker${extname(import.meta.url)}`, import.meta.url))
    // Thousands of promises wait at once: in the 16 MiB that Node gives to young objects they would be copied again and again.
    const flags = ['--max-semi-space-size=64']
    this.#child = startModule(
      path,
      [],
      { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], serialization: 'advanced' },
      flags,
    )
    const fail = (error: Error) => {
      this.#failure ??= error
      if (this.#waiting === null) onFailure(error)
      this.#waiting?.reject(error)
      this.#waiting = null
    }
    this.#child.on('message', (message) => this.#take(message as FromWorker, fail))
    this.#child.once('exit', (code, signal) => {
      if (!this.#isEnding) fail(new Error(`a load process ended by itself (${signal ?? code})`))
    })
    this.#child.once('error', fail)
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Resolves when it is connected. @throws Refused */
  async open(spec: PublisherSpec | SubscriberSpec): Promise<void> {
    this.send({ kind: 'open', spec })
    const answer = await this.#next()
    if (answer.kind === 'refused') throw new Refused(answer.reason)
  }

  send(message: ToWorker): void {
    if (this.#child.connected) this.#child.send(message)
  }

  async result(): Promise<PublisherResult | SubscriberResult> {
    const message = await this.#next()
    if (message.kind === 'published' || message.kind === 'subscribed') return message
    throw new Error(`a load process said ${message.kind}`)
  }

  async end(): Promise<void> {
    if (this.#isEnding) return
    this.#isEnding = true
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), endTimeoutMs)
    this.send({ kind: 'end' })
    await ended
    clearTimeout(timer)
  }

  /** For the last moment of this process. */
  kill(): void {
    this.#isEnding = true
    this.#child.kill('SIGKILL')
  }

  #take(message: FromWorker, fail: (error: Error) => void): void {
    if (message.kind === 'count') {
      this.published = message.published
      this.settled = message.settled
    } else if (message.kind === 'failed') fail(new Error(message.reason))
    else if (this.#waiting === null) this.#arrived.push(message)
    else {
      const { resolve } = this.#waiting
      this.#waiting = null
      resolve(message)
    }
  }

  #next(): Promise<FromWorker> {
    const arrived = this.#arrived.shift()
    if (arrived !== undefined) return Promise.resolve(arrived)
    if (this.#failure !== null) return Promise.reject(this.#failure)
    return new Promise((resolve, reject) => {
      this.#waiting = { resolve, reject }
    })
  }
}
