import * as fs from 'node:fs'
import { tryLock } from 'fs-native-extensions'
import { EpochcastError } from '../../proto/errors.ts'
import { isNoSpace } from './failure.ts'

/**
 * Locks a directory for this process by an empty file in it, which stays: two processes must never lock two different
 * files of that name. The kernel frees the lock when the process dies, however it dies.
 * @returns gives the lock back
 * @throws EpochcastError `EC_LOG_LOCKED` when it is locked, by this same process too
 */
export function lockDirectory(path: string, file: string): () => void {
  const fd = fs.openSync(file, 'a+', 0o640)
  return held(fd, path, () => noteHolder(fd))
}

/**
 * Locks a file of the storage itself as well: a lock file that is deleted does not let a second process in.
 * @returns gives the lock back
 * @throws EpochcastError `EC_LOG_LOCKED` when it is locked, by this same process too
 */
export function lockFile(path: string, file: string): () => void {
  return held(fs.openSync(file, 'r+'), path, () => {})
}

/** Locks an open file, which is closed when that fails. */
function held(fd: number, path: string, whenLocked: () => void): () => void {
  try {
    if (!tryLock(fd)) throw locked(path, holder(fd))
    whenLocked()
  } catch (error) {
    fs.closeSync(fd)
    throw error
  }
  let isHeld = true
  return () => {
    if (isHeld) fs.closeSync(fd)
    isHeld = false
  }
}

/** A help for whoever is kept out, and nothing more: a full disk keeps no server from starting. */
function noteHolder(fd: number): void {
  try {
    fs.ftruncateSync(fd)
    fs.writeSync(fd, `${process.pid}\n`)
  } catch (error) {
    if (!isNoSpace(error)) throw error
  }
}

/** Who wrote into the lock file last: a help for the reader of the message, nothing more. */
function holder(fd: number): string {
  const buffer = Buffer.alloc(32)
  const text = buffer.toString('latin1', 0, fs.readSync(fd, buffer, 0, buffer.length, 0)).trim()
  return /^\d+$/.test(text) ? `process ${text}` : 'another process'
}

function locked(path: string, by: string): EpochcastError {
  return new EpochcastError('EC_LOG_LOCKED', `data directory ${path} is in use by ${by}`, {
    hint: 'One server uses a data directory at a time: stop that process, or give this server a directory of its own.',
  })
}
