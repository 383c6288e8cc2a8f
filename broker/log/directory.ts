import { randomInt, randomUUID } from 'node:crypto'
import { access, constants, mkdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { EpochcastError } from '../../proto/errors.ts'
import type { ServerId } from '../../proto/ids.ts'
import { bootOfMachine } from './boot.ts'
import { DiskFiles, flushDirectoryEntry } from './disk-files.ts'
import { diskFailed, systemCode } from './failure.ts'
import type { Files } from './files.ts'
import { damagedIdentity, type Identity, readIdentity, writeIdentity } from './identity.ts'
import { lockDirectory } from './lock.ts'
import type { LogOptions } from './options.ts'
import { SegmentLog } from './segment-log.ts'
import { parseSegmentName } from './segment-name.ts'
import { openFilesMax } from './segments.ts'
import { type LostStorage, setAside } from './unflushed.ts'

/** File descriptors that are held for the log: its open segments, those being made, and a directory. */
export const descriptorsHeld: number = openFilesMax + 8

interface Opened {
  readonly identity: Identity
  readonly lost: LostStorage | null
  readonly boot: string | null
}

export interface DirectoryOptions {
  readonly serverId: ServerId
  /** The boot of this machine, or null where it is not known; without it, what the system says. */
  readonly boot?: string | null
}

/** The data directory of one server, locked for this process until `close`. */
export class DataDirectory {
  readonly path: string
  readonly files: Files
  readonly identity: Identity
  /** What was found and set aside, because the machine stopped while not all of it was on disk. */
  readonly lost: LostStorage | null
  readonly #boot: string | null
  readonly #unlock: () => void

  constructor(path: string, files: Files, opened: Opened, unlock: () => void) {
    this.path = path
    this.files = files
    this.identity = opened.identity
    this.lost = opened.lost
    this.#boot = opened.boot
    this.#unlock = unlock
  }

  /** The log in here; call `recover` before anything else. One at a time. */
  openLog(options: Partial<Omit<LogOptions, 'seed' | 'boot'>> = {}): SegmentLog {
    return new SegmentLog(this.files, { ...options, seed: this.identity.seed, boot: this.#boot })
  }

  /** Gives the directory back; close its log first. */
  async close(): Promise<void> {
    this.#unlock()
  }
}

/**
 * Opens the data directory of a server for this process alone; makes it, with a new storage, when it is missing or empty, and
 * when the machine stopped while not all that was acknowledged was on disk (`sync` weaker than `always`).
 * @throws EpochcastError `EC_LOG_LOCKED` when it is in use, `EC_LOG_FOREIGN` when it belongs to another server,
 * `EC_LOG_FORMAT` when a newer version wrote it, `EC_LOG_DAMAGED` when its identity is not intact, or missing beside a log
 */
export async function openDirectory(path: string, options: DirectoryOptions): Promise<DataDirectory> {
  const absolute = resolve(path)
  await makeDirectory(absolute)
  let unlock = () => {}
  try {
    unlock = lockDirectory(absolute, join(absolute, 'lock'))
    const files = new DiskFiles(absolute)
    const held = unlock
    unlock = () => {
      files.holdDescriptors(0)
      held()
    }
    files.holdDescriptors(descriptorsHeld)
    const { serverId, boot = bootOfMachine() } = options
    const found = await readIdentity(files)
    if (found !== null && found.server !== serverId) throw foreign(absolute, found.server, serverId)
    const lost = await setAside(files, boot)
    const identity = found !== null && lost === null ? found : await newIdentity(files, serverId)
    return new DataDirectory(absolute, files, { identity, lost, boot }, unlock)
  } catch (error) {
    unlock()
    throw diskFailed(`open ${absolute}`, error)
  }
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
    throw diskFailed(`make ${path}`, systemCode(error) === 'ENOENT' ? await reasonAbove(path, error) : error)
  }
}

/** Node says of a directory whose parent may not be written to that it is not there: the reason is looked for above. */
async function reasonAbove(path: string, error: unknown): Promise<unknown> {
  for (let above = dirname(path); ; above = dirname(above)) {
    const refusal: unknown = await access(above, constants.W_OK).then(
      () => null,
      (reason: unknown) => reason,
    )
    if (systemCode(refusal) !== 'ENOENT') return refusal ?? error
    if (above === dirname(above)) return error
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
