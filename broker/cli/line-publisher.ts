import { fstatSync } from 'node:fs'
import type { Client, Properties, Topic } from '../../client-sdk/index.ts'
import { onAbort } from '../../proto/aborts.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { Context } from './context.ts'
import { count, milliseconds, rounded } from './describe.ts'
import { explained, publishTimeoutMs, showOutcome } from './outcomes.ts'
import { Lines, lineBytesMax } from './terminal/lines.ts'

/** What may be under way between standard input and the servers. */
const pendingMax = 50_000
const pendingBytesMax = 32 * 1024 * 1024
const failuresShownMax = 5
const watchMs = 100

/** Publishes line by line; what waits for its outcome is bounded, so input of any length takes the same memory. */
export class LinePublisher {
  readonly #context: Context
  readonly #client: Client
  readonly #topic: Topic<Uint8Array>
  readonly #properties: Properties
  readonly #showsEach: boolean
  readonly #startedAt = performance.now()
  #read = 0
  #stored = 0
  #unknown = 0
  #failed = 0
  #pending = 0
  #pendingBytes = 0
  #lastOutcomeAt = 0
  #firstFailure: unknown
  #hasGivenUp = false
  /** Standard input failed before its end. */
  #inputFailure: EpochcastError | null = null
  #wake: (() => void) | null = null

  constructor(context: Context, client: Client, topic: Topic<Uint8Array>, properties: Properties) {
    this.#context = context
    this.#client = client
    this.#topic = topic
    this.#properties = properties
    this.#showsEach = context.json || process.stdin.isTTY === true
  }

