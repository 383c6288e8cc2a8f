/** What objects that are given out look like in `console.log` and in JSON: what they say, and not how they keep it. */
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

/** A decoded value in JSON. What JSON cannot carry is written as text: large integers, and values that lead back into themselves. */
export function valueJson(value: unknown): object {
  if (value instanceof Uint8Array) return bytesJson(value)
  try {
    const text = JSON.stringify(value, (_, one: unknown) => (typeof one === 'bigint' ? String(one) : one))
    return text === undefined ? { value: String(value) } : { value: JSON.parse(text) }
  } catch {
    return { value: Object.prototype.toString.call(value) }
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
