import { EpochcastError, InvariantViolation } from '../errors.ts'

/** On a stream, a frame follows its length: an unsigned 32-bit number, big-endian, never 0. */
export const prefixBytes = 4

/** Parts up to this size are cheaper to copy into one buffer than to write apart. */
const smallPartBytesMax = 2 * 1024
const joinedBytesMax = 64 * 1024
const nothing: Uint8Array = new Uint8Array(0)

/**
 * Cuts a stream of bytes, in chunks of any size, into frames: `feed` one chunk, then call `next` until it has no more.
 * A frame inside one chunk is a view of it; one that spans chunks is copied once, into a buffer of exactly its size.
 * Memory is taken when the first byte of a frame is there, after its length was checked.
 */
export class FrameSplitter {
  /** Largest frame in bytes; may change between two calls of `next`. */
  frameBytesMax: number
  #chunk = nothing
  #offset = 0
  #prefix = 0
  #prefixFilled = 0
  #frame: Uint8Array | undefined
  #frameFilled = 0
  readonly #allocate: (bytes: number) => Uint8Array

  /** @param allocate gives memory for a frame that spans chunks, once its length was checked */
  constructor(frameBytesMax: number, allocate: (bytes: number) => Uint8Array = Buffer.allocUnsafeSlow) {
    this.frameBytesMax = frameBytesMax
    this.#allocate = allocate
  }

  feed(chunk: Uint8Array): void {
    if (this.#offset < this.#chunk.length)
      throw new InvariantViolation('framing', 'fed before the last chunk was used up')
    this.#chunk = chunk
    this.#offset = 0
  }

  /**
   * The next whole frame, or undefined when more bytes are needed.
   * @throws EpochcastError `EC_FRAME_TOO_LARGE`, or `EC_BAD_MESSAGE` for an empty frame; the stream is useless then
   */
  next(): Uint8Array | undefined {
    if (this.#frame === undefined) {
      this.#takePrefix()
      const available = this.#chunk.length - this.#offset
      if (this.#prefixFilled < prefixBytes || available === 0) return this.#release()
      if (available >= this.#prefix) return this.#view()
      this.#frame = this.#allocate(this.#prefix)
    }
    return this.#fill(this.#frame)
  }

  #takePrefix(): void {
    if (this.#prefixFilled === prefixBytes) return
    while (this.#prefixFilled < prefixBytes) {
      const byte = this.#chunk[this.#offset]
      if (byte === undefined) return
      this.#prefix = this.#prefix * 256 + byte
      this.#prefixFilled += 1
      this.#offset += 1
    }
    if (this.#prefix === 0) throw new EpochcastError('EC_BAD_MESSAGE', 'a frame is empty')
    if (this.#prefix > this.frameBytesMax) throw tooLarge(this.#prefix, this.frameBytesMax)
  }

  #view(): Uint8Array {
    const end = this.#offset + this.#prefix
    const view = this.#chunk.subarray(this.#offset, end)
    this.#offset = end
    this.#reset()
    return view
  }

  #fill(frame: Uint8Array): Uint8Array | undefined {
    const piece = this.#chunk.subarray(this.#offset, this.#offset + frame.length - this.#frameFilled)
    frame.set(piece, this.#frameFilled)
    this.#frameFilled += piece.length
    this.#offset += piece.length
    if (this.#frameFilled < frame.length) return this.#release()
    this.#reset()
    return frame
  }

  #reset(): void {
    this.#prefix = 0
    this.#prefixFilled = 0
    this.#frame = undefined
    this.#frameFilled = 0
  }

  /** Lets go of a used chunk, so that an idle stream keeps no memory alive. */
  #release(): undefined {
    this.#chunk = nothing
    this.#offset = 0
    return undefined
  }
}

/**
 * Bytes of a frame given as parts.
 * @throws EpochcastError `EC_FRAME_TOO_LARGE`, or `EC_BAD_ARGUMENT` when there is not a single byte
 */
export function frameLength(parts: readonly Uint8Array[], frameBytesMax: number): number {
  let length = 0
  for (const part of parts) length += part.length
  if (length > frameBytesMax) throw tooLarge(length, frameBytesMax)
  if (length === 0) throw new EpochcastError('EC_BAD_ARGUMENT', 'a frame needs at least one byte')
  return length
}

/** The bytes that announce a frame of `length` bytes. */
export function framePrefix(length: number): Uint8Array {
  const prefix = Buffer.allocUnsafe(prefixBytes)
  prefix.writeUInt32BE(length)
  return prefix
}

/** The same bytes in fewer pieces: neighbouring small parts are copied together, large ones stay what they are. */
export function joinSmallParts(parts: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = []
  let run: Uint8Array[] = []
  let runBytes = 0
  const endRun = (): void => {
    const only = run[0]
    if (only === undefined) return
    joined.push(run.length === 1 ? only : Buffer.concat(run, runBytes))
    run = []
    runBytes = 0
  }
  for (const part of parts) {
    const small = part.length <= smallPartBytesMax
    if (!small || runBytes + part.length > joinedBytesMax) endRun()
    if (small) {
      run.push(part)
      runBytes += part.length
    } else {
      joined.push(part)
    }
  }
  endRun()
  return joined
}

function tooLarge(length: number, frameBytesMax: number): EpochcastError {
  return new EpochcastError('EC_FRAME_TOO_LARGE', `a frame of ${length} bytes is over the limit of ${frameBytesMax}`)
}
