/** Standard output with a buffer in front: what is written in one turn of the event loop leaves as one. */
const bufferedMax = 64 * 1024

/** Standard output takes nothing any more: a full disk, a failing device, or a pipe whose reader has gone. */
export class OutputLost extends Error {
  /** The system's code: `EPIPE`, `ENOSPC` … */
  readonly code: string

  constructor(cause: NodeJS.ErrnoException) {
    super(`standard output cannot be written: ${cause.message}`, { cause })
    this.name = 'OutputLost'
    this.code = cause.code ?? 'EIO'
  }
}

export class Output {
  readonly #stream: NodeJS.WriteStream
  readonly #onLost: (lost: OutputLost) => void
  #parts: Buffer[] = []
  #bytes = 0
  #isDue = false
  #lost: OutputLost | null = null
  #wakes: (() => void)[] = []

  /** @param onLost is called once, when the stream refuses what was written */
  constructor(stream: NodeJS.WriteStream, onLost: (lost: OutputLost) => void = () => {}) {
    this.#stream = stream
    this.#onLost = onLost
    stream.on('error', (error: NodeJS.ErrnoException) => this.#lose(error))
  }

  /** Why nothing can be written any more, or null. */
  get lost(): OutputLost | null {
    return this.#lost
  }

  /** @returns true when the caller should `await drained()` before it goes on */
  write(part: string | Uint8Array): boolean {
    if (this.#lost !== null) return false
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
    if (this.#bytes === 0 || this.#lost !== null) return
    const parts = this.#parts
    this.#parts = []
    this.#bytes = 0
    this.#stream.write(Buffer.concat(parts))
  }

  drained(): Promise<void> {
    if (this.#lost !== null || !this.#stream.writableNeedDrain) return Promise.resolve()
    return this.#unlessLost((resolve) => this.#stream.once('drain', resolve))
  }

  /** Resolves when everything has been handed to the operating system, or can't be. */
  async end(): Promise<void> {
    this.flush()
    if (this.#lost === null) await this.#unlessLost((resolve) => this.#stream.write('', () => resolve()))
  }

  #unlessLost(wait: (resolve: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      this.#wakes.push(resolve)
      wait(() => {
        this.#wakes = this.#wakes.filter((one) => one !== resolve)
        resolve()
      })
    })
  }

  #lose(error: NodeJS.ErrnoException): void {
    if (this.#lost !== null) return
    this.#lost = new OutputLost(error)
    this.#parts = []
    this.#bytes = 0
    const wakes = this.#wakes
    this.#wakes = []
    for (const wake of wakes) wake()
    this.#onLost(this.#lost)
  }
}
