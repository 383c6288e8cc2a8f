/** What every command has: where it writes, how it connects, how it is interrupted. */

import type { Command } from 'commander'
import { type Client, connect, environmentUrl } from '../../client-sdk/index.ts'
import { onAbort } from '../../proto/aborts.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { bad } from './arguments.ts'
import { type Colors, colorsFor } from './terminal/colors.ts'
import { Output } from './terminal/output.ts'
import { Progress } from './terminal/progress.ts'
import { confirm } from './terminal/question.ts'
import { type Column, table } from './terminal/table.ts'

/** Options that every command takes. */
export interface Globals {
  readonly url?: string
  /** Milliseconds. */
  readonly timeout?: number
  readonly json?: boolean
}

const connectTimeoutMs = 3_000
/** How long one of several servers is waited for, in milliseconds; not more than half of the time that is left. */
const questionTimeoutMs = 2_000
/** How much later than the time limits of its calls a command's own limit strikes, in milliseconds: calls say more. */
const slackMs = 100
/** How long a command may take to unwind when its time is over, in milliseconds. */
const unwindMs = 2_000

/**
 * What `--timeout` means to a command.
 * - whole: the command as a whole, from its start
 * - own: the command says in its help what it means there
 * - refused: the command runs until it is stopped
 */
export type TimeMeaning = 'whole' | 'own' | 'refused'

export interface CommandTraits {
  /** `whole` unless said otherwise. */
  readonly time?: TimeMeaning
  /** The command is for its output alone: it ends when nobody takes that any more. Others finish their work. */
  readonly isForOutput?: boolean
  /** The command connects to no cluster. */
  readonly isLocal?: boolean
}

export class Context {
  readonly globals: Globals
  readonly out: Output
  /** JSON on standard output: asked for. */
  readonly json: boolean
  /** Tables, plans and questions: somebody looks. Otherwise records are JSON lines. */
  readonly forPeople: boolean
  readonly colors: Colors
  readonly progress: Progress
  readonly #errorColors: Colors
  readonly #interruption = new AbortController()
  readonly #deadline: number | null
  readonly #timer: NodeJS.Timeout | undefined
  #isListening = false
  #outOfTime: EpochcastError | null = null

  constructor(globals: Globals, { time = 'whole', isForOutput = false, isLocal = false }: CommandTraits = {}) {
    this.globals = globals
    this.json = globals.json === true
    this.forPeople = !this.json && process.stdout.isTTY === true
    this.out = new Output(process.stdout, (lost) => {
      if (isForOutput) this.#interruption.abort(lost)
    })
    this.colors = colorsFor(process.stdout)
    this.#errorColors = colorsFor(process.stderr)
    this.progress = new Progress(process.stderr, !this.json)
    const { timeout, url } = globals
    if (url !== undefined && isLocal) throw bad('--url is not for this command: it connects to no cluster')
    if (timeout !== undefined && time === 'refused')
      throw bad('--timeout is not for this command: it runs until it is stopped')
    const isBounded = timeout !== undefined && time === 'whole'
    this.#deadline = isBounded ? performance.now() + timeout : null
    this.#timer = isBounded ? setTimeout(() => this.#onTime(timeout), timeout + slackMs) : undefined
  }

  /** Aborts at the first Ctrl-C, when the command's time is over, or when its output is lost; a second Ctrl-C ends the process. */
  get signal(): AbortSignal {
    if (!this.#isListening) {
      this.#isListening = true
      const interrupt = () => this.#interruption.abort(new EpochcastError('EC_ABORTED', 'interrupted'))
      process.once('SIGINT', interrupt)
      process.once('SIGTERM', interrupt)
    }
    return this.#interruption.signal
  }

  /** Limits for one call: what is left of the user's time, or the time given. */
  limits(defaultMs?: number): { readonly signal: AbortSignal; readonly timeoutMs?: number } {
    const left = this.#deadline === null ? this.globals.timeout : this.#deadline - performance.now()
    const timeoutMs = left === undefined ? defaultMs : Math.max(1, Math.round(left))
    return { signal: this.signal, ...(timeoutMs !== undefined && { timeoutMs }) }
  }

