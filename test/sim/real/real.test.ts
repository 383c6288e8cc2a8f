// Goal: real processes under load lose nothing when they are killed, when a flush fails, and when somebody starts a second one.
// Method: a few faults of `npm run real`, judged like its long runs.
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { runChild } from '../../../bench/child-process.ts'
import { buildCli } from '../../broker/cli/harness.ts'
import { isLong } from '../../volume.ts'

it(
  isLong ? 'keeps everything through kills, a failed flush and a second process' : 'keeps everything through a kill',
  async () => {
    const main = join(await buildCli(), '../../../sim/real/main.js')
    const kills = isLong ? 2 : 1
    const others = isLong ? ['two-processes=1', 'fsync-fails=1'] : []
    const classes = [`kill=${kills}`, ...others].flatMap((one) => ['--class', one])
    const args = [...classes, '--seed', '1', '--folder', tmpdir(), '--json']
    const { code, stdout, stderr } = await runChild(process.execPath, [main, ...args])
    expect(code, stderr).toBe(0)
    const report = JSON.parse(stdout) as { kills: number; violations: number; acknowledged: number }
    expect(report).toMatchObject({ violations: 0 })
    expect(report.kills).toBeGreaterThanOrEqual(kills)
    expect(report.acknowledged).toBeGreaterThan(100)
  },
)
