/**
 * The far end of the limit, a process of its own: reads frames, appends their bytes to a file, flushes it and then answers how much
 * has arrived. One flush under way at a time, what arrives meanwhile rides in the next.
 *
 *     frame: length u32 | bytes        answer: bytes that are on disk, f64
 */
import { type FileHandle, open } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'

export interface SinkSpec {
  readonly path: string
  /** Bytes that are written beforehand and then over and over; 0: the file grows. */
  readonly preallocateBytes: number
  /** Without, it answers at once what has arrived. */
  readonly flush: boolean
}

const headerBytes = 4

process.on('SIGINT', () => {})
process.once('message', (spec) => {
  serve(spec as SinkSpec).catch((error: unknown) => {
    process.stderr.write(`sink: ${String(error)}\n`)
    process.exit(1)
  })
})

async function serve(spec: SinkSpec): Promise<void> {
  const file = spec.flush ? await prepared(spec) : null
  const server = createServer((socket) => new Sink(socket, file, spec.preallocateBytes))
  server.listen(0, '127.0.0.1', () => {
    const address = server.address()
    process.send?.({ port: typeof address === 'object' ? address?.port : 0 })
  })
}

async function prepared({ path, preallocateBytes }: SinkSpec): Promise<FileHandle> {
  const file = await open(path, 'w')
  const chunk = Buffer.alloc(1024 * 1024)
  for (let at = 0; at < preallocateBytes; at += chunk.length) await file.write(chunk, 0, chunk.length, at)
  if (preallocateBytes > 0) await file.sync()
  return file
}

class Sink {
  readonly #socket: Socket
  readonly #file: FileHandle | null
  readonly #wrapAt: number
  readonly #answer = Buffer.alloc(8)
  #rest: Buffer = Buffer.alloc(0)
  #arrived: Buffer[] = []
  #arrivedBytes = 0
  #durableBytes = 0
  #position = 0
  #isFlushing = false

  constructor(socket: Socket, file: FileHandle | null, wrapAt: number) {
    this.#socket = socket
    this.#file = file
    this.#wrapAt = wrapAt
    socket.setNoDelay(true)
    socket.on('error', () => {})
    socket.on('data', (chunk) => this.#read(chunk))
  }

  #read(chunk: Buffer): void {
    let rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let count = 0
    for (; rest.length >= headerBytes; count++) {
      const length = rest.readUInt32LE(0)
      if (rest.length < headerBytes + length) break
      this.#arrived.push(rest.subarray(headerBytes, headerBytes + length))
      this.#arrivedBytes += length
      rest = rest.subarray(headerBytes + length)
    }
    this.#rest = rest
    if (count === 0) return
    if (this.#file === null) this.#tell()
    else if (!this.#isFlushing) this.#flush(this.#file).catch((error: unknown) => this.#socket.destroy(error as Error))
  }

  async #flush(file: FileHandle): Promise<void> {
    this.#isFlushing = true
    while (this.#arrived.length > 0) {
      const frames = this.#arrived
      this.#arrived = []
      let bytes = 0
      for (const frame of frames) bytes += frame.length
      if (this.#wrapAt > 0 && this.#position + bytes > this.#wrapAt) this.#position = 0
      await file.writev(frames, this.#position)
      await file.datasync()
      this.#position += bytes
      this.#durableBytes += bytes
      this.#tell()
    }
    this.#isFlushing = false
  }

  #tell(): void {
    const bytes = this.#file === null ? this.#arrivedBytes : this.#durableBytes
    if (this.#file === null) this.#arrived = []
    const answer = Buffer.from(this.#answer)
    answer.writeDoubleLE(bytes)
    this.#socket.write(answer)
  }
}
