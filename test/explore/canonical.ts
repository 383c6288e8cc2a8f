import { Timer } from '../../proto/machine/timers.ts'

/**
 * One text for equal states of a machine. Private fields are readable in a copy of the source where they are ordinary ones;
 * what a machine shares with its surroundings (host, limits, callbacks) is no part of its state.
 */
const surroundings = new Set([
  '$host',
  '$limits',
  '$needs',
  '$listener',
  '$engine',
  '$deciders',
  '$registry',
  '$options',
  '$clock',
  '$directory',
  '$timers',
])

export function canonical(value: unknown): string {
  return textOf(value, new Map())
}

function textOf(value: unknown, seen: Map<object, number>): string {
  if (value === null || typeof value !== 'object') return typeof value === 'function' ? '' : String(value)
  const known = seen.get(value)
  if (known !== undefined) return `^${known}`
  // The time that it counts in is that of its process.
  if (value instanceof Timer) return `@${value.due}`
  seen.set(value, seen.size)
  // Of a timer nothing counts but when it rings.
  if ('ticksLeft' in value && 'ring' in value) return `~${value.ticksLeft}`
  if (value instanceof Map) {
    const entries = [...value].map(([key, one]) => [textOf(key, seen), one] as const)
    entries.sort(([one], [other]) => (one < other ? -1 : 1))
    return `{${entries.map(([key, one]) => `${key}:${textOf(one, seen)}`).join(',')}}`
  }
  if (value instanceof Set)
    return `(${[...value]
      .map((one) => textOf(one, seen))
      .sort()
      .join(',')})`
  if (ArrayBuffer.isView(value)) return numbersOf(value as Uint8Array)
  if (Array.isArray(value)) return `[${value.map((one) => textOf(one, seen)).join(',')}]`
  // A field that is not there, and one that says nothing, are one state: what was decoded has both.
  const isState = (key: string, one: unknown) =>
    !surroundings.has(key) && one !== undefined && typeof one !== 'function'
  const fields = Object.entries(value).filter(([key, one]) => isState(key, one))
  return `<${fields.map(([key, one]) => `${key}=${textOf(one, seen)}`).join(',')}>`
}

/** Room that is not used yet is no state. */
function numbersOf(numbers: Uint8Array): string {
  let used = numbers.length
  while (used > 0 && numbers[used - 1] === 0) used--
  return `#${numbers.subarray(0, used).join(' ')}`
}
