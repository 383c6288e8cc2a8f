// Goal: a data directory that does not hold what it held is never opened as the storage that it was: any file of it deleted,
// emptied, cut, older, or of another storage, and a directory that was copied, put back, or exchanged. Method: real directories,
// changed in every one of these ways between two starts, and under a running log.
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { adoptDirectory, checkAdoption, type DataDirectory, openDirectory } from '../../../broker/log/directory.ts'
import { Files } from '../../../broker/log/files.ts'
import { HomeFiles } from '../../../broker/log/home-files.ts'
import { readIdentity, writeIdentity } from '../../../broker/log/identity.ts'
import type { SegmentLog } from '../../../broker/log/segment-log.ts'
import { segmentName } from '../../../broker/log/segment-name.ts'
import { DirectoryWatch } from '../../../broker/log/watch.ts'
import { serverId } from '../../../proto/ids.ts'
import type { Sync } from '../../../proto/sync.ts'
import { systemError } from '../../../sim/world/crash-files.ts'
import { bytes, recovered } from './conformance.ts'
import { texts } from './open-log.ts'

const temporary = fs.mkdtempSync(join(tmpdir(), 'epochcast-belonging-'))
afterAll(() => fs.rmSync(temporary, { recursive: true }))
const segmentBytes = 8192
const small = { segmentBytes, recordBytesMax: 4096, diskReserveBytes: 0 }
const newPath = () => join(fs.mkdtempSync(join(temporary, 'd-')), 'data')

interface Opened {
  readonly directory: DataDirectory
  readonly log: SegmentLog
  readonly found: string[]
}

async function open(path: string, sync: Sync = 'always', server = 'a'): Promise<Opened> {
  const directory = await openDirectory(path, { serverId: serverId(server), boot: 'monday' })
  const log = directory.openLog({ ...small, sync })
  try {
    return { directory, log, found: texts(await recovered(log)) }
  } catch (error) {
    await log.close()
    await directory.close()
    throw error
  }
}

async function close({ directory, log }: Opened): Promise<void> {
  await log.close()
  await directory.close()
}

/** Records that fill three segments and a part of the fourth. */
const records = Array.from({ length: 8 }, (_, index) => `${index}`.padEnd(3000, '.'))

/** A directory whose server has stopped. @returns the name of its storage */
async function written(path: string, sync: Sync = 'always', server = 'a'): Promise<string> {
  const opened = await open(path, sync, server)
  for (const text of records) {
    opened.log.append('batch', bytes(text))
    await opened.log.flush()
  }
  await close(opened)
  return opened.directory.identity.storage
}

const copyOf = (path: string): string => {
  const copy = newPath()
  fs.cpSync(path, copy, { recursive: true, preserveTimestamps: true })
  return copy
}

/** What is opened there, or the code of the refusal, and the sentence. */
async function tried(path: string, sync: Sync = 'always', server = 'a'): Promise<{ code: string; text: string }> {
  try {
    const opened = await open(path, sync, server)
    await close(opened)
    return { code: 'opened', text: `${opened.directory.identity.storage} ${opened.found.length}` }
  } catch (error) {
    const { code, message } = error as { code: string; message: string }
    return { code, text: message }
  }
}

