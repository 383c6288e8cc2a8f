/**
 * A message that can be checked: which one it is, when it was due, and bytes that follow from both.
 *
 *     stream u32 | sequence u32 | due f64 (microseconds) | tag u32 | filler
 *
 * A stream is what one publisher sends to one topic, numbered from 0.
 */
export const payloadBytesMin = 20
const headerBytes = 20
const fillerCheckedEvery = 16

export class PayloadWriter {
  readonly #template: Buffer

  constructor(bytes: number) {
    this.#template = templateOf(bytes)
  }

  /** The same buffer each time: it must have been copied before the next call. */
  write(stream: number, sequence: number, dueUs: number): Buffer {
    fill(this.#template, stream, sequence, dueUs)
    return this.#template
  }

  /** A buffer of its own. */
  make(stream: number, sequence: number, dueUs: number): Buffer {
    const payload = Buffer.allocUnsafe(this.#template.length)
    this.#template.copy(payload)
    fill(payload, stream, sequence, dueUs)
    return payload
  }
}

export class PayloadReader {
  stream = 0
  sequence = 0
  dueUs = 0
  readonly #template: Buffer

  constructor(bytes: number) {
    this.#template = templateOf(bytes)
  }

  /** @returns whether these are bytes as a writer writes them */
  read(payload: Uint8Array): boolean {
    if (payload.length !== this.#template.length) return false
    const buffer = Buffer.isBuffer(payload)
      ? payload
      : Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    this.stream = buffer.readUInt32LE(0)
    this.sequence = buffer.readUInt32LE(4)
    this.dueUs = buffer.readDoubleLE(8)
    if (buffer.readUInt32LE(16) !== tagOf(this.stream, this.sequence)) return false
    if (this.sequence % fillerCheckedEvery !== 0) return true
    return buffer.compare(this.#template, headerBytes, this.#template.length, headerBytes) === 0
  }
}

function fill(payload: Buffer, stream: number, sequence: number, dueUs: number): void {
  payload.writeUInt32LE(stream, 0)
  payload.writeUInt32LE(sequence, 4)
  payload.writeDoubleLE(dueUs, 8)
  payload.writeUInt32LE(tagOf(stream, sequence), 16)
}

function templateOf(bytes: number): Buffer {
  const template = Buffer.alloc(bytes)
  for (let at = headerBytes; at < bytes; at++) template[at] = (at * 31 + 7) & 0xff
  return template
}

function tagOf(stream: number, sequence: number): number {
  const mixed = Math.imul(stream ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(sequence + 1, 0xc2b2ae35)
  return (mixed ^ (mixed >>> 15)) >>> 0
}
