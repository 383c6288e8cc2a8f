/** Making what is missing of a path, one name after the other. */
import { accessSync, constants, mkdirSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { EpochcastError } from '../../proto/errors.ts'
import { systemCode } from './failure.ts'

/**
 * Makes a directory with all that is missing above it. The recursive one of Node is not used: it never ends where the system says
 * of a directory which is there that something in it cannot be found, as it does in /proc.
 * @returns the directories that were made, the outermost first
 * @throws an error of the system that says why the outermost missing one is not made; EpochcastError `EC_DISK_FAILED` where
 *   nothing can be made
 */
export function makeDirectory(path: string): string[] {
  const missing: string[] = []
  for (let at = resolve(path); !isDirectory(at); at = dirname(at)) missing.unshift(at)
  return missing.filter(make)
}

/** @returns false where another process was faster */
function make(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o750 })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST' && isDirectory(path)) return false
    throw systemCode(error) === 'ENOENT' ? reasonAbove(path) : error
  }
}

/** False where nothing is there. @throws an error of the system where that cannot be found out */
function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}

/** The system says of a directory in which nothing may be made that it is not there: the reason is that of its parent. */
function reasonAbove(path: string): Error {
  const parent = dirname(path)
  try {
    accessSync(parent, constants.W_OK)
  } catch (error) {
    return error as Error
  }
  const hint = 'Its file system keeps no directories of yours: name one on a disk.'
  return new EpochcastError('EC_DISK_FAILED', `${path} cannot be made: nothing can be made in ${parent}`, { hint })
}
