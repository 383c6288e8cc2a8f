import { EpochcastError } from '../proto/errors.ts'

/** How values of a topic become bytes and come back. */
export interface Codec<T> {
  encode(value: T): Uint8Array
  decode(bytes: Uint8Array): T
}

/** Values as they are: bytes. What is received is a view; copy it to keep it for long. */
export function bytes(): Codec<Uint8Array> {
  return { encode: (value) => value, decode: (value) => value }
}

/** UTF-8 text. */
export function text(): Codec<string> {
  return {
    encode: (value) => Buffer.from(value),
    decode: (value) => Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString(),
  }
}

/** Anything that JSON can carry. Decoding throws `EC_BAD_MESSAGE` for bytes that are not JSON. */
export function json<T = unknown>(): Codec<T> {
  const plain = text()
  return {
    encode: (value) => Buffer.from(JSON.stringify(value)),
    decode: (value) => {
      try {
        return JSON.parse(plain.decode(value)) as T
      } catch (error) {
        throw new EpochcastError('EC_BAD_MESSAGE', 'the message is not JSON', { cause: error })
      }
    },
  }
}
