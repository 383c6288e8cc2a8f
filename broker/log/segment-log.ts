/**
 * The message log of a server: one sequence of records in preallocated segments, group commit, crash recovery.
 *
 * A commit is one gathered write and one flush per segment that it touches (nearly always one). One is in flight; all
 * that is appended meanwhile goes with the next. Each begins with a mark that says up to where all had been flushed, so
 * recovery can tell a torn tail, which it cuts, from damage, which it never cuts.
 *
 * Where `sync` is weaker than `always`, a commit of batches alone is only written. What is flushed later, by the clock or
 * together with the next record of another kind, is everything that was written before, in the order of the log.
 */
import { EpochcastError, InvariantViolation } from '../../proto/errors.ts'
import type { Position, RecordKind, Store } from '../../proto/machine/store.ts'
import { type After, after as realAfter } from '../../proto/timer.ts'
import { emptyDirectory } from './empty-directory.ts'
import { damaged, diskFailed, isOfDisk, isUnreachable, storageLacks } from './failure.ts'
import type { Files } from './files.ts'
import { Flushing } from './flushing.ts'
import { type LogOptions, logOptions } from './options.ts'
import { createReached, ReachedNote, reachedFileName, readReached } from './reached.ts'
import { blockBytes, ReadBlocks } from './read-blocks.ts'
import { checkRecord, claimedLength, codeAt, codes, headerBytes, kindOf, markBodyBytes, recordBytes } from './record.ts'
import { recoverLog, type VisitRecord } from './recovery.ts'
import { parseSegmentName } from './segment-name.ts'
import { type SegmentFile, Segments } from './segments.ts'
import { Tail } from './tail.ts'
import { hasNote, mayLack, removeNote, writeNote } from './unflushed.ts'

const markBytes = recordBytes(markBodyBytes)

/** A part of the log inside one segment that a commit writes. */
interface Run {
  readonly segment: Position
  readonly from: Position
  to: Position
}

export class SegmentLog implements Store {
  readonly #files: Files
  readonly #options: LogOptions
  readonly #segments: Segments
  readonly #newestRecords: Tail
  readonly #blocks: ReadBlocks
  readonly #flushing: Flushing
  /** Null until the log has recovered. */
  #reached: ReachedNote | null = null
  #phase: 'new' | 'open' | 'closed' = 'new'
  #failure: EpochcastError | null = null
  #tellFailure: (error: unknown) => void = () => {}

  /** First position that the log keeps. */
  #start: Position = 0
  /** Where the next record goes, and the segment that this lies in. */
  #tail: Position = 0
  #segment: Position = 0
  #segmentEnd: Position = 0
  /** Everything below is at least with the system: the end of this process loses none of it. */
  #writtenTo: Position = 0
  /** Bytes of records that were admitted and are not appended yet. */
  #admittedBytes = 0
  /** The newest record that is not the log's own. */
  #newest: Position = -1
  /** The last commit was a mark alone. */
  #marked = true

  /** What the next commit writes. */
  #runs: Run[] = []
  /** It is on disk before anything follows from it. */
  #mustFlush: boolean
  #running: Promise<void> | null = null
  /** The commit in flight is being flushed, or will be. */
  #isFlushing = false
  /** After a failure: the note that nothing which was only written can be relied on. */
  #distrusted: Promise<void> = Promise.resolve()
  #queued: Promise<void> | null = null

  /**
   * @param after time for what is flushed by the clock, and for looking for space on a full disk; real time without it
   * @throws EpochcastError `EC_BAD_ARGUMENT` for options that cannot work together
   */
  constructor(files: Files, options: Partial<LogOptions> = {}, after: After = realAfter) {
    this.#files = files
    this.#options = logOptions(options)
    this.#segments = new Segments(files, this.#options, after, (error) => this.#fail('make a segment', error))
    this.#blocks = new ReadBlocks((position, bytes) => this.#readBytes(position, bytes))
    this.#newestRecords = new Tail(this.#options.cacheBytesMax, this.#options.seed)
    this.#mustFlush = this.#isStrict
    this.#flushing = new Flushing(this.#segments, this.#options.sync, after, () => this.#flushByClock())
  }

  get dirty(): boolean {
    return this.#newest >= this.#writtenTo
  }

