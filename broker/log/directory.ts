import { randomInt, randomUUID } from 'node:crypto'
import { dirname, join, resolve } from 'node:path'
import { EpochcastError } from '../../proto/errors.ts'
import type { ServerId } from '../../proto/ids.ts'
import { bootOfMachine } from './boot.ts'
import { flushDirectoryEntry } from './disk-files.ts'
import { isNoSpace, onDisk, storageLacks } from './failure.ts'
import { Files } from './files.ts'
import { HomeFiles } from './home-files.ts'
import { damagedIdentity, type Identity, readIdentity, writeIdentity } from './identity.ts'
import { lockDirectory, lockFile } from './lock.ts'
import { makeDirectory } from './make-directory.ts'
import type { LogOptions } from './options.ts'
import { isAtHome, keptOf, type Place, placeOf } from './place.ts'
import { createReached, reachedFileName, readReached } from './reached.ts'
import { SegmentLog } from './segment-log.ts'
import { parseSegmentName } from './segment-name.ts'
import { openFilesMax } from './segments.ts'
import { type LostStorage, setAside } from './unflushed.ts'
import { DirectoryWatch } from './watch.ts'

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

  /**
   * Looks from now on whether the files of `log` are still those in here.
   * @param onLoss called once, with the reason why the server must not go on
   * @throws EpochcastError `EC_DISK_FAILED`
   */
  watch(log: SegmentLog, onLoss: (error: EpochcastError) => void): DirectoryWatch {
    const { path, files, identity } = this
    const watched = { path, files, identity, segments: () => log.segmentFiles }
    const watch = onDisk(`look at ${path}`, () => new DirectoryWatch(watched, onLoss))
    watch.start()
    return watch
  }

  /** Gives the directory back; close its log first. @throws EpochcastError `EC_DISK_FAILED` */
  async close(): Promise<void> {
    onDisk(`unlock ${this.path}`, this.#unlock)
  }
}

/**
 * Opens the data directory of a server for this process alone; makes it, with a new storage, when it is missing or empty, and
 * when the machine stopped while not all that was acknowledged was on disk (`sync` weaker than `always`). One that an early
 * version wrote, which kept no note of how far its log reached, is taken over as it is, once.
 * @throws EpochcastError `EC_LOG_LOCKED` when it is in use, `EC_LOG_FOREIGN` when it belongs to another server,
 * `EC_LOG_COPIED` when it was copied here, `EC_LOG_FORMAT` when a newer version wrote it, `EC_LOG_DAMAGED` when files of it are
 * missing, not intact, or those of another storage, `EC_DISK_FULL` and `EC_DISK_FAILED` when the system refuses anything
 */
export async function openDirectory(path: string, options: DirectoryOptions): Promise<DataDirectory> {
  const absolute = resolve(path)
  await madeDirectory(absolute)
  const locks: (() => void)[] = []
  const unlock = () => {
    for (const release of locks) release()
  }
  return await onDisk(`open ${absolute}`, async () => {
    try {
      locks.push(lockDirectory(absolute, join(absolute, 'lock')))
      const disk = await HomeFiles.open(absolute)
      disk.holdDescriptors(descriptorsHeld)
      locks.push(() => disk.holdDescriptors(0))
      const files = new Files(disk)
      const { serverId, boot = bootOfMachine() } = options
      const found = await readIdentity(files)
      if (found !== null && found.server !== serverId) throw foreign(absolute, found.server, serverId)
      if (found !== null) await checkHome(absolute, files, found)
      const lost = await setAside(files, boot, found?.seed ?? null)
      const isKept = found !== null && lost === null
      const identity = isKept ? await settled(absolute, files, found) : await newIdentity(absolute, files, serverId)
      locks.push(lockFile(absolute, join(absolute, reachedFileName)))
      return new DataDirectory(absolute, files, { identity, lost, boot }, unlock)
    } catch (error) {
      unlock()
      throw error
    }
  })
}

/** What an adoption does, or did. */
export interface Adoption {
  readonly identity: Identity
  /** Where the storage was at home before; null where that was not known. */
  readonly before: Place | null
  /** False where it is at home here already. */
  readonly isMoved: boolean
}

/**
 * Says what an adoption of this data directory would do, and changes nothing.
 * @throws EpochcastError as `adoptDirectory`
 */
export async function checkAdoption(path: string): Promise<Adoption> {
  return await withLocked(path, inspected)
}

/**
 * Makes a data directory that was moved the home of its storage. What is in it stays as it is.
 * @throws EpochcastError `EC_LOG_COPIED` when the original is still there; else as `openDirectory`
 */
export async function adoptDirectory(path: string): Promise<Adoption> {
  return await withLocked(path, async (absolute, files) => {
    const { identity, before, isMoved } = await inspected(absolute, files)
    return { identity: isMoved ? await settled(absolute, files, identity) : identity, before, isMoved }
  })
}