describe('a stopped server whose files were', () => {
  for (const sync of ['always', 'memory'] as const) {
    it(`deleted, one by one or all but one, with sync: ${sync}`, async () => {
      const path = newPath()
      const storage = await written(path, sync)
      const names = fs.readdirSync(path).filter((name) => name !== 'lock')
      for (const name of names) {
        fs.renameSync(join(path, name), `${path}.kept`)
        const { code, text } = await tried(path, sync)
        // The segment that is made ahead holds nothing.
        const isEmpty = name === segmentName(4 * segmentBytes)
        expect([name, code], text).toEqual([name, isEmpty ? 'opened' : 'EC_LOG_DAMAGED'])
        fs.renameSync(`${path}.kept`, join(path, name))
      }
      const aside = `${path}.aside`
      fs.mkdirSync(aside)
      for (const alone of names) {
        for (const name of names) if (name !== alone) fs.renameSync(join(path, name), join(aside, name))
        const { code, text } = await tried(path, sync)
        // The note alone is a directory without a storage: what begins there is another one.
        if (alone === 'reached') expect(text).not.toContain(storage)
        else expect([alone, code]).toEqual([alone, 'EC_LOG_DAMAGED'])
        if (alone === 'reached') break
        for (const name of fs.readdirSync(aside)) fs.renameSync(join(aside, name), join(path, name))
      }
    })
  }

  it('emptied, cut, or filled with zeros', async () => {
    const path = newPath()
    await written(path)
    const last = segmentName(2 * segmentBytes)
    for (const name of fs.readdirSync(path).filter((one) => one !== 'lock')) {
      if (name > last && name.endsWith('.log')) continue
      const file = join(path, name)
      const intact = fs.readFileSync(file)
      for (const damage of [0, 1, intact.length >> 1]) {
        for (const isFilled of [false, true]) {
          fs.truncateSync(file, damage)
          if (isFilled) fs.truncateSync(file, intact.length)
          expect([name, damage, (await tried(path)).code]).toEqual([name, damage, 'EC_LOG_DAMAGED'])
          fs.writeFileSync(file, intact)
        }
      }
    }
    expect((await tried(path)).code).toBe('opened')
  })

  it('put back as they were earlier, one by one', async () => {
    const path = newPath()
    const opened = await open(path)
    const grow = async () => {
      for (const text of records) opened.log.append('batch', bytes(text))
      await opened.log.flush()
    }
    await grow()
    await close(opened)
    const before = new Map(fs.readdirSync(path).map((name) => [name, fs.readFileSync(join(path, name))]))
    const again = await open(path)
    again.log.append('batch', bytes('more'))
    await again.log.flush()
    await close(again)
    for (const [name, old] of before) {
      const file = join(path, name)
      const now = fs.readFileSync(file)
      if (name === 'lock' || old.equals(now)) continue
      fs.writeFileSync(file, old)
      const { code, text } = await tried(path)
      // The note alone never says too much.
      expect([name, code], text).toEqual([name, name === 'reached' ? 'opened' : 'EC_LOG_DAMAGED'])
      fs.writeFileSync(file, now)
    }
  })

  it('exchanged for those of another storage, one by one, all segments, or the whole directory', async () => {
    const [path, other, same] = [newPath(), newPath(), newPath()]
    await written(path)
    await written(other, 'always', 'b')
    await written(same)
    for (const from of [other, same]) {
      for (const name of fs.readdirSync(path).filter((one) => one !== 'lock' && one < segmentName(4 * segmentBytes))) {
        const copy = copyOf(path)
        fs.cpSync(join(from, name), join(copy, name))
        fs.renameSync(path, `${path}.own`)
        fs.renameSync(copy, path)
        expect([name, (await tried(path)).code]).not.toEqual([name, 'opened'])
        fs.renameSync(path, copy)
        fs.renameSync(`${path}.own`, path)
      }
    }
    const note = fs.readFileSync(join(path, 'reached'))
    fs.writeFileSync(join(path, 'reached'), fs.readFileSync(join(same, 'reached')))
    expect((await tried(path)).code).toBe('EC_LOG_DAMAGED')
    fs.writeFileSync(join(path, 'reached'), note)
    for (const name of fs.readdirSync(path)) {
      if (name.endsWith('.log')) fs.writeFileSync(join(path, name), fs.readFileSync(join(same, name)))
    }
    expect(await tried(path)).toEqual({
      code: 'EC_LOG_DAMAGED',
      text: expect.stringContaining(`${segmentName(0)} is not of this storage`),
    })
    fs.renameSync(path, `${path}.own`)
    fs.renameSync(other, path)
    expect((await tried(path)).code).toBe('EC_LOG_FOREIGN')
  })
})

