/** Timers of any length: those of the platform fire at once when they are set for longer than 2^31 - 1 milliseconds. */

const timerMsMax = 2 ** 31 - 1

/** A way to be called back after so many milliseconds, in whatever time. It gives a function that takes that back. */
export type After = (milliseconds: number, run: () => void) => () => void

/** Calls back after so many milliseconds, never for `Infinity`. @returns a function that takes it back */
export function after(milliseconds: number, run: () => void): () => void {
  if (milliseconds === Number.POSITIVE_INFINITY) return () => {}
  let timer: NodeJS.Timeout
  let left = milliseconds
  const next = () => {
    const part = Math.min(left, timerMsMax)
    left -= part
    timer = setTimeout(left > 0 ? next : run, part)
  }
  next()
  return () => clearTimeout(timer)
}