async function inspected(path: string, files: Files): Promise<Adoption> {
  const identity = await readIdentity(files)
  if (identity === null) throw damagedIdentity('it is missing')
  const before = identity.place
  if (before === null) {
    await mustHaveBegun(files)
    return { identity, before, isMoved: true }
  }
  await checkNote(files, identity)
  const here = await placeOf(path)
  const isMoved = !isAtHome(before, here)
  if (isMoved && before.path !== here.path && (await holds(before.path, identity)))
    throw originalIsThere(identity, here, before)
  return { identity, before, isMoved }
}

async function withLocked<T>(path: string, action: (absolute: string, files: Files) => Promise<T>): Promise<T> {
  const absolute = resolve(path)
  return await onDisk(`adopt ${absolute}`, async () => {
    const unlock = lockDirectory(absolute, join(absolute, 'lock'))
    try {
      return await action(absolute, new Files(await HomeFiles.open(absolute)))
    } finally {
      unlock()
    }
  })
}

/** Makes what is missing of the path, each new name flushed in its parent. */
async function madeDirectory(path: string): Promise<void> {
  await onDisk(`make ${path}`, async () => {
    for (const made of makeDirectory(path)) await flushDirectoryEntry(dirname(made))
  })
}

async function newIdentity(path: string, files: Files, server: ServerId): Promise<Identity> {
  const names = await files.list()
  if (names.some((name) => parseSegmentName(name) !== null)) throw damagedIdentity('it is missing beside a log')
  const seed = randomInt(2 ** 32)
  await createReached(files, seed)
  const identity: Identity = { server, storage: randomUUID(), seed, place: keptOf(await placeOf(path)) }
  await writeIdentity(files, identity)
  return identity
}

/** @throws EpochcastError where the storage is not at home in this directory, or lacks what every storage has */
async function checkHome(path: string, files: Files, identity: Identity): Promise<void> {
  const { place } = identity
  if (place === null) {
    await mustHaveBegun(files)
    return
  }
  await checkNote(files, identity)
  const here = await placeOf(path)
  if (!isAtHome(place, here)) throw copied(identity, here, place)
}

/** Versions that kept no place made the first segment before they listened. */
async function mustHaveBegun(files: Files): Promise<void> {
  const isBegun = (await files.list()).some((name) => parseSegmentName(name) !== null)
  if (!isBegun) throw storageLacks('identity.json is there without any segment of its log')
}

/** @throws EpochcastError `EC_LOG_DAMAGED` where the note is missing, or that of another storage */
async function checkNote(files: Files, { seed }: Identity): Promise<void> {
  if ((await readReached(files, seed)) !== null) return
  throw storageLacks(`${reachedFileName}, the note of how far the log reached, is missing`)
}

/** The identity with the place as it is now called: a directory may be renamed, and seen under another path. */
async function settled(path: string, files: Files, identity: Identity): Promise<Identity> {
  const { place, seed } = identity
  if (place === null) await createReached(files, seed)
  const here = await placeOf(path)
  const isSame = place !== null && place.path === here.path && place.host === here.host && isAtHome(place, here)
  if (isSame) return identity
  const next: Identity = { ...identity, place: keptOf(here) }
  try {
    await writeIdentity(files, next)
  } catch (error) {
    // Another path or machine name is for people; a full disk keeps no server from starting.
    if (place === null || !isAtHome(place, here) || !isNoSpace(error)) throw error
  }
  return next
}

/** Whether the directory at `path` holds the storage of this identity. */
async function holds(path: string, { storage }: Identity): Promise<boolean> {
  try {
    const found = await readIdentity(new Files(await HomeFiles.open(path)))
    return found?.storage === storage
  } catch {
    return false
  }
}

function foreign(path: string, found: string, expected: string): EpochcastError {
  return new EpochcastError('EC_LOG_FOREIGN', `data directory ${path} belongs to server ${found}, not ${expected}`, {
    hint: `Start this server with its own directory, or as ${found}.`,
  })
}

function copied({ server, storage }: Identity, here: Place, home: Place): EpochcastError {
  const was = here.path === home.path ? 'it was put back here' : `its original is ${home.path} on ${home.host}`
  const text = `data directory ${here.path} is a copy of the storage ${server}@${storage}: ${was}`
  return new EpochcastError('EC_LOG_COPIED', text, {
    hint:
      'A copy may lack what the original acknowledged. Start the original; or start this server with an empty directory, as ' +
      'another server. Only where the directory was moved here whole, with its server stopped, and the original is gone ' +
      `for good: epochcast adopt --data ${here.path}`,
  })
}

function originalIsThere({ server, storage }: Identity, here: Place, home: Place): EpochcastError {
  const text = `${here.path} cannot be adopted: the original of ${server}@${storage} is still in ${home.path}`
  return new EpochcastError('EC_LOG_COPIED', text, {
    hint: `Start the server on ${home.path}; or remove that directory first, if the server is to go on here.`,
  })
}
