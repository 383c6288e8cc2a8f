/** Checks of single arguments. Each takes a value of any type, and gives it back as what it was meant to be, or refuses it. */
import { tryListening } from '../aborts.ts'
import { didYouMean } from '../closest.ts'
import { type Decider, parseDecider } from '../decider.ts'
import { EpochcastError } from '../errors.ts'
import { serverId, type TopicName, topicName } from '../ids.ts'
import { shown } from '../shown.ts'
import { asRefusal, refusal } from './refusal.ts'

/** @param what how the value is called in an error. @throws EpochcastError `EC_BAD_ARGUMENT` */
export type Check<T> = (value: unknown, what: string) => T

/** The largest distance from 1970 that has a date, in milliseconds. */
export const dateMsMax = 8.64e15

/** One of several words; the nearest one is named where there is one. */
export function word<const W extends string>(words: readonly W[]): Check<W> {
  return (value, what) => {
    const known = words.find((one) => one === value)
    if (known !== undefined) return known
    const near = typeof value === 'string' ? didYouMean(value, words) : ''
    throw refusal(`${what} ${shown(value)} is none of ${words.join(', ')}${near}`, `${what}: ${words.join(', ')}`)
  }
}

export function whole(min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> {
  return (value, what) => {
    if (Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max) return value as number
    const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} on` : `from ${min} to ${max}`
    throw refusal(`${what} ${shown(value)} is not a whole number ${range}`)
  }
}

/** Milliseconds that are waited, 0 or more; `Infinity` for no end. */
export const duration: Check<number> = (value, what) => {
  if (typeof value === 'number' && value >= 0) return value
  throw refusal(`${what} ${shown(value)} is not a number of milliseconds`, 'milliseconds from 0 on; Infinity: no end')
}

/** A point in time, in milliseconds since 1970 or as a `Date`. */
export const moment: Check<number> = (value, what) => {
  const timeMs = value instanceof Date ? value.getTime() : value
  if (typeof timeMs === 'number' && Math.abs(timeMs) <= dateMsMax) return timeMs
  const given = value instanceof Date ? 'an invalid Date' : shown(value)
  throw refusal(`${what} ${given} is not a time`, 'milliseconds since 1970, or a Date')
}

export const flag: Check<boolean> = (value, what) => {
  if (typeof value === 'boolean') return value
  throw refusal(`${what} ${shown(value)} is neither true nor false`)
}

/** Text that UTF-8 carries: one that is not well-formed would come back as another one. */
export function text(lengthMax: number, lengthMin = 1): Check<string> {
  return (value, what) => {
    if (typeof value !== 'string') throw refusal(`${what} ${shown(value)} is not a string`)
    if (value.length < lengthMin || value.length > lengthMax) {
      throw refusal(`${what} has ${value.length} characters, not ${lengthMin} to ${lengthMax}`)
    }
    return wellFormed(value, what)
  }
}

export function wellFormed(value: string, what: string): string {
  if (isWellFormed(value)) return value
  throw refusal(`${what} ${shown(value)} has half of a character in it`, 'a lone surrogate has no UTF-8')
}

/** `String.prototype.isWellFormed`, which the type library of this version does not know. */
function isWellFormed(value: string): boolean {
  return (value as string & { isWellFormed(): boolean }).isWellFormed()
}

export function method<F>(value: unknown, what: string): F {
  if (typeof value === 'function') return value as F
  throw refusal(`${what} ${shown(value)} is not a function`)
}

/** An object of the caller's own with these methods. */
export function having<T>(...methods: readonly (keyof T & string)[]): Check<T> {
  return (value, what) => {
    const isObject = (typeof value === 'object' && value !== null) || typeof value === 'function'
    const missing = methods.find((name) => !isObject || typeof (value as T)[name] !== 'function')
    if (missing === undefined) return value as T
    throw refusal(`${what} ${shown(value)} has no ${missing}()`)
  }
}

/** Aborts are listened for, so an object that only looks alike is no signal. */
export const signal: Check<AbortSignal> = (value, what) => {
  try {
    if (value instanceof AbortSignal || isForeignSignal(value)) return value as AbortSignal
  } catch (error) {
    throw asRefusal(error, `${what} ${shown(value)} cannot be listened to`)
  }
  const hint = value instanceof AbortController ? 'pass its .signal' : 'e.g. AbortSignal.timeout(1_000)'
  throw refusal(`${what} ${shown(value)} is not an AbortSignal`, hint)
}

/** One of another realm, or of a library: a listener is put on and taken off, as it will be by the call that it is for. */
function isForeignSignal(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const like = value as Partial<AbortSignal>
  if (typeof like.aborted !== 'boolean') return false
  if (typeof like.addEventListener !== 'function' || typeof like.removeEventListener !== 'function') return false
  tryListening(value as AbortSignal)
  return true
}

export function listOf<T>(check: Check<T>): Check<readonly T[]> {
  return (value, what) => {
    if (!Array.isArray(value)) throw refusal(`${what} ${shown(value)} is not an array`)
    return Array.from(value, (one: unknown) => check(one, what))
  }
}

/** A list that has nothing in it twice. */
export function distinct<T>(check: Check<T>): Check<readonly T[]> {
  return (value, what) => {
    const list = listOf(check)(value, what)
    const twice = list.find((one, at) => list.indexOf(one) !== at)
    if (twice === undefined) return list
    throw refusal(`${what} have ${shown(twice)} in them twice`)
  }
}

export const topic: Check<TopicName> = (value) => topicName(value as string)
export const server: Check<string> = (value) => serverId(value as string)
export const decider: Check<Decider> = (value, what) => {
  if (typeof value === 'string' && value.startsWith('engine:')) return parseDecider(value)
  return word(['stakes', 'engine'])(value, what)
}

export const servers: Check<readonly string[]> = (value, what) => {
  const ids = listOf(server)(value, what)
  if (ids.length === 0) throw refusal(`${what} names no server`, 'leave it out, and the cluster chooses')
  const twice = ids.find((id, at) => ids.indexOf(id) !== at)
  if (twice === undefined) return ids
  throw new EpochcastError('EC_IMPOSSIBLE_MEMBERSHIP', `server ${twice} is named twice`, {
    hint: 'name each server once',
  })
}
