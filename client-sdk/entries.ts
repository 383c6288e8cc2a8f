/**
 * Messages inside a batch's body, written once by the publisher and read only by subscribers: servers never look inside.
 *
 *     entry length (varint) | header length (varint) | header | payload
 */
import { EpochcastError } from '../proto/errors.ts'
import type { Batch } from '../proto/wire/messages.ts'

/** Body of one batch under construction; grows by doubling, and begins the next as large as the last. */
export class BodyWriter {
  #buffer: Buffer = Buffer.allocUnsafe(4096)
  #length = 0
  #count = 0

  get length(): number {
    return this.#length
  }

  get count(): number {
    return this.#count
  }

  /** Copies the payload behind the entries that are there. */
  add(payload: Uint8Array): void {
    const size = payload.length + 1
    this.#reserve(size + 5)
    this.#length = writeVarint(this.#buffer, this.#length, size)
    this.#buffer[this.#length++] = 0
    this.#buffer.set(payload, this.#length)
    this.#length += payload.length
    this.#count++
  }

  /** @returns the body; the writer begins anew */
  take(): Uint8Array {
    const body = this.#buffer.subarray(0, this.#length)
    this.#buffer = Buffer.allocUnsafe(Math.max(4096, Math.min(this.#length, 256 * 1024)))
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
 * @throws EpochcastError `EC_BAD_MESSAGE` when the body is not `count` entries
 */
export function readEntries(body: Uint8Array, count: number): Uint8Array[] {
  const payloads: Uint8Array[] = []
  let at = 0
  while (at < body.length) {
    const [size, content] = readVarint(body, at)
    const [header, start] = readVarint(body, content)
    const end = content + size
    const begin = start + header
    if (size < 1 || end > body.length || begin > end) throw broken()
    payloads.push(body.subarray(begin, end))
    at = end
  }
  if (payloads.length !== count) throw broken()
  return payloads
}

/** The payloads of a batch; nulls when its publisher did not write entries, so that one bad batch stops no reader. */
export function entriesOf(batch: Batch): (Uint8Array | null)[] {
  const count = batch.last - batch.first + 1
  try {
    return readEntries(batch.body, count)
  } catch (error) {
    if (!(error instanceof EpochcastError)) throw error
    return Array.from({ length: count }, () => null)
  }
}

function writeVarint(buffer: Uint8Array, at: number, value: number): number {
  let rest = value
  let place = at
  while (rest > 0x7f) {
    buffer[place++] = (rest & 0x7f) | 0x80
    rest >>>= 7
  }
  buffer[place++] = rest
  return place
}

function readVarint(bytes: Uint8Array, at: number): [number, number] {
  let value = 0
  for (let place = at, shift = 0; shift < 35; place++, shift += 7) {
    const byte = bytes[place]
    if (byte === undefined) throw broken()
    value += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return [value, place + 1]
  }
  throw broken()
}

function broken(): EpochcastError {
  return new EpochcastError('EC_BAD_MESSAGE', 'the body of a batch is not made of entries')
}
