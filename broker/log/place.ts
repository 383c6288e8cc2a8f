/**
 * Where a data directory is at home: inode and birth time of the directory and of the note inside it, as its file system numbers
 * them. A copy by files (`cp`, `rsync`, `tar`, a restored backup) gets numbers of its own wherever it is put, in the place of the
 * original too; a directory that is renamed keeps them. A copy of the whole file system, block by block, keeps them as well:
 * that is found out by the other servers alone (`membership/`).
 */
import { type BigIntStats, statfsSync } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { reachedFileName } from './reached.ts'

/** One file or directory; a number is empty where its file system has none that lasts. */
export interface FileMark {
  readonly inode: string
  /** Nanoseconds since 1970. */
  readonly birth: string
}

/** A file as it is found now. */
export interface FoundMark extends FileMark {
  /** False where the birth may be the time of the last change, which some systems give in its place. */
  readonly isBirthSure: boolean
}

export interface Place {
  readonly directory: FileMark
  readonly note: FileMark
  /** Absolute path, without symbolic links; compared only where the file system gives no numbers. */
  readonly path: string
  /** Name of the machine, for people. */
  readonly host: string
}

export interface FoundPlace extends Place {
  readonly directory: FoundMark
  readonly note: FoundMark
}

/**
 * File systems whose inode numbers may be others after the next mount, by their magic numbers: fuse, 9p, cifs, smb2, vfat,
 * exfat.
 */
const driftingFileSystems = new Set([0x65735546, 0x01021997, 0xff534d42, 0xfe534d42, 0x4d44, 0x2011bab0])

/** The place of a data directory that has its note. */
export async function placeOf(path: string): Promise<FoundPlace> {
  const real = await realpath(path)
  const isDrifting = hasDriftingInodes(real)
  const directory = markOf(await stat(real, { bigint: true }), isDrifting)
  const note = markOf(await stat(join(real, reachedFileName), { bigint: true }), isDrifting)
  return { directory, note, path: real, host: hostname() }
}

/** Whether a directory that says it is at home in one place is there. */
export function isAtHome(home: Place, found: FoundPlace): boolean {
  const isKnown = [home.directory, found.directory].every(({ inode, birth }) => inode !== '' || birth !== '')
  if (!isKnown) return home.path === found.path
  return isSame(home.directory, found.directory) && isSame(home.note, found.note)
}

/** The part of a place that an identity keeps. */
export function keptOf({ directory, note, path, host }: Place) {
  const mark = ({ inode, birth }: FileMark) => ({ inode, birth })
  return { directory: mark(directory), note: mark(note), path, host } satisfies Place
}

/** Whether numbers of files of this path are the same after the next mount. */
export function hasDriftingInodes(path: string): boolean {
  return driftingFileSystems.has(statfsSync(path).type)
}

function markOf({ ino, birthtimeNs, ctimeNs }: BigIntStats, isDrifting: boolean): FoundMark {
  return {
    inode: isDrifting ? '' : String(ino),
    birth: birthtimeNs > 0n ? String(birthtimeNs) : '',
    isBirthSure: birthtimeNs !== ctimeNs,
  }
}

function isSame(home: FileMark, found: FoundMark): boolean {
  const differs = (one: string, other: string) => one !== '' && other !== '' && one !== other
  return !differs(home.inode, found.inode) && !(found.isBirthSure && differs(home.birth, found.birth))
}
