import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runChild, startChild } from '../../../bench/child-process.ts'
import { openDirectory } from '../../../broker/log/directory.ts'
import { Files } from '../../../broker/log/files.ts'
import { readIdentity, writeIdentity } from '../../../broker/log/identity.ts'
import { serverId } from '../../../proto/ids.ts'
import { seededRandom } from '../../../sim/seeded-random.ts'
import { CrashFiles } from '../../../sim/world/crash-files.ts'
import { bytes, recovered } from './conformance.ts'
import { texts } from './open-log.ts'

/** Goal: one process and one server per data directory, one identity per storage. Method: real directories and processes. */

const temporary = mkdtempSync(join(tmpdir(), 'epochcast-directory-'))
afterAll(() => rmSync(temporary, { recursive: true }))
const newPath = () => join(mkdtempSync(join(temporary, 'd-')), 'deep', 'data')
const a = { serverId: serverId('a') }
const small = { segmentBytes: 65_536, recordBytesMax: 4096, diskReserveBytes: 0 }

/** The code that another process runs to open a directory: exits with 0, or prints the code of the error. */
const other = (path: string, then: string) => `
  import { openDirectory } from ${JSON.stringify(join(import.meta.dirname, '../../../broker/log/directory.ts'))}
  openDirectory(${JSON.stringify(path)}, { serverId: 'a' }).then(
    () => { console.log('open'); ${then} },
    (error) => { console.log(error.code, error.message); process.exit(0) },
  )
`

describe('the lock', () => {
  it('keeps a second process out, and names the directory and the process that has it', async () => {
    const path = newPath()
    const directory = await openDirectory(path, a)
    const { stdout } = await runChild(process.execPath, ['--import', 'tsx', '-e', other(path, '')])
    expect(stdout).toContain('EC_LOG_LOCKED')
    expect(stdout).toContain(`${path} is in use by process ${process.pid}`)
    await directory.close()
    const { stdout: second } = await runChild(process.execPath, ['--import', 'tsx', '-e', other(path, '')])
    expect(second).toBe('open\n')
  })

  it('dies with its process', async () => {
    const path = newPath()
    const holder = startChild(process.execPath, ['--import', 'tsx', '-e', other(path, 'setInterval(() => {}, 1000)')])
    const output: string = await new Promise((resolve) => holder.stdout?.once('data', (data) => resolve(String(data))))
    expect(output).toBe('open\n')
    await expect(openDirectory(path, a)).rejects.toMatchObject({ code: 'EC_LOG_LOCKED' })
    holder.kill('SIGKILL')
    await new Promise((resolve) => holder.once('exit', resolve))
    await (await openDirectory(path, a)).close()
  })

  it('keeps a second opener in the same process out, until the first closes', async () => {
    const path = newPath()
    const directory = await openDirectory(path, a)
    await expect(openDirectory(path, a)).rejects.toMatchObject({ code: 'EC_LOG_LOCKED' })
    await expect(openDirectory(`${path}/../data`, a)).rejects.toMatchObject({ code: 'EC_LOG_LOCKED' })
    await directory.close()
    await directory.close()
    await (await openDirectory(path, a)).close()
  })
})

describe('the identity', () => {
  it('is made once and stays', async () => {
    const path = newPath()
    const directory = await openDirectory(path, a)
    const { identity } = directory
    expect(identity).toMatchObject({ server: 'a' })
    await directory.close()
    const again = await openDirectory(path, a)
    expect(again.identity).toEqual(identity)
    await again.close()
    const elsewhere = await openDirectory(newPath(), a)
    expect(elsewhere.identity.storage).not.toBe(identity.storage)
    await elsewhere.close()
  })

  it('of another server is refused, and the directory is free again', async () => {
    const path = newPath()
    await (await openDirectory(path, a)).close()
    const opening = openDirectory(path, { serverId: serverId('b') })
    await expect(opening).rejects.toMatchObject({ code: 'EC_LOG_FOREIGN', message: expect.stringContaining(path) })
    await (await openDirectory(path, a)).close()
  })

  it('of a newer format is refused', async () => {
    const path = newPath()
    await (await openDirectory(path, a)).close()
    const file = join(path, 'identity.json')
    writeFileSync(file, readFileSync(file, 'utf8').replace('"format": 2', '"format": 3'))
    await expect(openDirectory(path, a)).rejects.toMatchObject({ code: 'EC_LOG_FORMAT' })
  })

  it('with a flipped bit at any byte is refused or means the same; it never becomes another storage', async () => {
    const path = newPath()
    const directory = await openDirectory(path, a)
    await directory.close()
    const file = join(path, 'identity.json')
    const intact = readFileSync(file)
    for (let byte = 0; byte < intact.length; byte++) {
      const flipped = Buffer.from(intact)
      flipped[byte] = (flipped[byte] as number) ^ (1 << (byte % 7))
      writeFileSync(file, flipped)
      const opened = await openDirectory(path, a).catch((error: { code: string }) => error.code)
      if (typeof opened === 'string') {
        expect(['EC_LOG_DAMAGED', 'EC_LOG_FORMAT']).toContain(opened)
      } else {
        expect(opened.identity).toEqual(directory.identity)
        await opened.close()
      }
      expect(readFileSync(file)).toEqual(flipped)
    }
  })

  it('that is missing or empty beside a log is damage, not a new storage', async () => {
    const path = newPath()
    const directory = await openDirectory(path, a)
    const log = directory.openLog(small)
    await recovered(log)
    await log.close()
    await directory.close()
    const file = join(path, 'identity.json')
    writeFileSync(file, '')
    await expect(openDirectory(path, a)).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
    rmSync(file)
    await expect(openDirectory(path, a)).rejects.toMatchObject({ code: 'EC_LOG_DAMAGED' })
    expect(existsSync(file)).toBe(false)
  })

  it('is the old one or the new one after a power loss while it is replaced', async () => {
    const old = { server: serverId('a'), storage: '00000000-0000-4000-8000-000000000000', seed: 7, place: null }
    const next = { ...old, seed: 4_000_000_000 }
    for (let seed = 0; seed < 200; seed++) {
      const random = seededRandom(seed)
      let alive = 100
      const pause = async () => {
        if (--alive < 0) throw new Error('crashed')
      }
      const files = new CrashFiles(random, { pause })
      await writeIdentity(new Files(files), old)
      alive = random.below(10)
      const written = await writeIdentity(new Files(files), next).then(
        () => true,
        () => false,
      )
      alive = 100
      const found = await readIdentity(new Files(files.powerLoss()))
      expect(written ? [next] : [old, next]).toContainEqual(found)
    }
  })
})

it('a log in a directory is found again', async () => {
  const path = newPath()
  for (let life = 0; life < 3; life++) {
    const directory = await openDirectory(path, a)
    const log = directory.openLog(small)
    expect(texts(await recovered(log))).toEqual(['0', '1', '2'].slice(0, life))
    log.append('batch', bytes(`${life}`))
    await log.flush()
    await log.close()
    await directory.close()
  }
})