  /**
   * Limits for a question to one of several servers: one that is silent leaves time for what the others say.
   * @param usualMs how long it is waited for where there is time enough
   */
  questionLimits(usualMs = questionTimeoutMs): { readonly signal: AbortSignal; readonly timeoutMs: number } {
    const { signal, timeoutMs = usualMs } = this.limits()
    if (this.#deadline === null) return { signal, timeoutMs }
    return { signal, timeoutMs: Math.max(1, Math.min(usualMs, Math.floor(timeoutMs / 2))) }
  }

  /**
   * Runs a command to its end.
   * @throws OutputLost when its output could not be written, EpochcastError `EC_TIMEOUT` when its time was over
   */
  async run(command: () => Promise<void>): Promise<void> {
    try {
      await Promise.race([command(), this.#overdue()])
      await this.out.end()
    } catch (error) {
      await this.out.end()
      throw this.#reasonFor(error)
    } finally {
      clearTimeout(this.#timer)
      this.progress.clear()
    }
    const { lost } = this.out
    if (lost !== null) throw lost
    if (this.#outOfTime !== null) throw this.#outOfTime
  }

  /** Why a command failed: what ended it, where that was not its own fault. */
  #reasonFor(error: unknown): unknown {
    if (!(error instanceof EpochcastError) || error.code !== 'EC_ABORTED') return error
    return this.out.lost ?? (this.#outOfTime === null ? error : outOfTime(error))
  }

  /** Rejects when a command goes on although its time has been over for a while. */
  #overdue(): Promise<never> {
    return new Promise((_, reject) => {
      onAbort(this.#interruption.signal, () => {
        if (this.#outOfTime !== null) setTimeout(() => reject(this.#outOfTime), unwindMs).unref()
      })
    })
  }

  #onTime(timeoutMs: number): void {
    this.#outOfTime = new EpochcastError('EC_TIMEOUT', `not done within ${timeoutMs.toLocaleString('en-US')} ms`)
    this.#interruption.abort(this.#outOfTime)
  }

  /** @param fallback url to connect to where the user names none */
  async withClient<T>(use: (client: Client) => Promise<T>, fallback?: string): Promise<T> {
    const { timeout } = this.globals
    const url = this.globals.url ?? environmentUrl() ?? fallback
    const timeoutMs = Math.min(this.limits(timeout).timeoutMs ?? connectTimeoutMs, connectTimeoutMs)
    const client = await connect(url, { timeoutMs, signal: this.signal })
    try {
      return await use(client)
    } finally {
      this.progress.clear()
      await client.close()
    }
  }

  /** Whether somebody sees a question and can answer it. */
  get canAsk(): boolean {
    return this.forPeople && process.stdin.isTTY === true
  }

  /**
   * Whether the user agrees to what the plan above says: by `--yes`, or by an answer on a terminal.
   * @throws EpochcastError `EC_BAD_ARGUMENT` where nobody can be asked
   */
  async agree(question: string, yes: boolean | undefined): Promise<boolean> {
    if (yes === true) return true
    if (this.canAsk) return this.#ask(question)
    throw bad(
      'nothing was changed: nobody was there to agree to the plan',
      'say --yes to carry it out without a question',
    )
  }

  /** Asks on a terminal, behind everything that was shown. */
  async #ask(question: string): Promise<boolean> {
    await this.out.end()
    this.progress.clear()
    return confirm(question, this.signal)
  }

  /** For people, beside the records: stderr, dim. */
  note(text: string): void {
    this.out.flush()
    this.progress.clear()
    process.stderr.write(`${this.#errorColors.dim(text)}\n`)
  }

  warn(text: string): void {
    this.out.flush()
    this.progress.clear()
    process.stderr.write(`${this.#errorColors.yellow('warning:')} ${text}\n`)
  }

  /** Something beside the records, for people or for programs, on stderr. */
  aside(value: object, text: string): void {
    if (!this.json) return this.note(text)
    this.out.flush()
    process.stderr.write(`${JSON.stringify(value)}\n`)
  }

  /** Records: a table for people, else one JSON object a line. */
  records<Row>(
    rows: readonly Row[],
    columns: readonly Column<Row>[],
    toJson: (row: Row) => object,
    none: string,
  ): void {
    if (!this.forPeople) for (const row of rows) this.out.json(toJson(row))
    else if (rows.length === 0) this.note(none)
    else this.out.write(table(rows, columns, this.colors))
  }
}

/** What a command does; `operands` are its arguments as they were typed. */
export type Handler<Options> = (
  context: Context,
  options: Options & Globals,
  operands: readonly string[],
) => Promise<void>

export function handle<Options = Globals>(command: Command, handler: Handler<Options>, traits?: CommandTraits): void {
  command.action(async () => {
    const options = command.optsWithGlobals<Options & Globals>()
    const context = new Context(options, traits)
    await context.run(() => handler(context, options, command.args))
  })
}

/** The same failure, said as the end of the time rather than of a call. */
function outOfTime(error: EpochcastError): EpochcastError {
  const { hint, messageId } = error
  return new EpochcastError('EC_TIMEOUT', error.message.replace(/ was aborted$/, ' took too long'), {
    cause: error,
    ...(hint !== undefined && { hint }),
    ...(messageId !== undefined && { messageId }),
  })
}
