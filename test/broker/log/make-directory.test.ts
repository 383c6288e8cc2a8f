// Goal: a data directory is made, or it is said at once why not. Method: places of every kind in which no directory can be.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openDirectory } from '../../../broker/log/directory.ts'
import { makeDirectory } from '../../../broker/log/make-directory.ts'
import { serverId } from '../../../proto/ids.ts'

const temporary = mkdtempSync(join(tmpdir(), 'epochcast-make-'))
const at = (...names: string[]) => join(temporary, ...names)
afterAll(() => rmSync(temporary, { recursive: true, force: true }))

const opened = (path: string) => openDirectory(path, { serverId: serverId('a') })

describe('a directory', () => {
  it('is made with all that is missing above it, the outermost first, and once', () => {
    expect(makeDirectory(at('x', 'y', 'z'))).toEqual([at('x'), at('x', 'y'), at('x', 'y', 'z')])
    expect(makeDirectory(at('x', 'y', 'z'))).toEqual([])
    expect(statSync(at('x', 'y', 'z')).mode & 0o777).toBe(0o750)
    symlinkSync(at('x'), at('link'))
    expect(makeDirectory(at('link', 'new'))).toEqual([at('link', 'new')])
  })

  it.skipIf(process.platform !== 'linux').each(['/proc/x', '/proc/x/y'])('in %s is refused', async (path) => {
    await expect(opened(path)).rejects.toMatchObject({
      code: 'EC_DISK_FAILED',
      message: expect.stringMatching(/in \/proc|\/proc\/x/),
    })
  })

  it('that cannot be is refused with what to do about it', async () => {
    writeFileSync(at('file'), '')
    symlinkSync(at('circle-b'), at('circle-a'))
    symlinkSync(at('circle-a'), at('circle-b'))
    symlinkSync(at('nowhere', 'at', 'all'), at('dangling'))
    const refused = [
      [at('file'), /a file/i],
      [at('file', 'x'), /is a file/],
      [at('circle-a'), /lead back/],
      [at('circle-a', 'x'), /lead back/],
      [at('dangling'), /link to nothing/],
      [at('dangling', 'x'), /link to nothing/],
      [at('n'.repeat(300)), /shorter/],
      [at('n'.repeat(300), 'x'), /shorter/],
    ] as const
    for (const [path, hint] of refused) {
      await expect(opened(path), path).rejects.toMatchObject({
        code: 'EC_DISK_FAILED',
        hint: expect.stringMatching(hint),
      })
    }
  })

  it.skipIf(process.getuid?.() === 0)('that may not be written to is refused', async () => {
    mkdirSync(at('closed', 'inside'), { recursive: true })
    for (const path of [at('closed', 'inside'), at('closed', 'inside', 'x', 'y')]) {
      chmodSync(at('closed', 'inside'), 0o500)
      await expect(opened(path)).rejects.toMatchObject({ code: 'EC_DISK_FAILED', hint: expect.stringMatching(/user/) })
    }
    chmodSync(at('closed', 'inside'), 0o700)
  })
})
