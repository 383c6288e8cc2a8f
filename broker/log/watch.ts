/**
 * Looks again and again whether the files that a server writes are still those in its data directory. A file that was deleted or
 * exchanged goes on taking writes as long as it is open, and what is written to it is gone with the process.
 */
import type { Stats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { EpochcastError } from '../../proto/errors.ts'
import { isOfDisk, storageLacks } from './failure.ts'
import type { Files } from './files.ts'
import { type Identity, identityFileName, readIdentity } from './identity.ts'
import { hasDriftingInodes } from './place.ts'
import { noteBytes, reachedFileName, readReached } from './reached.ts'
import { segmentName } from './segment-name.ts'
import type { SegmentFile } from './segments.ts'

const lookMs = 1_000
/** Segments that are no longer written and are looked at in one turn; the newest ones are looked at in every turn. */
const sealedAtOnce = 16
const newestCount = 2
/** How often a note must be found damaged in a row. */
const noteLooks = 3

export interface Watched {
  readonly path: string
  readonly files: Files
  readonly identity: Identity
  /** The segments that must be there. */
  segments(): readonly SegmentFile[]
}

export class DirectoryWatch {
  readonly #watched: Watched
  readonly #isDrifting: boolean
  readonly #onLoss: (error: EpochcastError) => void
  /** Inode of each file when it was seen first, by its name; empty for the directory itself. */
  readonly #inodes = new Map<string, number>()
  /** When the identity was changed, as far as it has been read since. */
  #identityAsOf = -1
  #nextSealed = 0
  #timer: NodeJS.Timeout | null = null
  #isStopped = false

  /** @param onLoss called once, with the reason why this server must not go on */
  constructor(watched: Watched, onLoss: (error: EpochcastError) => void) {
    this.#watched = watched
    this.#isDrifting = hasDriftingInodes(watched.path)
    this.#onLoss = onLoss
  }

  start(): void {
    this.#wait()
  }

  stop(): void {
    this.#isStopped = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  /** One look. @returns the reason why the server must not go on, or null */
  async look(): Promise<EpochcastError | null> {
    const { segments } = this.#watched
    const wrong = (await this.#lookAt('')) ?? (await this.#lookAtNote()) ?? (await this.#lookAtIdentity())
    if (wrong !== null) return storageLacks(`${wrong} while the server ran`)
    for (const { first, bytes } of this.#due(segments())) {
      const missing = await this.#lookAt(segmentName(first), bytes)
      // A segment that was given back meanwhile is not missed.
      if (missing === null || !segments().some((segment) => segment.first === first)) continue
      return storageLacks(`${missing} while the server ran`)
    }
    return null
  }

  #wait(): void {
    this.#timer = setTimeout(() => void this.#turn(), lookMs)
    this.#timer.unref()
  }

  async #turn(): Promise<void> {
    const wrong = await this.look().catch(() => null)
    if (this.#isStopped) return
    if (wrong === null) return this.#wait()
    this.stop()
    this.#onLoss(wrong)
  }

  #due(segments: readonly SegmentFile[]): readonly SegmentFile[] {
    const sealed = segments.slice(0, -newestCount)
    if (this.#nextSealed >= sealed.length) this.#nextSealed = 0
    const from = this.#nextSealed
    this.#nextSealed += sealedAtOnce
    return [...segments.slice(-newestCount), ...sealed.slice(from, this.#nextSealed)]
  }

  /** @returns what became of the file, in words, where it is not what it was; null where it is, or cannot be looked at */
  async #lookAt(name: string, bytesMin = 0): Promise<string | null> {
    const about = name === '' ? `the data directory ${this.#watched.path}` : name
    const found = await this.#stat(name)
    if (found === 'missing') return `${about} was removed`
    if (found === 'unknown') return null
    const before = this.#inodes.get(name) ?? found.ino
    this.#inodes.set(name, before)
    if (before !== found.ino && !this.#isDrifting) return `${about} was exchanged for another`
    return found.size < bytesMin ? `${about} was cut to ${found.size} bytes` : null
  }

  async #lookAtNote(): Promise<string | null> {
    const wrong = await this.#lookAt(reachedFileName, noteBytes)
    if (wrong !== null) return wrong
    const { files, identity } = this.#watched
    // A note that is read while it is written may be neither the old nor the new one.
    for (let look = 0; look < noteLooks; look++) {
      if (!(await isDamaged(readReached(files, identity.seed)))) return null
    }
    return `${reachedFileName} was overwritten`
  }

  async #lookAtIdentity(): Promise<string | null> {
    const found = await this.#stat(identityFileName)
    if (found === 'missing') return `${identityFileName} was removed`
    if (found === 'unknown' || found.mtimeMs === this.#identityAsOf) return null
    const { files, identity } = this.#watched
    const exchanged = `${identityFileName} was exchanged for another`
    try {
      const read = await readIdentity(files)
      this.#identityAsOf = found.mtimeMs
      return read?.storage === identity.storage && read.server === identity.server ? null : exchanged
    } catch (error) {
      return isOfDisk(error) ? null : exchanged
    }
  }

  async #stat(name: string): Promise<Stats | 'missing' | 'unknown'> {
    try {
      return await stat(join(this.#watched.path, name))
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      return code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unknown'
    }
  }
}

/** Whether a file was read, and is not what was written; false also where it could not be read at all. */
async function isDamaged(reading: Promise<unknown>): Promise<boolean> {
  try {
    await reading
    return false
  } catch (error) {
    return !isOfDisk(error)
  }
}
