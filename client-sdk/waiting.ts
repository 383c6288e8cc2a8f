/** Promises that end: by their result, by a signal, or by a time limit. */
import { EpochcastError } from '../proto/errors.ts'
import { after } from './timer.ts'

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

/**
 * Calls `onGiveUp` when the caller's patience ends first.
 * @returns a function that takes the watch off again
 */
export function watch(options: WaitOptions, what: string, onGiveUp: (error: EpochcastError) => void): () => void {
  const { signal, timeoutMs } = options
  if (signal === undefined && timeoutMs === undefined) return () => {}
  const onAbort = () => onGiveUp(new EpochcastError('EC_ABORTED', `${what} was aborted`, { cause: signal?.reason }))
  if (signal?.aborted === true) {
    queueMicrotask(onAbort)
    return () => {}
  }
  signal?.addEventListener('abort', onAbort, { once: true })
  const onTime = () => onGiveUp(new EpochcastError('EC_TIMEOUT', `${what} took longer than ${timeoutMs} ms`))
  const stop = timeoutMs === undefined ? undefined : after(timeoutMs, onTime)
  return () => {
    signal?.removeEventListener('abort', onAbort)
    stop?.()
  }
}

/** What is being waited for, so that it ends when its client does. */
export class OpenWaits {
  readonly #rejecters = new Set<(error: unknown) => void>()

  add(reject: (error: unknown) => void): () => void {
    this.#rejecters.add(reject)
    return () => this.#rejecters.delete(reject)
  }

  end(reason: EpochcastError): void {
    for (const reject of [...this.#rejecters]) reject(reason)
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
    let cancel: (() => void) | undefined
    let isOver = false
    const end = (settle: () => void) => {
      if (isOver) return
      isOver = true
      unwatch()
      leave()
      settle()
    }
    const leave = open.add((error) => end(() => reject(error)))
    const unwatch = watch(options, what, (error) =>
      end(() => {
        cancel?.()
        reject(error)
      }),
    )
    cancel = run(
      (value) => end(() => resolve(value)),
      (error) => end(() => reject(error)),
    )
  })
}