  /** Whether the largest batch would not fit: so it does not depend on a batch's size whether it is taken. */
  get full(): boolean {
    if (this.#phase !== 'open') return false
    const largest = recordBytes(this.#options.recordBytesMax)
    const end = this.#tail + this.#admittedBytes + markBytes + largest
    // A record that does not fit into the rest of a segment leaves it empty.
    return this.#segments.refusesBatch(end > this.#segmentEnd ? end + markBytes + largest : end)
  }

  admits(bytes: number): boolean {
    if (this.full) return false
    this.#admittedBytes += recordBytes(bytes)
    return true
  }

  /** Everything below this position is on disk; never goes back within one storage. */
  get flushedTo(): Position {
    return this.#flushing.flushedTo
  }

  /** Everything below this position survives the end of this process; never goes back within one storage. */
  get writtenTo(): Position {
    return this.#writtenTo
  }

  /** The segment files that exist, in order. */
  get segmentFiles(): readonly SegmentFile[] {
    return this.#segments.files
  }

  /** Bytes of all segment files. */
  get sizeBytes(): number {
    return this.#segments.sizeBytes
  }

  /** @throws EpochcastError also `EC_MESSAGE_TOO_LARGE`, and `EC_DISK_FAILED` for good once a write or flush failed */
  append(kind: RecordKind, body: Uint8Array): Position {
    if (this.#failure !== null) throw this.#failure
    if (this.#phase !== 'open') throw this.#notOpen()
    const bytes = recordBytes(body.length)
    if (body.length > this.#options.recordBytesMax) throw this.#tooLarge(body.length)
    if (kind !== 'protocol') this.#useAdmission(bytes)
    if (kind !== 'batch') this.#mustFlush = true
    if (this.#runs.length === 0) this.#mark()
    const position = this.#place(bytes)
    this.#newestRecords.record(codes[kind], position, body)
    this.#newest = position
    return position
  }

  flush(): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure)
    if (this.#queued !== null) return this.#queued
    if (this.#runs.length === 0) return this.dirty && this.#running !== null ? this.#running : Promise.resolve()
    if (this.#running === null) return this.#commit()
    this.#queued = this.#running.then(() => {
      this.#queued = null
      return this.#commit()
    })
    return this.#queued
  }

  /** Writes a mark alone when the last commit has none behind it. A flush that comes meanwhile waits for it. */
  idle(): void {
    if (this.#phase !== 'open' || this.#failure !== null || this.#marked) return
    if (this.#running !== null || this.#runs.length > 0 || this.#flushing.flushedTo < this.#writtenTo) return
    this.#mark()
    this.#marked = true
    this.#commit().catch(() => {})
  }

  onFailure(listener: (error: unknown) => void): void {
    this.#tellFailure = listener
    if (this.#failure !== null && this.#phase === 'open') listener(this.#failure)
  }

  read(position: Position): Uint8Array | Promise<Uint8Array> {
    return this.#newestRecords.get(position) ?? this.#readFromBlock(position) ?? this.#readFromDisk(position)
  }

  async recover(visit: VisitRecord): Promise<void> {
    if (this.#phase !== 'new') throw new InvariantViolation('log', 'recover was called twice')
    let visiting = false
    const { sync, boot } = this.#options
    try {
      if (await mayLack(this.#files, boot)) throw suspect()
      const reached = await this.#reachedBefore()
      const { segments, start, end } = await recoverLog(this.#files, this.#options, reached, (kind, body, position) => {
        this.#newest = position
        visiting = true
        visit(kind, body, position)
        visiting = false
      })
      this.#start = start
      this.#tail = end
      this.#flushing.flushedTo = end
      this.#writtenTo = end
      this.#marked = this.#newest < 0
      // Recovery has flushed what was only written: from here on it counts what this process adds.
      if (!this.#isStrict) await writeNote(this.#files, sync, boot)
      await this.#segments.start(segments, end)
      this.#segment = this.#segments.firstOf(end)
      this.#segmentEnd = this.#segments.endOf(this.#segment)
      this.#reached = await ReachedNote.open(this.#files, this.#options.seed)
      await this.#reached.begin(end, this.#segment, !this.#isStrict)
      if (this.#isStrict) await removeNote(this.#files)
      this.#phase = 'open'
    } catch (error) {
      throw visiting ? error : this.#fail('recover', error)
    }
  }

  /**
   * Gives back the segments that end at or below `position`. Nothing there may be needed any more: it is for good when
   * this resolves.
   */
  async dropBelow(position: Position): Promise<void> {
    if (position <= this.#start) return
    if (this.#phase !== 'open') throw this.#notOpen()
    this.#start = Math.min(this.#segments.firstOf(position), this.#segment)
    // The mark goes first: a log whose first segments are missing without it is damaged.
    this.#mark()
    this.#mustFlush = true
    await this.flush()
    await this.#segments.dropBelow(this.#start).catch((error) => {
      throw this.#fail('remove a segment', error)
    })
  }

  /** Flushes all that was appended and a mark behind it, then closes the files. Does not reject for an earlier failure. */
  async close(): Promise<void> {
    if (this.#phase === 'closed') return
    if (this.#phase === 'open' && this.#failure === null) {
      await this.flush().catch(() => {})
      await this.#running?.catch(() => {})
      await this.#flushBehind().catch(() => {})
      this.idle()
    }
    this.#phase = 'closed'
    await this.#running?.catch(() => {})
    this.#flushing.stop()
    const isWhole = this.#failure === null && this.#newest < this.#flushing.flushedTo
    // A log that has not recovered says nothing about what is on the disk.
    if (isWhole && this.#reached !== null)
      await this.#endNotes(this.#reached).catch((error) => this.#fail('close', error))
    await this.#distrusted
    await this.#reached?.close()
    await this.#segments.close()
  }

  /** What the note says that the log reached; the note of a log that has not begun is made here. */
  async #reachedBefore(): Promise<Position> {
    const { seed } = this.#options
    const note = await readReached(this.#files, seed)
    if (note === null) {
      const isBegun = (await this.#files.list()).some((name) => parseSegmentName(name) !== null)
      if (isBegun)
        throw storageLacks(`${reachedFileName}, the note of how far the log reached, is missing beside the log`)
      await createReached(this.#files, seed)
      return 0
    }
    if (note.isLost) throw storageLacks('this storage was set aside, because it may lack what it had acknowledged')
    if (note.isLax && !(await hasNote(this.#files))) {
      throw storageLacks('the note is missing that says since when this log is flushed later than it acknowledges')
    }
    return note.position
  }

  /** Everything is on disk: the next process may take the log as it is. */
  async #endNotes(reached: ReachedNote): Promise<void> {
    if (this.#isStrict) return reached.flush()
    await reached.begin(this.#flushing.flushedTo, this.#segment, false)
    await removeNote(this.#files)
  }

  /** @throws EpochcastError `EC_DISK_FULL` for a record that was not admitted, where there is no room for it */
  #useAdmission(bytes: number): void {
    if (this.#admittedBytes >= bytes) this.#admittedBytes -= bytes
    else if (this.#segments.refusesBatch(this.#tail + markBytes + bytes)) throw this.#full()
  }

  get #isStrict(): boolean {
    return this.#options.sync === 'always'
  }

  #mark(): void {
    // At the beginning of a commit the one before is on disk by the time this is written, where each is flushed.
    const flushedTo = this.#runs.length === 0 && this.#isStrict ? this.#tail : this.#flushing.flushedTo
    const mark = { flushedTo, start: this.#start }
    this.#newestRecords.mark(this.#place(markBytes), mark)
  }

  /** Position of a record of `bytes`: here, or at the beginning of the next segment when it does not fit. */
  #place(bytes: number): Position {
    if (this.#tail + bytes > this.#segmentEnd) this.#nextSegment()
    const position = this.#tail
    this.#tail += bytes
    this.#extend(position)
    return position
  }

  #nextSegment(): void {
    if (this.#tail + headerBytes <= this.#segmentEnd) {
      const end = this.#tail
      this.#tail += headerBytes
      this.#extend(end)
      this.#newestRecords.end(end)
    }
    this.#segment = this.#segmentEnd
    this.#tail = this.#segment
    this.#segmentEnd = this.#segments.endOf(this.#segment)
    this.#segments.prepare(this.#segment)
    this.#segments.prepare(this.#segmentEnd)
  }

  /** The next commit also writes from `from` to the tail. */
  #extend(from: Position): void {
    const last = this.#runs[this.#runs.length - 1]
    if (last !== undefined && last.segment === this.#segment) last.to = this.#tail
    else this.#runs.push({ segment: this.#segment, from, to: this.#tail })
  }

  #commit(): Promise<void> {
    const runs = this.#runs
    this.#runs = []
    this.#isFlushing = this.#mustFlush
    this.#mustFlush = this.#isStrict
    this.#running = this.#perform(runs, this.#tail, this.#isFlushing)
    return this.#running
  }

  async #perform(runs: readonly Run[], to: Position, isFlushed: boolean): Promise<void> {
    try {
      const alone = this.#newest < this.#writtenTo
      for (const { segment, from, to } of runs) {
        const file = this.#segments.writable(segment)
        const open = file instanceof Promise ? await file : file
        const written = open.writev(this.#newestRecords.parts(from, to), from - segment)
        if (written !== undefined) await written
        this.#flushing.wrote(segment)
      }
      if (isFlushed) await this.#flushing.commit(to)
      const raised = this.#reached?.raise(to, runs.at(-1)?.segment ?? this.#segment)
      if (raised !== undefined) await raised
      // The mark of this commit may have taken the place of an idle one only when nothing else went with it.
      if (!alone) this.#marked = false
    } catch (error) {
      throw this.#fail('write', error)
    }
    if (this.#failure !== null) throw this.#failure
    this.#segments.released(runs.at(-1)?.segment ?? this.#segment)
    this.#writtenTo = to
    this.#newestRecords.trim(to)
    this.#isFlushing = false
    this.#running = null
    if (!isFlushed) this.#flushing.later()
  }

  /** A flush that fails ends the log like any other. */
  #flushByClock(): void {
    // A commit that is flushed takes along everything that was written before it.
    if (this.#phase === 'open' && !this.#isFlushing) this.#flushBehind().catch(() => {})
  }

  /** Brings to the disk what was only written; the next commit may be written meanwhile. */
  async #flushBehind(): Promise<void> {
    try {
      await this.#flushing.behind(this.#writtenTo)
    } catch (error) {
      throw this.#fail('flush', error)
    }
  }

  /** The body of a record that was read together with others; null where it was not, or not whole. */
  #readFromBlock(position: Position): Uint8Array | null {
    const isKept = this.#phase === 'open' && position >= this.#start
    const record = isKept ? this.#blocks.get(position) : null
    return record !== null && wantedBytes(record) <= record.length ? this.#bodyOf(record, position) : null
  }

  async #readFromDisk(position: Position): Promise<Uint8Array> {
    if (this.#phase !== 'open') throw this.#notOpen()
    const first = this.#segments.firstOf(position)
    try {
      let record = await this.#blocks.load(position, this.#writtenTo)
      if (wantedBytes(record) > record.length) record = await this.#blocks.reload(position, this.#writtenTo)
      const wanted = wantedBytes(record)
      if (wanted > record.length && wanted <= this.#segments.endOf(first) - position) {
        record = await this.#readBytes(position, wanted)
      }
      const body = this.#bodyOf(record, position)
      if (body !== null) return body
      this.#blocks.forget(position)
      throw damaged(first, position - first, 'no intact record is there')
    } catch (error) {
      if (isUnreachable(error)) throw this.#fail('read', error)
      if (error instanceof EpochcastError && !isOfDisk(error)) throw error
      throw damaged(first, position - first, 'it cannot be read', error)
    }
  }

  /** The body of an intact record at the beginning of `record`, else null. */
  #bodyOf(record: Buffer, position: Position): Uint8Array | null {
    const length = checkRecord(record, 0, position, this.#options.seed)
    if (length < 0 || kindOf(codeAt(record, 0)) === null) return null
    const body = record.subarray(headerBytes, headerBytes + length)
    // A small body does not keep the whole read.
    return length < blockBytes / 2 ? Uint8Array.from(body) : body
  }

  async #readBytes(position: Position, bytes: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(bytes)
    return buffer.subarray(0, await this.#segments.read(position, buffer))
  }

  #fail(doing: string, cause: unknown): EpochcastError {
    if (this.#failure !== null) return this.#failure
    this.#failure = diskFailed(doing, cause)
    // What was only written may be lost although the machine goes on: no boot is one that kept it.
    if (!this.#isStrict && this.#phase === 'open') {
      this.#distrusted = writeNote(this.#files, this.#options.sync, null).catch(() => {})
    }
    this.#flushing.stop()
    this.#segments.stop()
    if (this.#phase === 'open') this.#tellFailure(this.#failure)
    return this.#failure
  }

  #notOpen(): Error {
    if (this.#phase === 'closed') return new EpochcastError('EC_CLOSED', 'the log is closed')
    return new InvariantViolation('log', 'the log was used before it had recovered')
  }

  #tooLarge(bytes: number): EpochcastError {
    const { recordBytesMax } = this.#options
    return new EpochcastError('EC_MESSAGE_TOO_LARGE', `a record of ${bytes} bytes exceeds ${recordBytesMax}`)
  }

  #full(): EpochcastError {
    return new EpochcastError('EC_DISK_FULL', 'only the space kept for protocol records is left', {
      hint: 'Free space on the disk of this server, or move its topics away with `epochcast reconfig`.',
    })
  }
}

/** Whoever opens the directory sets such a log aside: see `unflushed.ts`. */
function suspect(): EpochcastError {
  return new EpochcastError('EC_LOG_DAMAGED', 'the machine stopped before all that was acknowledged was on disk', {
    hint: emptyDirectory,
  })
}

/** Bytes of the record at the beginning of `record`, as far as its header is there and says the truth. */
function wantedBytes(record: Buffer): number {
  return record.length < headerBytes ? headerBytes : headerBytes + claimedLength(record, 0)
}
