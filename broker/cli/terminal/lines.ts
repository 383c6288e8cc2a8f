/** Splits a stream of bytes into lines, without looking at what is in them. */

/** The largest message that servers take. */
export const lineBytesMax = 1024 * 1024
const newline = 0x0a

/** A line as it came, or word that it is longer than a message may be; its bytes are not kept then. */
export type Line = Uint8Array | 'too-long'

export class Lines {
  #parts: Buffer[] = []
  #bytes = 0
  #isTooLong = false
  #hasBegun = false

  /** What stands behind the last newline. */
  rest(): Line | null {
    return this.#hasBegun ? this.#finish() : null
  }

  *take(chunk: Buffer): Generator<Line> {
    let from = 0
    for (;;) {
      const end = chunk.indexOf(newline, from)
      if (end < 0) break
      this.#add(chunk.subarray(from, end))
      yield this.#finish()
      from = end + 1
    }
    if (from < chunk.length) this.#add(chunk.subarray(from))
  }

  #add(part: Buffer): void {
    this.#hasBegun = true
    this.#bytes += part.length
    if (this.#bytes > lineBytesMax) {
      this.#isTooLong = true
      this.#parts = []
    } else if (part.length > 0) this.#parts.push(part)
  }

  #finish(): Line {
    const [only] = this.#parts
    const line = this.#parts.length === 1 && only !== undefined ? only : Buffer.concat(this.#parts)
    const isTooLong = this.#isTooLong
    this.#parts = []
    this.#bytes = 0
    this.#isTooLong = false
    this.#hasBegun = false
    return isTooLong ? 'too-long' : line
  }
}
