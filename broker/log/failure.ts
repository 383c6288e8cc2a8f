import { EpochcastError, type ErrorCode } from '../../proto/errors.ts'
import { segmentName } from './segment-name.ts'

interface Meaning {
  readonly code: ErrorCode
  /** What helps, one or more sentences. */
  readonly remedy: string
}

const full: Meaning = {
  code: 'EC_DISK_FULL',
  remedy: 'Free space on its disk (or raise the quota), then start it again: it recovers what was flushed.',
}
const forbidden: Meaning = {
  code: 'EC_DISK_FAILED',
  remedy: 'Let the user that runs it read and write its data directory, then start it again.',
}
const gone: Meaning = {
  code: 'EC_DISK_FAILED',
  remedy:
    'Its data directory, or a file in it, was removed or unmounted. Bring it back as it was, or start the server with ' +
    'an empty directory: it is then another server.',
}
const noDescriptor: Meaning = {
  code: 'EC_DISK_FAILED',
  remedy: 'Raise the limit of open files (ulimit -n, LimitNOFILE=), then start it again.',
}
const failing: Meaning = {
  code: 'EC_DISK_FAILED',
  remedy: 'Check the disk and the log of the system, then start it again: it recovers what was flushed.',
}

/** The remedy for each error of the system that a data directory meets; every other one is looked for at the disk. */
const meanings: Readonly<Record<string, Meaning>> = {
  ENOSPC: full,
  EDQUOT: full,
  EACCES: forbidden,
  EPERM: forbidden,
  EROFS: {
    code: 'EC_DISK_FAILED',
    remedy:
      'Mount its file system for writing, then start it again. A file system that became read-only by itself has a ' +
      'disk that fails: see the log of the system.',
  },
  ENOENT: gone,
  ENODEV: gone,
  ENXIO: gone,
  ESTALE: gone,
  ENOTCONN: gone,
  EMFILE: noDescriptor,
  ENFILE: noDescriptor,
  ENOTDIR: { code: 'EC_DISK_FAILED', remedy: 'A part of the path is a file: name a directory of its own.' },
  EEXIST: {
    code: 'EC_DISK_FAILED',
    remedy: 'A file, or a link to nothing, is where the directory should be: name a directory of its own.',
  },
  EISDIR: {
    code: 'EC_DISK_FAILED',
    remedy: 'A directory is where a file of the log should be: take it away, then start the server again.',
  },
  ELOOP: { code: 'EC_DISK_FAILED', remedy: 'Links in the path lead back to themselves: name a directory of its own.' },
  ENAMETOOLONG: {
    code: 'EC_DISK_FAILED',
    remedy: 'A name in the path is too long: name a directory with a shorter path.',
  },
  EFBIG: { code: 'EC_DISK_FAILED', remedy: 'Raise the limit of the size of files (ulimit -f), then start it again.' },
}

/**
 * The end of a log: after a write or a flush that failed nothing is known about the disk any more, and a second flush could
 * succeed without the data, so there is none.
 */
export function diskFailed(doing: string, cause: unknown): EpochcastError {
  if (cause instanceof EpochcastError) return cause
  const reason = cause instanceof Error ? cause.message : String(cause)
  const { code, remedy } = meanings[systemCode(cause) ?? ''] ?? failing
  return new EpochcastError(code, `the log could not ${doing}: ${reason}`, {
    cause,
    hint: `The server stops. ${remedy}`,
  })
}

/**
 * The door through which everything goes that is done to a data directory: an error of the system leaves as one of the product,
 * with its code and remedy.
 * @param doing completes "the log could not …"
 */
export function onDisk<T>(doing: string, action: () => T): T {
  const fail = (error: unknown): never => {
    throw diskFailed(doing, error)
  }
  try {
    const result = action()
    return result instanceof Promise ? (result.catch(fail) as T) : result
  } catch (error) {
    return fail(error)
  }
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
  return meanings[systemCode(error) ?? ''] === full
}

/** Whether no file can be opened now: the limit of this process, or that of the machine, is reached. */
export function isNoDescriptor(error: unknown): boolean {
  return meanings[systemCode(error) ?? ''] === noDescriptor
}

/** Whether a file could not be reached, which says nothing about what is in it. */
export function isUnreachable(error: unknown): boolean {
  const code = systemCode(error)
  return code !== undefined && code in meanings
}

/** Whether the disk failed, or was full: what is in its files is not said. */
export function isOfDisk(error: unknown): error is EpochcastError {
  return error instanceof EpochcastError && (error.code === 'EC_DISK_FAILED' || error.code === 'EC_DISK_FULL')
}

/** The system's code, such as `ENOSPC`, of an error of the system, or of one that left through the door of the disk. */
export function systemCode(error: unknown): string | undefined {
  const cause = isOfDisk(error) ? error.cause : error
  if (cause instanceof EpochcastError || !(cause instanceof Error)) return undefined
  return 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
}
