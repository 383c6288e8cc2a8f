/** What every command has: where it writes, how it connects, how it is interrupted. */

import type { Command } from 'commander'
import { type Client, connect, environmentUrl } from '../../client-sdk/index.ts'
import { EpochcastError } from '../../proto/errors.ts'
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
  #interruption: AbortController | null = null

  constructor(globals: Globals) {
    this.globals = globals
    this.json = globals.json === true
    this.forPeople = !this.json && process.stdout.isTTY === true
    this.out = new Output(process.stdout)
    this.colors = colorsFor(process.stdout)
    this.#errorColors = colorsFor(process.stderr)
    this.progress = new Progress(process.stderr, !this.json)
  }

  /** Aborts at the first Ctrl-C; the second ends the process. */
  get signal(): AbortSignal {
    if (this.#interruption === null) {
      const interruption = new AbortController()
      this.#interruption = interruption
      const interrupt = () => interruption.abort(new EpochcastError('EC_ABORTED', 'interrupted'))
      process.once('SIGINT', interrupt)
      process.once('SIGTERM', interrupt)
    }
    return this.#interruption.signal
  }

  /** Limits for one call: the user's time, or the one given. */
  limits(defaultMs?: number): { readonly signal: AbortSignal; readonly timeoutMs?: number } {
    const timeoutMs = this.globals.timeout ?? defaultMs
    return { signal: this.signal, ...(timeoutMs !== undefined && { timeoutMs }) }
  }

  /** @param fallback url to connect to where the user names none */
  async withClient<T>(use: (client: Client) => Promise<T>, fallback?: string): Promise<T> {
    const { timeout } = this.globals
    const url = this.globals.url ?? environmentUrl() ?? fallback
    const timeoutMs = Math.min(timeout ?? connectTimeoutMs, connectTimeoutMs)
    const client = await connect(url, { timeoutMs, signal: this.signal })
    try {
      return await use(client)
    } finally {
      this.progress.clear()
      await client.close()
    }
  }

  /** Asks on a terminal, behind everything that was shown. */
  async ask(question: string): Promise<boolean> {
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

export function handle<Options = Globals>(command: Command, handler: Handler<Options>): void {
  command.action(async () => {
    const options = command.optsWithGlobals<Options & Globals>()
    const context = new Context(options)
    try {
      await handler(context, options, command.args)
    } finally {
      context.progress.clear()
      await context.out.end()
    }
  })
}
