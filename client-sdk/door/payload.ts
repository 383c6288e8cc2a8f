/** A value on its way into a message: bytes, or refused. What a codec of the caller's own makes is looked at like the caller's. */

import { type Check, having } from '../../proto/door/checks.ts'
import { asRefusal, refusal } from '../../proto/door/refusal.ts'
import { shown } from '../../proto/shown.ts'
import type { Codec } from '../codecs.ts'

const bytesHint = 'give the topic a codec: text(), json(), protobuf(), or one of your own'

export const codec: Check<Codec<never>> = (value, what) => {
  const hint = 'e.g. json(), text(), or an object with encode and decode'
  if (typeof value === 'function') throw refusal(`${what} is a function, not a codec`, hint)
  return having<Codec<never>>('encode', 'decode')(value, what)
}

/**
 * Encodes a value.
 * @throws EpochcastError `EC_BAD_ARGUMENT`, with the cause where the codec threw, for anything that does not become bytes
 */
export function encoded<T>(codec: Codec<T>, value: T): Uint8Array {
  let bytes: unknown
  try {
    bytes = codec.encode(value)
  } catch (error) {
    throw asRefusal(error, 'the codec cannot encode this value')
  }
  if (isBytes(bytes)) return bytes
  throw notBytes(value, bytes)
}

/** A real `Uint8Array` of any realm, with its memory: no proxy, no other view, and nothing that was handed to another thread. */
function isBytes(value: unknown): value is Uint8Array {
  if (!ArrayBuffer.isView(value) || (value as Uint8Array)[Symbol.toStringTag] !== 'Uint8Array') return false
  return value.byteLength > 0 || !isDetached(value.buffer)
}

/** Memory that was transferred is empty, and no view of it can be made. */
function isDetached(buffer: ArrayBufferLike): boolean {
  try {
    return new Uint8Array(buffer).length !== buffer.byteLength
  } catch {
    return true
  }
}

function notBytes(value: unknown, made: unknown): Error {
  if (ArrayBuffer.isView(made) && made.byteLength === 0) {
    return refusal(`${shown(made)} has no memory any more: it was transferred`, 'copy it before it is handed on')
  }
  if (value === made) return refusal(`${shown(value)} is not a Uint8Array`, bytesHint)
  const isLater = typeof (made as { readonly then?: unknown } | null)?.then === 'function'
  const hint = isLater ? 'encode at once: what takes time is done before publish' : 'encode returns a Uint8Array'
  return refusal(`the codec made ${shown(made)} of ${shown(value)}, not a Uint8Array`, hint)
}
