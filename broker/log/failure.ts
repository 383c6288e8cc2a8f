import { EpochcastError } from '../../proto/errors.ts'
import { segmentName } from './segment-name.ts'

/** Nothing is known about the disk any more: a second flush could succeed without the data, so there is none. */
export function diskFailed(doing: string, cause: unknown): EpochcastError {
  if (cause instanceof EpochcastError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  return new EpochcastError('EC_DISK_FAILED', `the log could not ${doing}: ${reason}`, {
    cause,
    hint: 'The server stops. Check the disk and its space, then start it again: it recovers what was flushed.',
  })
}

export function damaged(segment: number, offset: number, what: string, cause?: unknown): EpochcastError {
  return new EpochcastError('EC_LOG_DAMAGED', `${segmentName(segment)} is damaged at byte ${offset}: ${what}`, {
    cause,
    hint:
      'Keep the directory. Start this server with an empty one: it is then another server, and an epoch change ' +
      'brings it back in; or put back an intact copy of this very file if there is one.',
  })
}

/** Files of the storage are missing, or are not those that it wrote: nobody knows what it has promised. */
export function storageLacks(what: string): EpochcastError {
  return new EpochcastError('EC_LOG_DAMAGED', what, {
    hint:
      'Put back the very files that are missing if they exist. Else start this server with an empty directory: it is then ' +
      'another server, and an epoch change brings it back in.',
  })
}

/** The error codes of a disk without space, that of the machine or that of a quota. */
export function isNoSpace(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return code === 'ENOSPC' || code === 'EDQUOT'
}
