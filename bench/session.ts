/** One run of a benchmark: where it writes, how it is interrupted, what must be ended with it, whose CPU it watches. */
import { mkdtempSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { makeDirectory } from '../broker/log/make-directory.ts'
import { EpochcastError } from '../proto/errors.ts'
import { Status } from './demo/status.ts'
import { type MachineShare, MachineWatch } from './measure/processes.ts'
import { finish, type Report } from './report/write.ts'

export interface SessionOptions {
  /** Results are written here. */
  readonly out: string
  /** Servers keep their logs in a new folder here, which is removed at the end. */
  readonly data: string
  readonly json: boolean
  readonly keep: boolean
}

export class Session {
  readonly json: boolean
  readonly out: string
  readonly dataFolder: string
  readonly #keep: boolean
  readonly #ending = new AbortController()
  readonly #killers = new Set<() => void>()
  readonly #watch = new MachineWatch()
  readonly #status = new Status(() => this.#line())
  #now = ''
  #numbers: (() => string) | null = null

  constructor(options: SessionOptions) {
    this.json = options.json
    this.out = resolve(options.out)
    this.#keep = options.keep
    makeDirectory(options.data)
    this.dataFolder = mkdtempSync(join(resolve(options.data), 'epochcast-bench-'))
  }

  /**
   * Runs a command to its report, interrupted by Ctrl-C, and cleans up behind it; the exit status of the process tells the rest.
   * @throws EpochcastError `EC_ABORTED` when interrupted; whatever the command throws
   */
  static async run<Summary extends { readonly command: string }>(
    options: SessionOptions,
    command: (session: Session) => Promise<Report<Summary>>,
  ): Promise<void> {
    const session = new Session(options)
    const interrupt = () => {
      // The second time without ceremony.
      if (session.signal.aborted) process.exit(130)
      session.interrupt(new EpochcastError('EC_ABORTED', 'interrupted'))
    }
    const close = () => session.close()
    process.on('exit', close)
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, interrupt)
    try {
      const report = await command(session)
      const { machine } = session
      session.#status.end()
      process.exitCode = finish(session, report, machine)
    } catch (error) {
      throw session.signal.aborted ? session.signal.reason : error
    } finally {
      process.off('exit', close)
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, interrupt)
      session.close()
    }
  }

  get signal(): AbortSignal {
    return this.#ending.signal
  }

  interrupt(reason: Error): void {
    this.#ending.abort(reason)
  }

  /**
   * Called when the whole process must end at once.
   * @returns a function that takes it back
   */
  onKill(kill: () => void): () => void {
    this.#killers.add(kill)
    return () => this.#killers.delete(kill)
  }

  /** A process of ours: its CPU is not somebody else's. */
  own(...pids: readonly (number | undefined)[]): void {
    this.#watch.add(pids.filter((pid) => pid !== undefined))
  }

  /** It will end: to be called while it lives. */
  disown(...pids: readonly (number | undefined)[]): void {
    for (const pid of pids) if (pid !== undefined) this.#watch.leave(pid)
  }

  get machine(): MachineShare {
    return this.#watch.share()
  }

  /** A line that stays, on stderr. */
  say(text: string): void {
    this.#status.say(text)
  }

  get doing(): string {
    return this.#now
  }

  /** What is going on now, on stderr. */
  now(text: string): void {
    this.#now = text
  }

  /** Shown behind it; null: none. */
  showNumbers(numbers: (() => string) | null): void {
    this.#numbers = numbers
  }

  /** Nothing of it is left. */
  close(): void {
    this.#status.end()
    for (const kill of this.#killers) kill()
    if (this.#keep) process.stderr.write(`kept: ${this.dataFolder}\n`)
    else rmSync(this.dataFolder, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 })
  }

  #line(): string {
    const numbers = this.#numbers?.() ?? ''
    return numbers === '' ? this.#now : `${this.#now}  ${numbers}`
  }
}
