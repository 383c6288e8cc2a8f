/** What is told on standard input about the messages of a group: `ack ID`, `nak ID`, `nak ID 10s`. */

import { createInterface, type Interface } from 'node:readline'
import type { GroupMessage } from '../../client-sdk/index.ts'
import { onAbort } from '../../proto/aborts.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { toMilliseconds } from './arguments.ts'
import type { Context } from './context.ts'

export class Answers {
  readonly #context: Context
  readonly #input: Interface
  readonly #held = new Map<string, GroupMessage<Uint8Array>>()
  #wake: (() => void) | null = null
  #isOver = false

  constructor(context: Context, input: NodeJS.ReadStream) {
    this.#context = context
    this.#input = createInterface({ input })
    this.#input.on('line', (line) => {
      this.#take(line).catch((error: unknown) => this.#warn(error))
    })
    this.#input.on('close', () => {
      this.#isOver = true
      this.#wake?.()
    })
  }

  hold(message: GroupMessage<Uint8Array>): void {
    this.#held.set(message.id, message)
  }

  /** Whether everything is answered, as soon as it is or no more answers can come. */
  async whenEmpty(): Promise<boolean> {
    while (this.#held.size > 0 && !this.#isOver && !this.#context.signal.aborted) {
      let unlisten = () => {}
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        unlisten = onAbort(this.#context.signal, resolve)
      })
      unlisten()
    }
    return this.#held.size === 0
  }

  end(): void {
    this.#input.close()
    process.stdin.destroy()
  }

  async #take(line: string): Promise<void> {
    const [word = '', id = '', delay, ...rest] = line.trim().split(/\s+/)
    if (word === '') return
    const isRight = (word === 'ack' && delay === undefined) || word === 'nak'
    if (!isRight || rest.length > 0) {
      this.#context.warn(`${JSON.stringify(line.slice(0, 80))} is neither "ack ID" nor "nak ID [DELAY]"`)
      return
    }
    const message = this.#held.get(id)
    if (message === undefined) {
      this.#context.warn(`message ${id} is not held here`)
      return
    }
    const delayMs = delay === undefined ? 0 : toMilliseconds(delay)
    await (word === 'ack' ? message.ack() : message.nak(delayMs)).finally(() => {
      this.#held.delete(id)
      this.#wake?.()
    })
  }

  #warn(error: unknown): void {
    if (!(error instanceof EpochcastError)) throw error
    this.#context.warn(error.message)
  }
}