describe('a directory that was', () => {
  it('renamed is the same', async () => {
    const path = newPath()
    const storage = await written(path)
    fs.renameSync(path, `${path}-elsewhere`)
    expect((await tried(`${path}-elsewhere`)).text).toBe(`${storage} ${records.length}`)
    const identity = JSON.parse(fs.readFileSync(join(`${path}-elsewhere`, 'identity.json'), 'utf8'))
    expect(identity.place.path).toBe(fs.realpathSync(`${path}-elsewhere`))
  })

  it('seen under another path is the same', async () => {
    const path = newPath()
    const storage = await written(path)
    fs.symlinkSync(path, `${path}-link`)
    expect((await tried(`${path}-link`)).text).toBe(`${storage} ${records.length}`)
  })

  it('copied is refused, also while the original runs, and also in the place of the original', async () => {
    const path = newPath()
    const original = await open(path)
    original.log.append('batch', bytes('one'))
    await original.log.flush()
    const copy = copyOf(path)
    expect((await tried(copy)).code).toBe('EC_LOG_COPIED')
    await close(original)
    expect((await tried(copy)).code).toBe('EC_LOG_COPIED')
    const before = fs.readdirSync(copy).map((name) => fs.readFileSync(join(copy, name)))
    fs.rmSync(path, { recursive: true })
    fs.renameSync(copy, path)
    expect((await tried(path)).code).toBe('EC_LOG_COPIED')
    expect(fs.readdirSync(path).map((name) => fs.readFileSync(join(path, name)))).toEqual(before)
  })

  it('filled again from a backup is refused', async () => {
    const path = newPath()
    await written(path)
    const backup = copyOf(path)
    for (const name of fs.readdirSync(path)) fs.rmSync(join(path, name))
    for (const name of fs.readdirSync(backup)) fs.copyFileSync(join(backup, name), join(path, name))
    expect((await tried(path)).text).toContain('it was put back here')
  })

  it('moved is adopted once the original is gone, and not before', async () => {
    const path = newPath()
    const storage = await written(path)
    const copy = copyOf(path)
    await expect(adoptDirectory(copy)).rejects.toMatchObject({ code: 'EC_LOG_COPIED' })
    fs.rmSync(path, { recursive: true })
    expect(await checkAdoption(copy)).toMatchObject({ isMoved: true, before: { path } })
    expect((await tried(copy)).code).toBe('EC_LOG_COPIED')
    expect(await adoptDirectory(copy)).toMatchObject({ isMoved: true, identity: { storage } })
    expect((await tried(copy)).text).toBe(`${storage} ${records.length}`)
    expect(await adoptDirectory(copy)).toMatchObject({ isMoved: false })
  })

  it('adopted still lacks what it lacks', async () => {
    const path = newPath()
    await written(path)
    const copy = copyOf(path)
    fs.rmSync(path, { recursive: true })
    fs.rmSync(join(copy, segmentName(2 * segmentBytes)))
    await adoptDirectory(copy)
    expect((await tried(copy)).code).toBe('EC_LOG_DAMAGED')
    fs.rmSync(join(copy, 'reached'))
    await expect(adoptDirectory(copy)).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
  })

  it('written by a version without a note is taken over once, with its log', async () => {
    const path = newPath()
    const storage = await written(path)
    await asOfAnEarlyVersion(path)
    expect((await tried(path)).text).toBe(`${storage} ${records.length}`)
    expect((await tried(copyOf(path))).code).toBe('EC_LOG_COPIED')
    await asOfAnEarlyVersion(path)
    for (const name of fs.readdirSync(path)) if (name.endsWith('.log')) fs.rmSync(join(path, name))
    expect((await tried(path)).code).toBe('EC_LOG_DAMAGED')
  })

  it('set aside as lost does not come back by renaming its files', async () => {
    const path = newPath()
    const opened = await open(path, 'memory')
    opened.log.append('batch', bytes('one'))
    await opened.log.flush()
    const copy = copyOf(path)
    await close(opened)
    // As the loss of power leaves it: the note of a log that flushes later is still there.
    fs.copyFileSync(join(copy, 'unflushed.json'), join(path, 'unflushed.json'))
    const options = { serverId: serverId('a'), boot: 'tuesday' }
    const next = await openDirectory(path, options)
    expect(next.lost?.files).toContain('reached.lost-1')
    await next.close()
    for (const name of fs.readdirSync(path)) if (!name.includes('.lost-')) fs.rmSync(join(path, name))
    for (const name of fs.readdirSync(path)) fs.renameSync(join(path, name), join(path, name.replace('.lost-1', '')))
    expect(await tried(path)).toEqual({ code: 'EC_LOG_DAMAGED', text: expect.stringContaining('set aside') })
  })
})

