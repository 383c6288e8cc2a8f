import { InvariantViolation } from '../../proto/errors.ts'
import type { Position } from '../../proto/machine/store.ts'
import type { After } from '../../proto/timer.ts'
import { damaged, isNoDescriptor, isNoSpace } from './failure.ts'
import type { Files, OpenFile } from './files.ts'
import type { LogOptions } from './options.ts'
import { segmentName, unfinishedName } from './segment-name.ts'

/** Segment files held open at once, beside those being written. */
export const openFilesMax = 32
/** Milliseconds between two looks for space while the disk is full: it comes without any call of this process. */
const lookMs = 500

/** One segment: `bytes` of the log from position `first` on. */
export interface SegmentFile {
  readonly first: Position
  readonly bytes: number
}

interface Segment extends SegmentFile {
  file: OpenFile | null
  opening: Promise<OpenFile> | null
  users: number
  dropped: boolean
}

/**
 * The segment files of one log: makes the next one before it is needed, keeps the reserve, opens old ones for reading.
 * Everything that changes the directory goes through one chain, one step at a time, so files can only be missing at its
 * ends.
 */
export class Segments {
  readonly #files: Files
  readonly #options: LogOptions
  readonly #onFailure: (error: unknown) => void
  readonly #list: Segment[] = []
  readonly #open = new Set<Segment>()
  #chain: Promise<void> = Promise.resolve()
  #writingFrom: Position = 0
  /** No segment can be made without taking from the reserve. */
  #full = false
  /** Batches may go up to here by the space there was when it was looked at last; not made yet, for the most part. */
  #roomTo: Position = 0
  /** Batches may go up to here even when the disk is full. */
  #batchesTo: Position = 0
  #looking = false
  readonly #after: After
  /** Takes back the next look for space; null while there is space. */
  #cancelLook: (() => void) | null = null
  #stopped = false

  constructor(files: Files, options: LogOptions, after: After, onFailure: (error: unknown) => void) {
    this.#files = files
    this.#options = options
    this.#after = after
    this.#onFailure = onFailure
  }

  /** Those that exist, in order. */
  get files(): readonly SegmentFile[] {
    return this.#list
  }

  get sizeBytes(): number {
    return this.#list.reduce((sum, segment) => sum + segment.bytes, 0)
  }

