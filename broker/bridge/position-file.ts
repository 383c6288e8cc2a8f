/** Where a bridge is in a topic, in a file of its own that is replaced whole. */
import { open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { EpochcastError } from '../../proto/errors.ts'

interface Positions {
  readonly [topic: string]: string
}

const bytesMax = 16 * 1024 * 1024

export class PositionFile {
  readonly #path: string
  #positions: Record<string, string>
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, positions: Positions) {
    this.#path = path
    this.#positions = { ...positions }
  }

  /** @throws EpochcastError `EC_BAD_ARGUMENT` when there is a file that a bridge did not write, or where none can be written */
  static async open(path: string): Promise<PositionFile> {
    const file = await PositionFile.#read(path)
    try {
      await file.#write()
    } catch (error) {
      throw new EpochcastError('EC_BAD_ARGUMENT', `${path} cannot be written: ${String(error)}`, { cause: error })
    }
    return file
  }

  static async #read(path: string): Promise<PositionFile> {
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new PositionFile(path, {})
      throw new EpochcastError('EC_BAD_ARGUMENT', `${path} cannot be read: ${String(error)}`, { cause: error })
    }
    const positions = text.length > bytesMax ? null : parse(text)
    if (positions !== null) return new PositionFile(path, positions)
    throw new EpochcastError('EC_BAD_ARGUMENT', `${path} is not the file of a bridge`, {
      hint: 'name another one; without it the bridge begins where --from says',
    })
  }

  of(topic: string): string | undefined {
    return this.#positions[topic]
  }

  /** On disk when it resolves; calls meanwhile share the next write. */
  save(topic: string, cursor: string): Promise<void> {
    this.#positions = { ...this.#positions, [topic]: cursor }
    this.#writing = this.#writing.then(() => this.#write())
    return this.#writing
  }

  async #write(): Promise<void> {
    const draft = `${this.#path}.draft`
    const file = await open(draft, 'w')
    try {
      await file.writeFile(`${JSON.stringify({ epochcastBridge: 1, positions: this.#positions })}\n`)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(draft, this.#path)
    const folder = await open(dirname(this.#path), 'r')
    try {
      await folder.sync()
    } finally {
      await folder.close()
    }
  }
}

function parse(text: string): Positions | null {
  try {
    const value = JSON.parse(text) as { epochcastBridge?: unknown; positions?: unknown }
    const { positions } = value
    const isGroup = typeof positions === 'object' && positions !== null && value.epochcastBridge === 1
    return isGroup && Object.values(positions).every((one) => typeof one === 'string') ? (positions as Positions) : null
  } catch {
    return null
  }
}
