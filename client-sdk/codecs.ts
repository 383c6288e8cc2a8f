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
