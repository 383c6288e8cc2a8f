/** Standard output with a buffer in front: what is written in one turn of the event loop leaves as one. */
const bufferedMax = 64 * 1024

export class Output {
  readonly #stream: NodeJS.WriteStream
  #parts: Buffer[] = []
  #bytes = 0
  #isDue = false

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream
  }

  /** @returns true when the caller should `await drained()` before it goes on */
  write(part: string | Uint8Array): boolean {
    const bytes =
      typeof part === 'string' ? Buffer.from(part) : Buffer.from(part.buffer, part.byteOffset, part.byteLength)
    this.#parts.push(bytes)
    this.#bytes += bytes.length
    if (this.#bytes >= bufferedMax) this.flush()
    else if (!this.#isDue) {
      this.#isDue = true
      setImmediate(() => this.flush())
    }
    return this.#stream.writableNeedDrain
  }

  line(text: string): boolean {
    return this.write(`${text}\n`)
  }

  json(value: unknown): boolean {
    return this.line(JSON.stringify(value))
  }

  flush(): void {
    this.#isDue = false
    if (this.#bytes === 0) return
    const parts = this.#parts
    this.#parts = []
    this.#bytes = 0
    this.#stream.write(Buffer.concat(parts))
  }

  drained(): Promise<void> {
    if (!this.#stream.writableNeedDrain) return Promise.resolve()
    return new Promise((resolve) => this.#stream.once('drain', resolve))
  }

  /** Resolves when everything has been handed to the operating system. */
  async end(): Promise<void> {
    this.flush()
    await new Promise<void>((resolve) => this.#stream.write('', () => resolve()))
  }
}
