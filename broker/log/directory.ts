import { randomInt, randomUUID } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { EpochcastError } from '../../proto/errors.ts'
import type { ServerId } from '../../proto/ids.ts'
import { DiskFiles, flushDirectoryEntry } from './disk-files.ts'
import { diskFailed } from './failure.ts'
import type { Files } from './files.ts'
import { damagedIdentity, type Identity, readIdentity, writeIdentity } from './identity.ts'
import { lockDirectory } from './lock.ts'
import type { LogOptions } from './options.ts'
import { SegmentLog } from './segment-log.ts'
import { parseSegmentName } from './segment-name.ts'

/** The data directory of one server, locked for this process until `close`. */
export class DataDirectory {
  readonly path: string
  readonly files: Files
  readonly identity: Identity
  readonly #unlock: () => void

  constructor(path: string, files: Files, identity: Identity, unlock: () => void) {
    this.path = path
    this.files = files
    this.identity = identity
    this.#unlock = unlock
  }

  /** Gives the directory back; close its log first. */
  async close(): Promise<void> {
    this.#unlock()
  }
}

/**
 * Opens the data directory of a server for this process alone; makes it, with a new storage, when it is missing or empty.
 * @throws EpochcastError `EC_LOG_LOCKED` when it is in use, `EC_LOG_FOREIGN` when it belongs to another server,
 * `EC_LOG_FORMAT` when a newer version wrote it, `EC_LOG_DAMAGED` when its identity is not intact, or missing beside a log
 */
export async function openDirectory(path: string, options: { serverId: ServerId }): Promise<DataDirectory> {
  const absolute = resolve(path)
  await makeDirectory(absolute)
  let unlock = () => {}
  try {
    unlock = lockDirectory(absolute, join(absolute, 'lock'))
    const files = new DiskFiles(absolute)
    const identity = (await readIdentity(files)) ?? (await newIdentity(files, options.serverId))
    if (identity.server !== options.serverId) throw foreign(absolute, identity.server, options.serverId)
    return new DataDirectory(absolute, files, identity, unlock)
  } catch (error) {
    unlock()
    throw diskFailed(`open ${absolute}`, error)
  }
}

/** The log in a data directory; call `recover` before anything else. One at a time. */
export function openLog(directory: DataDirectory, options: Partial<Omit<LogOptions, 'seed'>> = {}): SegmentLog {
  return new SegmentLog(directory.files, { ...options, seed: directory.identity.seed })
}

/** Makes what is missing of the path, each new name flushed in its parent. */
async function makeDirectory(path: string): Promise<void> {
  try {
    const topmost = await mkdir(path, { recursive: true, mode: 0o750 })
    if (topmost === undefined) return
    for (let made = path; ; made = dirname(made)) {
      await flushDirectoryEntry(dirname(made))
      if (made === topmost) return
    }
  } catch (error) {
    throw diskFailed(`make ${path}`, error)
  }
}

async function newIdentity(files: Files, server: ServerId): Promise<Identity> {
  const names = await files.list()
  if (names.some((name) => parseSegmentName(name) !== null)) throw damagedIdentity('it is missing beside a log')
  const identity: Identity = { server, storage: randomUUID(), seed: randomInt(2 ** 32) }
  await writeIdentity(files, identity)
  return identity
}

function foreign(path: string, found: string, expected: string): EpochcastError {
  return new EpochcastError('EC_LOG_FOREIGN', `data directory ${path} belongs to server ${found}, not ${expected}`, {
    hint: `Start this server with its own directory, or as ${found}.`,
  })
}
