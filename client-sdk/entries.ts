/**
 * Messages inside a batch's body, written once by the publisher and read only by subscribers: servers never look inside.
 *
 *     entry length (varint) | header length (varint) | header | payload
 *
 * The header holds the message's properties (`properties.ts`); without any it is one byte, its length 0.
 */
import { EpochcastError } from '../proto/errors.ts'
import type { Batch } from '../proto/wire/messages.ts'
import { readVarint, varintLength, writeVarint } from './varint.ts'

const noHeader = new Uint8Array(0)

/** Headers by the place of their message in the body. */
export type Headers = Map<number, Uint8Array>

/** The least is little: who publishes to thousands of topics has a buffer for each, and one under way for each batch. */
const bufferBytesMin = 512
const bufferBytesMax = 256 * 1024

/** Body of one batch under construction; grows by doubling, and begins the next as large as the last. */
export class BodyWriter {
  #buffer: Buffer = Buffer.allocUnsafe(bufferBytesMin)
  #length = 0
  #count = 0

  get length(): number {
    return this.#length
  }

  get count(): number {
    return this.#count
  }

  /** Copies header and payload behind the entries that are there. */
  add(payload: Uint8Array, header: Uint8Array = noHeader): void {
    const size = payload.length + header.length + varintLength(header.length)
    this.#reserve(size + 5)
    this.#length = writeVarint(this.#buffer, this.#length, size)
    this.#length = writeVarint(this.#buffer, this.#length, header.length)
    if (header.length > 0) {
      this.#buffer.set(header, this.#length)
      this.#length += header.length
    }
    this.#buffer.set(payload, this.#length)
    this.#length += payload.length
    this.#count++
  }

  /** @returns the body; the writer begins anew */
  take(): Uint8Array {
    const body = this.#buffer.subarray(0, this.#length)
    this.#buffer = Buffer.allocUnsafe(Math.max(bufferBytesMin, Math.min(this.#length, bufferBytesMax)))
    this.#length = 0
    this.#count = 0
    return body
  }

  #reserve(size: number): void {
    if (this.#length + size <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + size))
    larger.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = larger
  }
}

/**
 * Splits a body into its payloads, views of it.
 * @param headers is filled with the headers that are not empty, by the place of their message
 * @throws EpochcastError `EC_BAD_MESSAGE` when the body is not `count` entries
 */
export function readEntries(body: Uint8Array, count: number, headers?: Headers): Uint8Array[] {
  const payloads: Uint8Array[] = []
  let at = 0
  while (at < body.length) {
    const [size, content] = numberAt(body, at)
    const [header, start] = numberAt(body, content)
    const end = content + size
    const begin = start + header
    if (size < 1 || end > body.length || begin > end) throw broken()
    if (header > 0) headers?.set(payloads.length, body.subarray(start, begin))
    payloads.push(body.subarray(begin, end))
    at = end
  }
  if (payloads.length !== count) throw broken()
  return payloads
}

/** The payloads of a batch; nulls when its publisher did not write entries, so that one bad batch stops no reader. */
export function entriesOf(batch: Batch, headers?: Headers): (Uint8Array | null)[] {
  const count = batch.last - batch.first + 1
  try {
    return readEntries(batch.body, count, headers)
  } catch (error) {
    if (!(error instanceof EpochcastError)) throw error
    return Array.from({ length: count }, () => null)
  }
}

function numberAt(bytes: Uint8Array, at: number): [number, number] {
  const read = readVarint(bytes, at)
  if (read === null) throw broken()
  return read
}

function broken(): EpochcastError {
  return new EpochcastError('EC_BAD_MESSAGE', 'the body of a batch is not made of entries')
}
