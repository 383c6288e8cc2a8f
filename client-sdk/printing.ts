/** What objects that are given out look like in `console.log` and in JSON: what they say, and not how they keep it. */
import { inspect } from 'node:util'
import type { Decision } from '../proto/configuration.ts'
import type { MessageSet } from '../proto/message-set.ts'

/** The method by which Node's `inspect`, and so `console.log`, asks an object how it looks. */
export const inspectMethod: unique symbol = Symbol.for('nodejs.util.inspect.custom') as never

/** @param options of the call, passed on */
export type Inspect = (value: unknown, options: object) => string

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Bytes in JSON: as text where they are UTF-8, else in base64. */
export function bytesJson(bytes: Uint8Array): { readonly value: string } | { readonly base64: string } {
  try {
    return { value: strict.decode(bytes) }
  } catch {
    return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') }
  }
}

/**
 * A decoded value in JSON. What JSON cannot carry is written as what comes near: bytes as text or base64, maps as objects, sets as
 * lists, large integers as text; values that lead back into themselves as `console.log` shows them.
 */
export function valueJson(value: unknown): object {
  if (value instanceof Uint8Array) return bytesJson(value)
  try {
    const text = JSON.stringify(value, (_, one: unknown) => nearInJson(one))
    return text === undefined ? { value: String(value) } : { value: JSON.parse(text) }
  } catch {
    return { value: shownValue(value) }
  }
}

function nearInJson(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Map) return Object.fromEntries(value)
  if (value instanceof Set) return [...value]
  if (value instanceof Uint8Array) return Object.values(bytesJson(value))[0]
  if (value instanceof Error) return { name: value.name, message: value.message }
  return value instanceof RegExp ? String(value) : value
}

function shownValue(value: unknown): string {
  try {
    return inspect(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}

/** A time as ISO 8601; null for one that has no date: a publisher's clock may say anything. */
export function isoTime(timeMs: number): string | null {
  const date = new Date(timeMs)
  return Number.isNaN(date.getTime()) ? null : date.toISOString()
}

/** The same set, which JSON shows as the last number of each publisher: it would leave a map empty. */
export function printable(set: MessageSet): MessageSet {
  const toJSON = () => Object.fromEntries([...set].map(([publisher, { end }]) => [publisher, end]))
  return Object.hasOwn(set, 'toJSON') ? set : Object.defineProperty(set, 'toJSON', { value: toJSON })
}

export function printableDecision(decision: Decision): Decision {
  return { ...decision, closing: printable(decision.closing) }
}
