import { EpochcastError } from '../../proto/errors.ts'
import type { Sync } from '../../proto/sync.ts'

export interface LogOptions {
  /** Size of one segment file; a multiple of 4096. */
  readonly segmentBytes: number
  /** Largest body of a record. */
  readonly recordBytesMax: number
  /** Bytes of recently appended bodies that `read` finds in memory. */
  readonly cacheBytesMax: number
  /** Free space kept for protocol records, so that a full disk can still be moved away from. */
  readonly diskReserveBytes: number
  /** Bound of all segment files together, the reserve included. */
  readonly sizeBytesMax: number
  /** 32 bits of this storage that every checksum begins with. */
  readonly seed: number
  /** When batches are flushed; all other records are before anything follows from them, always. */
  readonly sync: Sync
  /** The boot of this machine; null where it is not known. Only weaker ways to flush need it. */
  readonly boot: string | null
}

const mebibyte = 1024 * 1024

const defaults: LogOptions = {
  segmentBytes: 16 * mebibyte,
  recordBytesMax: 2 * mebibyte,
  cacheBytesMax: 16 * mebibyte,
  diskReserveBytes: 32 * mebibyte,
  sizeBytesMax: Number.POSITIVE_INFINITY,
  seed: 0,
  sync: 'always',
  boot: null,
}

/** What a segment holds beside its largest record: a mark, the end, the headers. */
const overheadBytes = 4096

/** @throws EpochcastError `EC_BAD_ARGUMENT` when the numbers cannot work together */
export function logOptions(given: Partial<LogOptions>): LogOptions {
  const options = { ...defaults, ...given }
  const { segmentBytes, recordBytesMax, diskReserveBytes, sizeBytesMax } = options
  if (segmentBytes % 4096 !== 0 || segmentBytes < recordBytesMax + overheadBytes || segmentBytes > 1024 * mebibyte) {
    throw bad(`segmentBytes ${segmentBytes} must be a multiple of 4096, at least ${overheadBytes} above recordBytesMax`)
  }
  if (sizeBytesMax < diskReserveBytes + segmentBytes) {
    throw bad(`sizeBytesMax ${sizeBytesMax} leaves no segment beside the reserve of ${diskReserveBytes} bytes`)
  }
  return options
}

function bad(message: string): EpochcastError {
  return new EpochcastError('EC_BAD_ARGUMENT', message)
}
