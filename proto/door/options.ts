/**
 * Options of a call, by a total table: each of them has its check, none is taken that is not in the table, and each is read once.
 * What the call gets is an object of its own, so nothing that the caller or a getter does later changes it.
 */
import { didYouMean } from '../closest.ts'
import { shown } from '../shown.ts'
import type { Check } from './checks.ts'
import { asRefusal, refusal } from './refusal.ts'

/** A check for every option: an option without one does not compile. */
export type Checks<T> = { readonly [K in keyof T]-?: Check<Exclude<T[K], undefined>> }

/**
 * @param call how the call is named in errors
 * @returns what the options are; options that are left out, or undefined, are not in it
 */
export function optionsOf<T extends object>(call: string, checks: Checks<T>): (given: unknown) => T {
  const none = {} as T
  return (given) => (given === undefined ? none : read(call, checks, given))
}

/** The same for a call that is nothing without some of its options. */
export function requiring<T extends object, Needed extends keyof T & string>(
  call: string,
  checks: Checks<T>,
  needed: readonly Needed[],
): (given: unknown) => T {
  return (given) => {
    const options = read(call, checks, given)
    const missing = needed.find((name) => options[name] === undefined)
    if (missing === undefined) return options
    throw refusal(`${call} needs ${missing}`, `${call} takes ${Object.keys(checks).join(', ')}`)
  }
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` for anything that is no plain object, and for names that are not in the table */
function read<T extends object>(call: string, checks: Checks<T>, given: unknown): T {
  try {
    const options: Record<string, unknown> = {}
    for (const [name, value] of entriesOf(given, `the options of ${call}`)) {
      if (!Object.hasOwn(checks, name)) throw unknownName(call, name, Object.keys(checks))
      if (value !== undefined) options[name] = checks[name as keyof T](value, name)
    }
    return options as T
  } catch (error) {
    throw asRefusal(error, `the options of ${call} cannot be read`)
  }
}

/** Own properties of a plain object. A map, an array or a signal has none that would be seen here, and would be ignored. */
export function entriesOf(given: unknown, what: string): [string, unknown][] {
  if (!isPlain(given)) throw refusal(`${what} are ${shown(given)}`, whyNotPlain(given))
  return Reflect.ownKeys(given).map((name) => {
    if (typeof name === 'symbol') throw refusal(`${what} have ${String(name)} in them`, 'names are strings')
    return [name, given[name]]
  })
}

function isPlain(given: unknown): given is Readonly<Record<string, unknown>> {
  if (typeof given !== 'object' || given === null) return false
  const prototype: unknown = Object.getPrototypeOf(given)
  // Of this realm or of another one.
  return prototype === null || (Object.getPrototypeOf(prototype) === null && !Array.isArray(given))
}

function whyNotPlain(given: unknown): string {
  return given instanceof Map ? 'a plain object: Object.fromEntries(map)' : 'a plain object'
}

function unknownName(call: string, name: string, known: readonly string[]): Error {
  const list = known.length === 0 ? `${call} takes no options` : `${call} takes ${known.join(', ')}`
  return refusal(`${call} has no option ${shown(name)}${didYouMean(name, known)}`, list)
}
