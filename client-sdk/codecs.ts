import { wellFormed } from '../proto/door/checks.ts'
import { refusal } from '../proto/door/refusal.ts'
import { EpochcastError } from '../proto/errors.ts'
import { shown } from '../proto/shown.ts'

/** How values of a topic become bytes and come back. */
export interface Codec<T> {
  /** Called at once by whatever publishes; what it throws, or returns that is not a `Uint8Array`, refuses that call. */
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

/** Values as they are: bytes. What is received is a view; copy it to keep it for long. */
export function bytes(): Codec<Uint8Array> {
  return { encode: (value) => value, decode: (value) => value }
}

/** UTF-8 text. Refuses strings with half of a surrogate pair, which UTF-8 cannot say. */
export function text(): Codec<string> {
  return {
    encode: (value) => {
      if (typeof value === 'string') return Buffer.from(wellFormed(value, 'the text'))
      throw refusal(`${shown(value)} is not a string`, 'text() takes strings; json() anything that JSON can carry')
    },
    decode: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString(),
  }
}

/**
 * Anything that JSON can carry. A value is refused where JSON would have nothing, `null` or `{}` in its place; inside of a value
 * JSON's own rules hold. Decoding throws `EC_BAD_MESSAGE` for bytes that are not JSON.
 */
export function json<T = unknown>(): Codec<T> {
  const plain = text()
  return {
    encode: (value) => {
      if (isLostInJson(value)) throw refusal(`${shown(value)} is nothing that JSON can carry`)
      const written = JSON.stringify(value) as string | undefined
      // A toJSON() of the value's own may say so too.
      if (written === undefined) throw refusal(`${shown(value)} is nothing that JSON can carry`)
      return Buffer.from(written)
    },
    decode: (value) => {
      try {
        return JSON.parse(plain.decode(value)) as T
      } catch (error) {
        throw new EpochcastError('EC_BAD_MESSAGE', 'the message is not JSON', { cause: error })
      }
    },
  }
}

/** Values that JSON writes as another one, whole. */
function isLostInJson(value: unknown): boolean {
  if (typeof value === 'number') return !Number.isFinite(value)
  if (typeof value !== 'object' || value === null) return false
  if (typeof (value as { readonly toJSON?: unknown }).toJSON === 'function') return false
  return value instanceof Map || value instanceof Set || value instanceof Promise || value instanceof ArrayBuffer
}

/** A generated message type: of protobufjs (static or reflected), of ts-proto, or anything with this shape. */
export interface ProtobufType<T> {
  encode(value: T): Uint8Array | { finish(): Uint8Array }
  decode(bytes: Uint8Array): T
}

/** Messages of one protobuf type, by the encoder that was generated for it. Decoding throws `EC_BAD_MESSAGE` for other bytes. */
export function protobuf<T>(type: ProtobufType<T>): Codec<T> {
  return {
    encode: (value) => {
      const encoded = type.encode(value)
      return encoded instanceof Uint8Array ? encoded : encoded.finish()
    },
    decode: (value) => {
      try {
        return type.decode(value)
      } catch (error) {
        throw new EpochcastError('EC_BAD_MESSAGE', 'the message is not of the expected protobuf type', { cause: error })
      }
    },
  }
}