  /** @throws EpochcastError `EC_BAD_ARGUMENT` for an input that can't be read, and what the messages' publishes threw */
  async run(input: NodeJS.ReadStream & { readonly fd: number }): Promise<void> {
    // Node takes a directory for an empty input.
    if (fstatSync(input.fd).isDirectory()) throw unreadable(new Error('it is a directory'))
    if (input.isTTY === true) this.#context.note('one message a line; Ctrl-D ends')
    const { signal } = this.#context
    const unlisten = signal.aborted ? () => {} : onAbort(signal, () => input.destroy())
    if (signal.aborted) input.destroy()
    const watch = setInterval(() => this.#watch(), watchMs)
    try {
      await this.#publishAll(input)
      while (this.#pending > 0) await this.#change()
    } finally {
      clearInterval(watch)
      unlisten()
      // A stream that nobody reads any more would keep the process.
      input.destroy()
    }
    this.#conclude(signal.aborted)
  }

  async #publishAll(input: NodeJS.ReadStream): Promise<void> {
    const lines = new Lines()
    try {
      for await (const chunk of input) {
        for (const line of lines.take(chunk as Buffer)) await this.#publish(line)
        if (this.#isHopeless()) return
      }
      const rest = lines.rest()
      if (rest !== null) await this.#publish(rest)
    } catch (error) {
      if (this.#context.signal.aborted) return
      // What was read is on its way: it gets its outcome first.
      this.#inputFailure = unreadable(error)
    }
  }

  /** The client has been closed, or nobody can make the topic: the rest of the input would fail the same way. */
  #isHopeless(): boolean {
    if (this.#hasGivenUp) return true
    const first = this.#firstFailure
    const isAboutOne = first instanceof EpochcastError && first.code === 'EC_MESSAGE_TOO_LARGE'
    return first !== undefined && !isAboutOne && this.#stored === 0 && this.#pending === 0
  }

  /** Waits for room, then hands the line over. */
  async #publish(line: Uint8Array | 'too-long'): Promise<void> {
    this.#read++
    if (line === 'too-long') {
      const text = `line ${this.#read} is longer than the ${lineBytesMax} bytes that are allowed`
      this.#onFailure(new EpochcastError('EC_MESSAGE_TOO_LARGE', text, { hint: 'split it, or publish its address' }))
      return
    }
    while (this.#pending >= pendingMax || (this.#pending > 0 && this.#pendingBytes + line.length > pendingBytesMax)) {
      await this.#change()
    }
    if (this.#pending === 0) this.#lastOutcomeAt = performance.now()
    this.#pending++
    this.#pendingBytes += line.length
    const settled = () => {
      this.#pending--
      this.#pendingBytes -= line.length
      this.#lastOutcomeAt = performance.now()
      this.#wakeUp()
    }
    this.#topic.publish(line, this.#properties).then(
      (result) => {
        this.#stored++
        if (this.#showsEach) showOutcome(this.#context, result)
        settled()
      },
      (error: unknown) => {
        this.#onFailure(error)
        settled()
      },
    )
  }

  #onFailure(error: unknown): void {
    const isUnknown = error instanceof EpochcastError && error.code === 'EC_OUTCOME_UNKNOWN'
    if (isUnknown) this.#unknown++
    else this.#failed++
    this.#firstFailure ??= error
    const isAboutOne = error instanceof EpochcastError && error.code === 'EC_MESSAGE_TOO_LARGE'
    if (isAboutOne && this.#failed <= failuresShownMax) this.#context.warn(error.message)
  }

  /** Gives up when nothing has moved for the time that is allowed, so that every message has an answer. */
  #watch(): void {
    // Not over what somebody is typing.
    if (process.stdin.isTTY !== true) this.#context.progress.show(() => this.#progress())
    this.#wakeUp()
    const allowed = this.#context.globals.timeout ?? publishTimeoutMs
    const isStuck = this.#pending > 0 && performance.now() - this.#lastOutcomeAt > allowed
    if (!isStuck && !this.#context.signal.aborted) return
    this.#hasGivenUp = true
    void this.#client.close()
  }

  #progress(): string {
    const perSecond = Math.round((this.#stored * 1000) / (performance.now() - this.#startedAt))
    return `${count(this.#stored, 'message')} stored, ${this.#pending.toLocaleString('en-US')} under way, ${perSecond.toLocaleString('en-US')}/s`
  }

  #conclude(interrupted: boolean): void {
    const seconds = rounded((performance.now() - this.#startedAt) / 1000)
    const [read, stored, failed, unknown] = [this.#read, this.#stored, this.#failed, this.#unknown]
    const rate = Math.round(stored / Math.max(seconds, 0.001)).toLocaleString('en-US')
    const text = `${count(stored, 'message')} stored in ${seconds.toFixed(2)} s, ${rate}/s`
    if (failed + unknown === 0) {
      if (this.#context.json) this.#context.aside({ type: 'summary', read, stored, failed, unknown, seconds }, '')
      else this.#context.note(text)
      if (this.#inputFailure !== null) throw this.#inputFailure
      if (interrupted) throw new EpochcastError('EC_ABORTED', 'interrupted; everything that was read is stored')
      return
    }
    const problems = [
      failed > 0 ? `${failed.toLocaleString('en-US')} not stored` : '',
      unknown > 0 ? `${unknown.toLocaleString('en-US')} without a known outcome` : '',
    ]
    if (stored > 0 || this.#context.json)
      this.#context.aside({ type: 'summary', read, stored, failed, unknown, seconds }, text)
    throw this.#conclusion(problems.filter((problem) => problem !== '').join(', '), interrupted)
  }

  #conclusion(problems: string, interrupted: boolean): unknown {
    const first = explained(this.#firstFailure, this.#topic.name)
    if (!(first instanceof EpochcastError)) return first
    const code = interrupted ? 'EC_ABORTED' : first.code
    const allowed = this.#context.globals.timeout ?? publishTimeoutMs
    // A refusal says more than the silence that followed it.
    const isRefused = first.code === 'EC_DISK_FULL'
    const why =
      this.#hasGivenUp && !interrupted && !isRefused ? `no answer for ${milliseconds(allowed)}` : first.message
    return new EpochcastError(code, `of ${count(this.#read, 'line')}, ${problems}: ${why}`, {
      cause: first,
      ...(first.hint !== undefined && { hint: first.hint }),
      ...(first.messageId !== undefined && { messageId: first.messageId }),
    })
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }

  #wakeUp(): void {
    const wake = this.#wake
    this.#wake = null
    wake?.()
  }
}

function unreadable(error: unknown): EpochcastError {
  const reason = error instanceof Error ? error.message : String(error)
  return new EpochcastError('EC_BAD_ARGUMENT', `standard input cannot be read: ${reason}`, { cause: error })
}
