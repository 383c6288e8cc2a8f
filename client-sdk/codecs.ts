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

/** Whose bytes a codec gives: memory that is new each time, or that of the value. Of others it is not known. */
const memoryOf = new WeakMap<object, 'new' | 'value'>()

function madeCodec<T>(memory: 'new' | 'value', codec: Codec<T>): Codec<T> {
  memoryOf.set(codec, memory)
  return codec
}

/** Whether code of the caller's own, which makes the next of several values or encodes it, may use the bytes of one again. */
export function mayBeWrittenAgain<T>(codec: Codec<T>, isArray: boolean): boolean {
  const memory = memoryOf.get(codec)
  return memory === 'value' ? !isArray : memory === undefined
}

/** Values as they are: bytes. What is received is a view; copy it to keep it for long. */
export function bytes(): Codec<Uint8Array> {
  return madeCodec<Uint8Array>('value', { encode: (value) => value, decode: (value) => value })
}

/** UTF-8 text. Refuses strings with half of a surrogate pair, which UTF-8 cannot say. */
export function text(): Codec<string> {
  return madeCodec<string>('new', {
    encode: (value) => {
      if (typeof value === 'string') return Buffer.from(wellFormed(value, 'the text'))
      throw refusal(`${shown(value)} is not a string`, 'text() takes strings; json() anything that JSON can carry')
    },
    decode: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString(),
  })
}

/**
 * Anything that JSON can carry. A value is refused where JSON would have nothing or `null` in its place, and where it, or something
 * in it, holds what JSON would leave out: a `Map`, a `Set`, an `Error`, a `RegExp`, bytes, a promise. Inside of a value JSON's own
 * rules hold for the rest. Decoding throws `EC_BAD_MESSAGE` for bytes that are not JSON.
 */
export function json<T = unknown>(): Codec<T> {
  const plain = text()
  return madeCodec<T>('new', {
    encode: (value) => {
      const written = JSON.stringify(value) as string | undefined
      // A toJSON() of the value's own may say so too.
      if (written === undefined || (written === 'null' && value !== null)) throw notInJson(value)
      // Whatever loses its content is written as `{}`, bytes as numbers by their place.
      if (/\{(\}|"0":)/.test(written)) checkNothingLost(value)
      return Buffer.from(written)
    },
    decode: (value) => {
      try {
        return JSON.parse(plain.decode(value)) as T
      } catch (error) {
        throw new EpochcastError('EC_BAD_MESSAGE', 'the message is not JSON', { cause: error })
      }
    },
  })
}

function checkNothingLost(value: unknown): void {
  JSON.stringify(value, (_, one: unknown) => {
    if (isLostInJson(one)) throw notInJson(one)
    return one
  })
}

function notInJson(value: unknown): EpochcastError {
  const isMap = value instanceof Map
  return refusal(`${shown(value)} is nothing that JSON can carry`, isMap ? 'Object.fromEntries(map)' : undefined)
}

/** Objects of the language and the platform whose content is in no property that JSON looks at; those with toJSON() never come here. */
function isLostInJson(value: unknown): boolean {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
  if (ArrayBuffer.isView(value) || value instanceof Map || value instanceof Set) return true
  const tag = Object.prototype.toString.call(value)
  return tag !== '[object Object]' && Object.keys(value).length === 0
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