async function asOfAnEarlyVersion(path: string): Promise<void> {
  const { directory, log } = await open(path)
  const identity = await readIdentity(directory.files)
  if (identity !== null) await writeIdentity(directory.files, { ...identity, place: null })
  await close({ directory, log, found: [] })
  fs.rmSync(join(path, 'reached'))
}

describe('while a server runs', () => {
  it('a second process is kept out, though the lock file was deleted', async () => {
    const path = newPath()
    const opened = await open(path)
    fs.rmSync(join(path, 'lock'))
    expect((await tried(path)).code).toBe('EC_LOG_LOCKED')
    await close(opened)
  })

  it('every file that is deleted, cut or exchanged is noticed, and so is the directory', async () => {
    const path = newPath()
    await written(path)
    const opened = await open(path)
    const { directory, log } = opened
    const { files, identity } = directory
    const newWatch = async () => {
      const watch = new DirectoryWatch({ path, files, identity, segments: () => log.segmentFiles }, () => {})
      expect(await watch.look()).toBeNull()
      return watch
    }
    const names = ['identity.json', 'reached', ...log.segmentFiles.map(({ first }) => segmentName(first))]
    const intact = new Map(names.map((name) => [name, fs.readFileSync(join(path, name))]))
    const other = copyOf(path)
    for (const name of names) {
      const file = join(path, name)
      const deleted = await newWatch()
      fs.renameSync(file, `${path}.kept`)
      expect(await deleted.look()).toMatchObject({ code: 'EC_LOG_DAMAGED', message: expect.stringContaining(name) })
      fs.renameSync(`${path}.kept`, file)
      const exchanged = await newWatch()
      fs.renameSync(file, `${path}.kept`)
      fs.copyFileSync(join(other, name), file)
      if (name === 'identity.json') fs.writeFileSync(file, 'not that of this storage')
      expect(await exchanged.look(), name).toMatchObject({ code: 'EC_LOG_DAMAGED' })
      fs.renameSync(`${path}.kept`, file)
      const emptied = await newWatch()
      fs.truncateSync(file, 0)
      expect(await emptied.look(), name).toMatchObject({ code: 'EC_LOG_DAMAGED' })
      fs.writeFileSync(file, intact.get(name) ?? '')
      if (!name.endsWith('.log')) continue
      const cut = await newWatch()
      fs.truncateSync(file, 100)
      expect(await cut.look()).toMatchObject({ message: expect.stringContaining('was cut to 100 bytes') })
      fs.writeFileSync(file, intact.get(name) ?? '')
    }
    const note = join(path, 'reached')
    const overwritten = await newWatch()
    await written(`${path}.foreign`)
    fs.writeFileSync(note, fs.readFileSync(join(`${path}.foreign`, 'reached')))
    expect(await overwritten.look()).toMatchObject({ message: expect.stringContaining('reached was overwritten') })
    fs.writeFileSync(note, intact.get('reached') ?? '')
    const moved = await newWatch()
    fs.renameSync(path, `${path}.moved`)
    expect(await moved.look()).toMatchObject({ message: expect.stringContaining('was removed') })
    fs.renameSync(other, path)
    expect(await moved.look()).toMatchObject({ message: expect.stringContaining('was exchanged') })
    // Nothing of the directory that took its place is touched.
    const before = fs.readdirSync(path).sort()
    await expect(files.create('x', 1)).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
    await expect(files.remove('identity.json')).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
    await close(opened)
    expect(fs.readdirSync(path).sort()).toEqual(before)
  })

  it('files that cannot be opened now are not taken for others', async () => {
    const path = newPath()
    const opened = await open(path)
    const { identity } = opened.directory
    const disk = await HomeFiles.open(path)
    disk.open = () => Promise.reject(systemError('EMFILE'))
    const files = new Files(disk)
    const watch = new DirectoryWatch({ path, files, identity, segments: () => opened.log.segmentFiles }, () => {})
    expect(await watch.look()).toBeNull()
    await close(opened)
  })
})
