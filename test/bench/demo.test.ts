// Goal: the demo does what it says, with processes, disks and sockets. Method: it runs as a process of its own on few lines,
// and is judged by its exit status and its line of JSON.
import { execFileSync, spawn } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const timeoutMs = 30_000

function start(args: readonly string[], folder: string) {
  const env = { ...process.env, TMPDIR: folder }
  return spawn(process.execPath, ['--import', 'tsx', 'bench/demo.ts', ...args], { cwd: root, env })
}

async function demo(args: readonly string[], folder = tmpdir()) {
  const child = start(args, folder)
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await ended, stdout, stderr }
}

/** Servers name their data directory when they are started. */
function serversIn(folder: string): number {
  const processes = execFileSync('ps', ['-ax', '-ww', '-o', 'args='], { encoding: 'utf8' })
  return processes.split('\n').filter((line) => line.includes(folder)).length
}

describe('the demo', () => {
  it(
    'delivers every line once to both subscribers, whatever happens to servers and members',
    async () => {
      const { code, stdout, stderr } = await demo(['--json', '--lines', '3000', '--deadline', '28'])
      expect(code, stderr).toBe(0)
      const { changes, ...numbers } = JSON.parse(stdout) as { readonly changes: readonly { readonly kind: string }[] }
      const nothing = { lost: 0, duplicated: 0, outcomesUnknown: 0 }
      expect(numbers).toEqual({ published: 3000, delivered: [3000, 3000], ...nothing, epochs: changes.length + 1 })
      expect(changes.map((change) => change.kind)).toEqual([
        'disjoint',
        'to-fault-recovery',
        'replace-dead',
        'to-fault-masking',
        'grow',
        'shrink',
        'to-single',
        'from-single',
        'lose-coordinator',
        'roll',
      ])
      expect(Object.keys(changes[0] ?? {})).toEqual(['kind', 'ackGapMs', 'wedgeMs', 'stageMs', 'decideMs', 'startMs'])
    },
    timeoutMs,
  )

  it(
    'gives up at its deadline, says where it stood, and leaves nothing behind',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'demo-test-'))
      const { code, stdout, stderr } = await demo(['--json', '--deadline', '4'], folder)
      expect(code).toBe(1)
      expect(stdout).toBe('')
      expect(stderr).toContain('demo failed: not finished within 4 s')
      expect(stderr).toContain('stopped at: ')
      expect(serversIn(folder)).toBe(0)
      const left = await readdir(folder)
      expect(left.filter((name) => name.startsWith('epochcast-demo-'))).toEqual([])
      await rm(folder, { recursive: true })
    },
    timeoutMs,
  )

  it(
    'takes its servers with it when it is killed',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'demo-test-'))
      const child = start([], folder)
      await expect.poll(() => serversIn(folder), { timeout: 10_000 }).toBe(8)
      child.kill('SIGKILL')
      await expect.poll(() => serversIn(folder), { timeout: 10_000 }).toBe(0)
      await rm(folder, { recursive: true })
    },
    timeoutMs,
  )

  it('refuses options that it does not know', async () => {
    const { code, stderr } = await demo(['--lime', '3'])
    expect(code).toBe(2)
    expect(stderr).toContain('Usage: npm run demo')
  })
})
