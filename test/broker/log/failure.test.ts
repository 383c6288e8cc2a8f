// Goal: an error of a data directory says what is wrong and what helps. Method: every kind of trouble by the system's code, and a
// directory that really is one.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { openDirectory } from '../../../broker/log/directory.ts'
import { diskFailed } from '../../../broker/log/failure.ts'
import { serverId } from '../../../proto/ids.ts'
import { systemError } from '../../../sim/world/crash-files.ts'

const temporary = mkdtempSync(join(tmpdir(), 'epochcast-failure-'))
afterAll(() => rmSync(temporary, { recursive: true, force: true }))

describe('what a server that stops says', () => {
  it.each([
    ['ENOSPC', 'EC_DISK_FULL', /free space/i],
    ['EDQUOT', 'EC_DISK_FULL', /quota/i],
    ['EACCES', 'EC_DISK_FAILED', /user/],
    ['EROFS', 'EC_DISK_FAILED', /for writing/],
    ['ENOENT', 'EC_DISK_FAILED', /removed or unmounted/],
    ['ESTALE', 'EC_DISK_FAILED', /removed or unmounted/],
    ['EISDIR', 'EC_DISK_FAILED', /a directory is where a file/i],
    ['EMFILE', 'EC_DISK_FAILED', /open files/],
    ['EIO', 'EC_DISK_FAILED', /check the disk/i],
    ['EWHATEVER', 'EC_DISK_FAILED', /check the disk/i],
  ])('of %s is %s', (system, code, hint) => {
    const cause = systemError(system)
    const error = diskFailed('write', cause)
    expect(error).toMatchObject({ code, cause })
    expect(error.message).toContain(system)
    expect(error.hint).toMatch(hint)
  })

  it('of a path that leads through a file names that', async () => {
    const file = join(temporary, 'file')
    writeFileSync(file, '')
    const opened = openDirectory(join(file, 'data'), { serverId: serverId('a') })
    await expect(opened).rejects.toMatchObject({ code: 'EC_DISK_FAILED', hint: expect.stringMatching(/is a file/) })
  })
})
