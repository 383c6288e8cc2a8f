/**
 * The note that a log with a weaker `sync` leaves in its directory while it runs: written before the first batch is
 * acknowledged unflushed, removed when everything is on disk and the log is closed. Who finds it finds a log that did not
 * end by itself. Where the machine has not stopped since, the page cache has kept all that was written. Else nobody knows
 * what is missing: then it is no longer the storage that it was, as if the disk were lost.
 */
import type { Sync } from '../../proto/sync.ts'
import type { Files } from './files.ts'
import { identityFileName } from './identity.ts'
import { markLost, reachedFileName } from './reached.ts'
import { replaceFile } from './replace-file.ts'
import { parseSegmentName } from './segment-name.ts'

export const noteFileName = 'unflushed.json'
const lostSuffix = '.lost-'

interface Note {
  readonly sync: string
  /** The boot of the machine under which it was written; empty where the machine does not say. */
  readonly boot: string
}

/** What was set aside. */
export interface LostStorage {
  /** How the server flushed that was writing it. */
  readonly sync: string
  /** Files of the old log, renamed, in the same directory. */
  readonly files: readonly string[]
}

/** Says that from now on things are acknowledged here that are not on disk. @param boot null where it is not known */
export async function writeNote(files: Files, sync: Sync, boot: string | null): Promise<void> {
  const note: Note = { sync, boot: boot ?? '' }
  await replaceFile(files, noteFileName, `${JSON.stringify(note)}\n`)
}

/** Everything is on disk. */
export async function removeNote(files: Files): Promise<void> {
  if (!(await hasNote(files))) return
  await files.remove(noteFileName)
  await files.flushDirectory()
}

/** Whether the directory holds such a note. */
export async function hasNote(files: Files): Promise<boolean> {
  return (await files.list()).includes(noteFileName)
}

/** Whether something may be missing that this storage has acknowledged. @param boot null where it is not known */
export async function mayLack(files: Files, boot: string | null): Promise<boolean> {
  const note = await readNote(files)
  return note !== null && isOfAnotherBoot(note, boot)
}

/** The same of the text of a note. */
export function saysMayLack(text: string, boot: string | null): boolean {
  return isOfAnotherBoot(parseNote(text), boot)
}

/**
 * Takes the log and the identity out of the way where something may be missing; the next identity is another storage. The
 * files stay: they may be all that is left of messages. A crash in the middle changes nothing: the note goes last.
 * @param seed of the storage, where its identity is still there
 * @returns null where nothing is missing
 */
export async function setAside(files: Files, boot: string | null, seed: number | null): Promise<LostStorage | null> {
  const note = await readNote(files)
  if (note === null || !isOfAnotherBoot(note, boot)) return null
  const names = await files.list()
  const number = nextNumber(names)
  // Files that are renamed back are still not a storage that may be used.
  if (seed !== null && names.includes(reachedFileName)) await markLost(files, seed)
  for (const name of names) {
    if (parseSegmentName(name) === null && name !== identityFileName && name !== reachedFileName) continue
    await files.rename(name, `${name}${lostSuffix}${number}`)
  }
  await files.flushDirectory()
  await removeNote(files)
  const lost = (await files.list()).filter((name) => name.endsWith(`${lostSuffix}${number}`))
  return { sync: note.sync, files: lost.sort() }
}

function isOfAnotherBoot(note: Note, boot: string | null): boolean {
  return boot === null || note.boot !== boot
}

async function readNote(files: Files): Promise<Note | null> {
  if (!(await hasNote(files))) return null
  const file = await files.open(noteFileName)
  const buffer = Buffer.alloc(file.bytes)
  try {
    await file.read(buffer, 0)
  } finally {
    await file.close()
  }
  return parseNote(buffer.toString('utf8'))
}

/** A note that cannot be read says nothing good. */
function parseNote(text: string): Note {
  try {
    const { sync, boot } = JSON.parse(text) as Partial<Note>
    if (typeof sync === 'string' && typeof boot === 'string' && boot !== '') return { sync, boot }
  } catch {
    // It is not JSON: the boot under which it was written is not known.
  }
  return { sync: '', boot: '?' }
}

/** One more than the storages that were set aside before; the same again after a crash in the middle. */
function nextNumber(names: readonly string[]): number {
  const done = names.filter((name) => name.startsWith(`${identityFileName}${lostSuffix}`)).length
  return names.includes(identityFileName) ? done + 1 : Math.max(1, done)
}
