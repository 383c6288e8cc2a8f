/** The life of a command that runs until it is told to stop. */
import { onAbort } from '../../proto/aborts.ts'

/** Resolves when the signal says stop; rejects when something failed for good meanwhile. */
export class Lifetime {
  readonly #signal: AbortSignal
  #fail: ((error: Error) => void) | null = null
  #failure: Error | null = null

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  /** Ends the command: its server does not speak any more. */
  readonly fail = (error: Error): void => {
    this.#failure ??= error
    this.#fail?.(error)
  }

  async over(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#fail = reject
      if (this.#failure !== null) reject(this.#failure)
      if (this.#signal.aborted) resolve()
      else onAbort(this.#signal, resolve)
    })
  }
}
