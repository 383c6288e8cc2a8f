/** How an argument is refused: `EC_BAD_ARGUMENT`, with what was given and what is taken instead. */
import { EpochcastError } from '../errors.ts'

export function refusal(text: string, hint?: string, cause?: unknown): EpochcastError {
  return new EpochcastError('EC_BAD_ARGUMENT', text, {
    ...(hint !== undefined && { hint }),
    ...(cause !== undefined && { cause }),
  })
}

/** Anything that was thrown while an argument was read: a getter, a proxy or a codec of the caller's own. */
export function asRefusal(thrown: unknown, text: string): EpochcastError {
  if (thrown instanceof EpochcastError) return thrown
  // An error that throws when it is asked for its message says nothing.
  let reason = ''
  try {
    if (thrown instanceof Error) reason = `: ${thrown.message}`
  } catch {}
  return refusal(`${text}${reason}`, undefined, thrown)
}
