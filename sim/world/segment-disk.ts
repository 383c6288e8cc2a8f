/**
 * The production log over a directory that loses what was not flushed: what a server of a virtual world keeps when the world
 * is to have real disks. Promises are the log's own; they move only when the world lets an operation of the directory end.
 */
import { crc32 } from 'node:zlib'
import { Files } from '../../broker/log/files.ts'
import { type Identity, readIdentity, writeIdentity } from '../../broker/log/identity.ts'
import type { LogOptions } from '../../broker/log/options.ts'
import type { Place } from '../../broker/log/place.ts'
import { createReached } from '../../broker/log/reached.ts'
import { SegmentLog } from '../../broker/log/segment-log.ts'
import { setAside } from '../../broker/log/unflushed.ts'
import type { ServerId } from '../../proto/ids.ts'
import type { Position, RecordKind, Store } from '../../proto/machine/store.ts'
import type { Sync } from '../../proto/sync.ts'
import type { CrashFiles } from './crash-files.ts'
import type { DiskOwner, DiskRecord } from './virtual-disk.ts'

/** Small, so that a short history fills, seals and crosses segments. */
const logOptions: Partial<LogOptions> = {
  segmentBytes: 20_480,
  recordBytesMax: 16_384,
  cacheBytesMax: 4_096,
  diskReserveBytes: 65_536,
}

/** Bytes that a disk has at least: the reserve, and room for a history. */
export const diskBytes = 1_000_000

/** Files of a world have no numbers and no path. */
const noMark = { inode: '', birth: '' }
const noPlace: Place = { directory: noMark, note: noMark, path: '', host: '' }

type SegmentOwner = Pick<DiskOwner, 'appended' | 'flushed' | 'after'>

export class SegmentDisk implements Store {
  readonly files: CrashFiles
  readonly #directory: Files
  readonly #identity: Identity
  readonly #boot: string
  readonly #log: SegmentLog
  readonly #owner: SegmentOwner
  #unflushed: DiskRecord[] = []
  #detached = false

  /**
   * @param of the server, and the UUID of its storage, from which the seed follows
   * @param boot of the machine, which is another one after every loss of power
   */
  constructor(
    files: CrashFiles,
    owner: SegmentOwner,
    of: { readonly server: ServerId; readonly storage: string },
    sync: Sync,
    boot: string,
  ) {
    this.files = files
    this.#directory = new Files(files)
    this.#owner = owner
    this.#boot = boot
    const seed = crc32(of.storage)
    this.#identity = { ...of, seed, place: noPlace }
    this.#log = new SegmentLog(this.#directory, { ...logOptions, seed, sync, boot }, (milliseconds, run) =>
      owner.after(milliseconds, () => {
        if (!this.#detached) run()
      }),
    )
  }

  get full(): boolean {
    return this.#log.full
  }

  admits(bytes: number): boolean {
    return this.#log.admits(bytes)
  }

  get flushedTo(): Position {
    return this.#log.flushedTo
  }

  get writtenTo(): Position {
    return this.#log.writtenTo
  }

  get dirty(): boolean {
    return this.#log.dirty
  }

  append(kind: RecordKind, body: Uint8Array): Position {
    const position = this.#log.append(kind, body)
    const record = { kind, body: Uint8Array.from(body), position }
    this.#unflushed.push(record)
    this.#owner.appended(record)
    return position
  }

  flush(): Promise<void> {
    return this.#log.flush().then(() => this.#tell())
  }

  read(position: Position): Uint8Array | Promise<Uint8Array> {
    return this.#log.read(position)
  }

  /** As `openDirectory` does: a storage that may lack something is set aside, and without an identity one is made anew. */
  async recover(visit: (kind: RecordKind, body: Uint8Array, position: Position) => void): Promise<void> {
    const found = await readIdentity(this.#directory)
    const lost = await setAside(this.#directory, this.#boot, found?.seed ?? null)
    if (found === null || lost !== null) {
      await createReached(this.#directory, this.#identity.seed)
      await writeIdentity(this.#directory, this.#identity)
    }
    await this.#log.recover(visit)
  }

  idle(): void {
    this.#log.idle()
  }

  onFailure(listener: (error: unknown) => void): void {
    this.#log.onFailure(listener)
  }

  close(): Promise<void> {
    return this.#log.close()
  }

  /** The process is gone; `files` belong to the next one. */
  detach(): void {
    this.#detached = true
  }

  /** A commit that had to wait takes along what was appended after the call. */
  #tell(): void {
    if (this.#detached) return
    const end = this.#unflushed.findIndex(({ position }) => position >= this.#log.writtenTo)
    const flushed = this.#unflushed.splice(0, end < 0 ? this.#unflushed.length : end)
    if (flushed.length > 0) this.#owner.flushed(flushed)
  }
}
