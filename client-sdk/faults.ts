/**
 * The walls between the operations of one client. All of them share a machine and its turns; what one of them throws there ends
 * that operation, takes back what it wanted sent in this step, and leaves the others as they were.
 */
import { EpochcastError } from '../proto/errors.ts'
import type { Effect } from '../proto/machine/contract.ts'
import type { ClientTimers } from './timers.ts'

export class Faults {
  readonly #told: (error: unknown) => void

  /** @param told hears of every throw; what it throws itself goes on to the loop */
  constructor(told: (error: unknown) => void) {
    this.#told = told
  }

  /** Runs one operation's part of a step; `ends` ends the operation where that throws. */
  wall(out: Effect[], run: () => void, ends: (error: EpochcastError) => void): void {
    const before = out.length
    try {
      run()
    } catch (thrown) {
      out.length = before
      this.#told(thrown)
      this.#end(thrown, ends)
    }
  }

  /** Timers of one operation: what throws as one of them rings ends that operation. */
  walled(timers: ClientTimers, ends: (error: EpochcastError, out: Effect[]) => void): ClientTimers {
    const wall = (run: () => void, out: Effect[]) => this.wall(out, run, (error) => ends(error, out))
    return {
      get now() {
        return timers.now
      },
      timer: (name, key, ring) => timers.timer(name, key, (out) => wall(() => ring(out), out)),
    }
  }

  /** The same error twice says nothing new; another one is heard of, and there is nothing left that it could end. */
  #end(thrown: unknown, ends: (error: EpochcastError) => void): void {
    try {
      ends(faultOf(thrown))
    } catch (second) {
      this.#told(second)
    }
  }
}

/** A throw as the caller of its operation is told of it. */
function faultOf(thrown: unknown): EpochcastError {
  if (thrown instanceof EpochcastError) return thrown
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  return new EpochcastError('EC_INTERNAL', `a mistake in the client ended this call: ${reason}`, {
    cause: thrown,
    hint: 'other calls go on; please report it with its cause',
  })
}

/** What no caller may wait for is at least seen: a throw that is no error of this package is a mistake in it. */
export function warnOfMistakes(error: unknown): void {
  if (error instanceof EpochcastError) return
  process.emitWarning(error instanceof Error ? error : String(error), { code: 'EC_INTERNAL' })
}
