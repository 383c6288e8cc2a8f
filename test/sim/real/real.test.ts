// Goal: real processes under load lose nothing when they are killed, when a flush fails, and when somebody starts a second one.
// Method: a few faults of `npm run real`, judged like its long runs.
import { spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { buildCli } from '../../broker/cli/harness.ts'

it('keeps everything through kills, a failed flush and a second process', { timeout: 240_000 }, async () => {
  const main = join(await buildCli(), '../../../sim/real/main.js')
  const classes = ['kill=2', 'two-processes=1', 'fsync-fails=1'].flatMap((one) => ['--class', one])
  const child = spawn(process.execPath, [main, ...classes, '--seed', '1', '--folder', tmpdir(), '--json'])
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect(code, stderr).toBe(0)
  const report = JSON.parse(stdout) as { kills: number; violations: number; acknowledged: number }
  expect(report).toMatchObject({ violations: 0 })
  expect(report.kills).toBeGreaterThanOrEqual(2)
  expect(report.acknowledged).toBeGreaterThan(100)
})
