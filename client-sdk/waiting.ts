/** Promises that end: by their result, by a signal, or by a time limit. */
import { onAbort } from '../proto/aborts.ts'
import { EpochcastError } from '../proto/errors.ts'
import { after } from '../proto/timer.ts'
import { Registrations } from './registrations.ts'

export interface WaitOptions {
  /** Gives up with `EC_ABORTED`. */
  readonly signal?: AbortSignal
  /**
   * Whole call in milliseconds, epoch changes included; gives up with `EC_TIMEOUT`. 0: unless it is done at once; `Infinity`: without
   * an end.
   */
  readonly timeoutMs?: number
}

/** The limits alone of what may be more than limits. */
export function limitsOf({ signal, timeoutMs }: WaitOptions): WaitOptions {
  return { ...(signal && { signal }), ...(timeoutMs !== undefined && { timeoutMs }) }
}

export interface Deferred<T> {
  readonly promise: Promise<T>
  resolve(value: T): void
  reject(error: unknown): void
}

export function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve, reject }
}

/** The same limits for each step of a call: `timeoutMs` is what is left of it whenever it is read. */
export function wholeCall<O extends WaitOptions>(options: O): O {
  if (options.timeoutMs === undefined) return options
  const deadline = performance.now() + options.timeoutMs
  return {
    ...options,
    get timeoutMs() {
      return Math.max(0, deadline - performance.now())
    },
  }
}

/**
 * Calls `onGiveUp` when the caller's patience ends first.
 * @returns a function that takes the watch off again
 */
export function watch(options: WaitOptions, what: string, onGiveUp: (error: EpochcastError) => void): () => void {
  const { signal, timeoutMs } = options
  if (signal === undefined && timeoutMs === undefined) return () => {}
  const abort = () => onGiveUp(new EpochcastError('EC_ABORTED', `${what} was aborted`, { cause: signal?.reason }))
  if (signal?.aborted === true) {
    queueMicrotask(abort)
    return () => {}
  }
  const unlisten = signal === undefined ? undefined : onAbort(signal, abort)
  const onTime = () =>
    onGiveUp(new EpochcastError('EC_TIMEOUT', `${what} took longer than ${Math.ceil(timeoutMs ?? 0)} ms`))
  const stop = timeoutMs === undefined ? undefined : after(timeoutMs, onTime)
  return () => {
    unlisten?.()
    stop?.()
  }
}

/**
 * Everything of a client that has not ended: calls that wait, and streams. It ends with its client, whatever it is, and what
 * begins after that ends at once.
 */
export class OpenWaits {
  readonly #ends = new Set<(reason: EpochcastError) => void>()
  #reason: EpochcastError | null = null

  get count(): number {
    return this.#ends.size
  }

  /** @returns a function for what has ended by itself */
  add(end: (reason: EpochcastError) => void): () => void {
    if (this.#reason !== null) {
      end(this.#reason)
      return () => {}
    }
    // Of its own, should one function be added twice.
    const own = (reason: EpochcastError) => end(reason)
    this.#ends.add(own)
    return () => this.#ends.delete(own)
  }

  end(reason: EpochcastError): void {
    this.#reason = reason
    const ends = [...this.#ends]
    this.#ends.clear()
    for (const end of ends) end(reason)
  }
}

/** Waits for `run` to call back, no longer than the caller allows and its client lives. */
export function waitFor<T>(
  open: OpenWaits,
  options: WaitOptions,
  what: string,
  run: (resolve: (value: T) => void, reject: (error: unknown) => void) => (() => void) | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const registered = new Registrations()
    let cancel: (() => void) | undefined
    const end = (settle: () => void) => {
      if (registered.isOver) return
      registered.takeBack()
      settle()
    }
    const giveUp = (error: EpochcastError) =>
      end(() => {
        cancel?.()
        reject(error)
      })
    registered.add(open.add(giveUp))
    // Its client is closed: nothing is begun.
    if (registered.isOver) return
    registered.add(watch(options, what, giveUp))
    cancel = run(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    )
  })
}
