/**
 * What one NATS message carries: a whole frame, a piece of one that is larger than NATS takes, or a word between endpoints.
 *
 *     kind (1 byte) | frame
 *     kind          | number of the frame (u32) | its bytes (u32) | where this piece begins (u32) | piece
 *     kind          | hash of a group (text)
 */

export const parcelKinds = {
  frame: 0,
  piece: 1,
  /** I live: tell me that you do. */
  hello: 2,
  /** I live. */
  welcome: 3,
  /** I end. */
  bye: 4,
  /** Listen to this group. */
  join: 5,
  /** I listen to it. */
  joined: 6,
} as const

export const pieceHeadBytes = 13

/** A frame's parts behind its kind, in one piece of memory. */
export function frameParcel(parts: readonly Uint8Array[], length: number): Uint8Array {
  const parcel = Buffer.allocUnsafe(1 + length)
  parcel[0] = parcelKinds.frame
  copy(parts, parcel, 1)
  return parcel
}

/** A frame as pieces of at most `bytesMax` bytes each, heads included. */
export function pieceParcels(
  parts: readonly Uint8Array[],
  length: number,
  number: number,
  bytesMax: number,
): Uint8Array[] {
  const frame = Buffer.allocUnsafe(length)
  copy(parts, frame, 0)
  const step = bytesMax - pieceHeadBytes
  const pieces: Uint8Array[] = []
  for (let begin = 0; begin < length; begin += step) {
    const head = Buffer.allocUnsafe(pieceHeadBytes)
    head[0] = parcelKinds.piece
    head.writeUInt32BE(number, 1)
    head.writeUInt32BE(length, 5)
    head.writeUInt32BE(begin, 9)
    pieces.push(Buffer.concat([head, frame.subarray(begin, begin + step)]))
  }
  return pieces
}

export function wordParcel(kind: number, text = ''): Uint8Array {
  return Buffer.concat([Buffer.of(kind), Buffer.from(text, 'latin1')])
}

export function wordOf(parcel: Uint8Array): string {
  return Buffer.from(parcel.buffer, parcel.byteOffset, parcel.length).subarray(1).toString('latin1')
}

interface Unfinished {
  readonly number: number
  readonly frame: Buffer
  filled: number
}

/**
 * Puts pieces together again. NATS keeps the order of one sender's messages, so a frame that lacks a piece is lost whole;
 * each sender has one unfinished frame at most, and there is a bound to all of them.
 */
export class Pieces {
  readonly #frameBytesMax: number
  readonly #sendersMax: number
  readonly #unfinished = new Map<string, Unfinished>()

  constructor(frameBytesMax: number, sendersMax = 32) {
    this.#frameBytesMax = frameBytesMax
    this.#sendersMax = sendersMax
  }

  /** @returns the frame that this piece completes */
  take(sender: string, parcel: Uint8Array): Uint8Array | undefined {
    if (parcel.length <= pieceHeadBytes) return undefined
    const view = Buffer.from(parcel.buffer, parcel.byteOffset, parcel.length)
    const [number, length, begin] = [view.readUInt32BE(1), view.readUInt32BE(5), view.readUInt32BE(9)]
    const piece = view.subarray(pieceHeadBytes)
    if (length > this.#frameBytesMax || begin + piece.length > length) return undefined
    const current = begin === 0 ? this.#begin(sender, number, length) : this.#unfinished.get(sender)
    if (current?.number !== number || current.filled !== begin || current.frame.length !== length) {
      this.#unfinished.delete(sender)
      return undefined
    }
    current.frame.set(piece, begin)
    current.filled += piece.length
    if (current.filled < length) return undefined
    this.#unfinished.delete(sender)
    return current.frame
  }

  forget(sender: string): void {
    this.#unfinished.delete(sender)
  }

  #begin(sender: string, number: number, length: number): Unfinished {
    const fresh = { number, frame: Buffer.allocUnsafeSlow(length), filled: 0 }
    this.#unfinished.delete(sender)
    if (this.#unfinished.size >= this.#sendersMax) {
      const [oldest] = this.#unfinished.keys()
      if (oldest !== undefined) this.#unfinished.delete(oldest)
    }
    this.#unfinished.set(sender, fresh)
    return fresh
  }
}

function copy(parts: readonly Uint8Array[], into: Buffer, at: number): void {
  let end = at
  for (const part of parts) {
    into.set(part, end)
    end += part.length
  }
}
