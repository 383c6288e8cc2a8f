import { onAbort } from '../../proto/aborts.ts'

/** Resolves after so many milliseconds. @throws the reason of the signal once that is aborted */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const timer = setTimeout(() => {
      unlisten()
      resolve()
    }, milliseconds)
    const unlisten = onAbort(signal, () => {
      clearTimeout(timer)
      reject(signal.reason)
    })
  })
}
