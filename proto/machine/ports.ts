/** Where time comes in: built once at the edge, never read below `step`. */
export interface Clock {
  /** Milliseconds since the Unix epoch; for people and stamps, never for safety. */
  nowMs(): number
}

/** Where chance comes in. */
export interface Random {
  /** A whole number from 0 to `bound` - 1; `bound` at most 2^32. */
  below(bound: number): number
}

/** `count` random hexadecimal digits. */
export function hexDigits(random: Random, count: number): string {
  let text = ''
  while (text.length < count) text += random.below(16).toString(16)
  return text
}