  /** Takes over what recovery left, and gets ready to write into the segment that begins at `active`. */
  async start(found: readonly SegmentFile[], active: Position): Promise<void> {
    for (const { first, bytes } of found) this.#list.push(segmentOf(first, bytes, null))
    this.#writingFrom = active
    if (this.#list.length === 0) await this.#create(active)
    else if (this.#end <= active) await this.#create(this.#end)
    await this.#openFile(this.#at(active) as Segment)
    const spare = await this.#measure()
    if (spare >= 0) this.#batchesTo = this.#end - this.#heldBackBytes
    this.prepare(this.#end)
  }

  /** End of the segment that begins at `first`, also of one that is still to be made. */
  endOf(first: Position): Position {
    return first + (this.#at(first)?.bytes ?? this.#options.segmentBytes)
  }

  /** First position of the segment that holds `position`. */
  firstOf(position: Position): Position {
    return this.#at(position)?.first ?? position
  }

  /** Makes the segments up to the one that begins at `first` in the background, unless that would take from the reserve. */
  prepare(first: Position): void {
    this.#inTurn(() => this.#prepare(first)).catch(this.#onFailure)
  }

  /** Whether a batch that ends at `end` would take from the reserve; if so, looks for new space in the background. */
  refusesBatch(end: Position): boolean {
    if (end <= this.#batchesTo || (!this.#full && end <= this.#roomTo)) return false
    this.#look()
    return true
  }

  /** The file of the segment that begins at `first`, for writing; made now when it does not exist. */
  writable(first: Position): OpenFile | Promise<OpenFile> {
    return this.#at(first)?.file ?? this.#make(first)
  }

  /** Flushes what was written to the segment that begins at `first`; nothing where it was given back. */
  async datasync(first: Position): Promise<void> {
    const segment = this.#at(first)
    if (segment === undefined) return
    segment.users++
    try {
      const file = segment.file ?? (await this.#openFile(segment))
      await file.datasync()
    } finally {
      segment.users--
      if (segment.dropped && segment.users === 0) await segment.file?.close()
    }
  }

  /** Segments before that of `position` are no longer written. */
  released(position: Position): void {
    if (this.#writingFrom === position) return
    this.#writingFrom = position
    this.#closeIdle()
  }

  /** Fills `buffer` with the log from `position` on; fewer bytes only at the end of a segment. */
  async read(position: Position, buffer: Uint8Array): Promise<number> {
    const segment = this.#at(position)
    if (segment === undefined) throw damaged(position, 0, 'there is no such segment')
    segment.users++
    try {
      const file = segment.file ?? (await this.#openFile(segment))
      if (this.#open.delete(segment)) this.#open.add(segment)
      return await file.read(buffer, position - segment.first)
    } finally {
      segment.users--
      if (segment.dropped && segment.users === 0) await segment.file?.close()
      this.#closeIdle()
    }
  }

  /** Removes the segments that end at or below `position`, oldest first; each is gone for good before the next goes. */
  dropBelow(position: Position): Promise<void> {
    return this.#inTurn(async () => {
      for (let segment = this.#list[0]; segment !== undefined; segment = this.#list[0]) {
        if (segment.first + segment.bytes > position || segment.first >= this.#writingFrom) return
        this.#list.shift()
        await this.#files.remove(segmentName(segment.first))
        await this.#files.flushDirectory()
        this.#open.delete(segment)
        segment.dropped = true
        if (segment.users === 0) await segment.file?.close()
      }
    })
  }

  /** Space is not looked for any more. */
  stop(): void {
    this.#stopped = true
    this.#cancelLook?.()
    this.#cancelLook = null
  }

  async close(): Promise<void> {
    this.stop()
    await this.#chain
    for (const segment of this.#list) await segment.file?.close()
    this.#open.clear()
  }

  get #end(): Position {
    const last = this.#list.at(-1)
    return last === undefined ? 0 : last.first + last.bytes
  }

  /** The end of what is preallocated, kept for protocol records: there they fit even where others fill the disk. */
  get #heldBackBytes(): number {
    return this.#options.segmentBytes >>> 2
  }

  #look(): void {
    if (this.#looking) return
    this.#looking = true
    this.#inTurn(() => this.#prepare(this.#end))
      .catch(this.#onFailure)
      .finally(() => {
        this.#looking = false
      })
  }

  #inTurn(action: () => Promise<void>): Promise<void> {
    const result = this.#chain.then(action)
    this.#chain = result.catch(() => {})
    return result
  }

  async #prepare(first: Position): Promise<void> {
    while (this.#end <= first) {
      await this.#measure()
      if (this.#full) return
      try {
        await this.#create(this.#end)
        this.#batchesTo = this.#end - this.#heldBackBytes
      } catch (error) {
        if (!isNoSpace(error) && !isNoDescriptor(error)) throw error
        this.#setFull(true)
        return
      }
    }
  }

  async #make(first: Position): Promise<OpenFile> {
    await this.#inTurn(async () => {
      while (this.#end <= first) await this.#create(this.#end)
    })
    const file = this.#at(first)?.file
    if (file === undefined || file === null) throw new InvariantViolation('log', `segment ${first} is not writable`)
    return file
  }

  async #create(first: Position): Promise<void> {
    const bytes = this.#options.segmentBytes
    const name = unfinishedName(segmentName(first))
    let file: OpenFile | null = null
    try {
      file = await this.#files.create(name, bytes)
      await this.#files.rename(name, segmentName(first))
      await this.#files.flushDirectory()
    } catch (error) {
      await file?.close().catch(() => {})
      await this.#files.remove(name).catch(() => {})
      throw error
    }
    const segment = segmentOf(first, bytes, file)
    this.#list.push(segment)
    this.#open.add(segment)
  }

  /** Looks how many segments can be made. @returns bytes beside the reserve; less than nothing when it is not whole */
  async #measure(): Promise<number> {
    const { diskReserveBytes, segmentBytes, sizeBytesMax } = this.#options
    const free = Math.min(await this.#files.freeBytes(), sizeBytesMax - this.sizeBytes)
    const spare = free - diskReserveBytes
    const segments = Math.max(0, Math.floor(spare / segmentBytes))
    this.#setFull(segments === 0)
    this.#roomTo = this.#end + segments * segmentBytes - this.#heldBackBytes
    return spare
  }

  /** While it is full, it looks for space now and then, whether anything is to be stored or not. */
  #setFull(isFull: boolean): void {
    this.#full = isFull
    if (!isFull) {
      this.#cancelLook?.()
      this.#cancelLook = null
    } else if (this.#cancelLook === null && !this.#stopped) {
      this.#cancelLook = this.#after(lookMs, () => {
        this.#cancelLook = null
        this.#look()
      })
    }
  }

  /** Binary search among the segments. */
  #at(position: Position): Segment | undefined {
    let low = 0
    let high = this.#list.length - 1
    while (low <= high) {
      const middle = (low + high) >> 1
      const segment = this.#list[middle] as Segment
      if (position < segment.first) high = middle - 1
      else if (position >= segment.first + segment.bytes) low = middle + 1
      else return segment
    }
    return undefined
  }

  #openFile(segment: Segment): Promise<OpenFile> | OpenFile {
    if (segment.file !== null) return segment.file
    segment.opening ??= this.#files
      .open(segmentName(segment.first))
      .then((file) => {
        segment.file = file
        this.#open.add(segment)
        return file
      })
      .finally(() => {
        segment.opening = null
      })
    return segment.opening
  }

  #closeIdle(): void {
    if (this.#open.size <= openFilesMax) return
    for (const segment of this.#open) {
      if (this.#open.size <= openFilesMax) return
      if (segment.users > 0 || segment.first >= this.#writingFrom) continue
      this.#open.delete(segment)
      const file = segment.file
      segment.file = null
      file?.close().catch(() => {})
    }
  }
}

function segmentOf(first: Position, bytes: number, file: OpenFile | null): Segment {
  return { first, bytes, file, opening: null, users: 0, dropped: false }
}
