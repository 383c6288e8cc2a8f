// Goal: whatever a data directory fails with, what leaves it is an error of the product. Method: every operation of a disk fails once,
// at every moment of the notes in a directory, and of a log from its first start to its next one.
import { describe, expect, it } from 'vitest'
import { DataDirectory } from '../../../broker/log/directory.ts'
import { Files, type SystemFiles } from '../../../broker/log/files.ts'
import { createReached, markLost, readReached } from '../../../broker/log/reached.ts'
import { removeNote, writeNote } from '../../../broker/log/unflushed.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { serverId } from '../../../proto/ids.ts'
import { seededRandom } from '../../../sim/seeded-random.ts'
import { CrashFiles, systemError } from '../../../sim/world/crash-files.ts'
import { SegmentDisk } from '../../../sim/world/segment-disk.ts'

const seed = 7
const storage = '00000000-0000-4000-8000-000000000001'
const codes: [string, string][] = [
  ['ENOSPC', 'EC_DISK_FULL'],
  ['EIO', 'EC_DISK_FAILED'],
]

interface Lived {
  readonly error: unknown
  /** Operations that were begun. */
  readonly count: number
}

/** What `live` rejects with on a disk whose operation number `failing` fails. */
async function lived(live: (disk: CrashFiles) => Promise<void>, failing: number, code: string): Promise<Lived> {
  const disk = new CrashFiles(seededRandom(1))
  let count = 0
  disk.fault = () => (count++ === failing ? systemError(code) : null)
  const error = await live(disk).then(
    () => null,
    (reason: unknown) => reason,
  )
  return { error, count }
}

async function keepNotes(disk: CrashFiles): Promise<void> {
  const files = new Files(disk)
  await createReached(files, seed)
  await readReached(files, seed)
  await writeNote(files, 'memory', 'monday')
  await removeNote(files)
  await markLost(files, seed)
}

const owner = { appended() {}, flushed() {}, after: () => () => {} }

/** A storage begins, keeps a record, and is set aside after a loss of power. */
async function keepLog(disk: CrashFiles): Promise<void> {
  for (const boot of ['monday', 'tuesday']) {
    const store = new SegmentDisk(disk, owner, { server: serverId('a'), storage }, 'memory', boot)
    await store.recover(() => {})
    store.append('protocol', Buffer.from('one'))
    await store.flush()
  }
}

describe.each(codes)('a disk that fails with %s', (system, code) => {
  it('makes every change of a note fail with one error of the product', async () => {
    const { error, count } = await lived(keepNotes, -1, system)
    expect(error).toBeNull()
    expect(count).toBeGreaterThan(10)
    for (let failing = 0; failing < count; failing++) {
      expect((await lived(keepNotes, failing, system)).error).toMatchObject({ code, cause: { code: system } })
    }
  })

  it('ends a log with such an error only, from the first operation on an empty disk', async () => {
    const { error, count } = await lived(keepLog, -1, system)
    expect(error).toBeNull()
    expect(count).toBeGreaterThan(30)
    for (let failing = 0; failing < count; failing++) {
      const { error } = await lived(keepLog, failing, system)
      // A segment that cannot be made ahead, or removed, ends nothing.
      if (error !== null) expect(error, `operation ${failing}`).toMatchObject({ code, cause: { code: system } })
    }
  })
})

it('every call of the port names what could not be done, as an error of the product', async () => {
  const reject = () => Promise.reject(systemError('EIO'))
  const whole = { list: reject, rename: reject, remove: reject, flushDirectory: reject, freeBytes: reject }
  const files = new Files({ ...whole, create: reject, open: reject })
  const file = { bytes: 0, read: reject, datasync: reject, close: reject }
  const fails = () => {
    throw systemError('EIO')
  }
  const directory = (writev: () => Promise<void>): SystemFiles => ({
    ...whole,
    create: reject,
    open: () => Promise.resolve({ ...file, writev }),
  })
  const open = await new Files(directory(reject)).open('identity.json.new')
  const throwing = await new Files(directory(fails)).open('reached')
  const calls: readonly [string, () => unknown][] = [
    ['list its data directory', () => files.list()],
    ['make x', () => files.create('x.new', 1)],
    ['open x', () => files.open('x')],
    ['rename x', () => files.rename('x', 'y')],
    ['remove x', () => files.remove('x')],
    ['flush its data directory', () => files.flushDirectory()],
    ['look for free space', () => files.freeBytes()],
    ['read identity.json', () => open.read(Buffer.alloc(1), 0)],
    ['write identity.json', () => open.writev([], 0)],
    ['write reached', () => throwing.writev([], 0)],
    ['flush identity.json', () => open.datasync()],
    ['close identity.json', () => open.close()],
  ]
  for (const [doing, call] of calls) {
    const error = await (async () => call())().catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(EpochcastError)
    expect(error).toMatchObject({ code: 'EC_DISK_FAILED', message: `the log could not ${doing}: EIO: injected` })
  }
})

it('a directory that cannot be unlocked, or looked at, says so in the same way', async () => {
  const identity = { server: serverId('a'), storage, seed, place: null }
  const files = new Files(new CrashFiles(seededRandom(1)))
  const directory = new DataDirectory('/nowhere/at/all', files, { identity, lost: null, boot: null }, () => {
    throw systemError('EIO')
  })
  expect(() => directory.watch(directory.openLog(), () => {})).toThrow(
    expect.objectContaining({ code: 'EC_DISK_FAILED', cause: expect.objectContaining({ code: 'ENOENT' }) }),
  )
  await expect(directory.close()).rejects.toMatchObject({ code: 'EC_DISK_FAILED', cause: { code: 'EIO' } })
})
