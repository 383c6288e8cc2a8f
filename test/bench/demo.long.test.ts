// Goal: the demo does what it says, with processes, disks and sockets. Method: it runs as a process of its own on few lines,
// and is judged by its exit status and its line of JSON.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { callCommand } from '../../bench/child-process.ts'
import { runBuilt, startBuilt } from './run-built.ts'

const main = 'bench/demo.js'
/** A folder for everything that a demo writes. */
const within = (folder: string) => ({ env: { ...process.env, TMPDIR: folder } })

/** Servers name their data directory when they are started. */
function serversIn(folder: string): number {
  const { stdout } = callCommand('ps', ['-ax', '-ww', '-o', 'args='])
  return stdout.split('\n').filter((line) => line.includes(folder)).length
}

describe('the demo', () => {
  it('delivers every line once to both subscribers, whatever happens to servers and members', async () => {
    const { code, stdout, stderr } = await runBuilt(main, ['--json', '--lines', '3000', '--deadline', '220'])
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
  })

  it('gives up at its deadline, says where it stood, and leaves nothing behind', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'demo-test-'))
    const { code, stdout, stderr } = await runBuilt(main, ['--json', '--deadline', '2'], within(folder))
    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toContain('demo failed: not finished within 2 s')
    expect(stderr).toContain('stopped at: ')
    expect(serversIn(folder)).toBe(0)
    const left = await readdir(folder)
    expect(left.filter((name) => name.startsWith('epochcast-demo-'))).toEqual([])
    await rm(folder, { recursive: true })
  })

  it('takes its servers with it when it is killed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'demo-test-'))
    const child = await startBuilt(main, [], within(folder))
    await expect.poll(() => serversIn(folder)).toBe(8)
    child.kill('SIGKILL')
    await expect.poll(() => serversIn(folder)).toBe(0)
    await rm(folder, { recursive: true })
  })

  it('refuses options that it does not know', async () => {
    const { code, stderr } = await runBuilt(main, ['--lime', '3'])
    expect(code).toBe(2)
    expect(stderr).toContain('Usage: npm run demo')
  })

  it('says what to install, where something is missing', async () => {
    const env = { ...process.env, EPOCHCAST_PEERS_PATH: '/nowhere' }
    const cases = [
      [['--transport', 'nats'], 'nats-server'],
      [['--engine', 'nats'], 'nats-server'],
      [['--engine', 'redis'], 'redis-server'],
    ] as const
    for (const [args, program] of cases) {
      const { code, stderr } = await runBuilt(main, args, { env })
      expect(code).toBe(1)
      expect(stderr).toContain(`${program} is not installed. Install it: apt-get install ${program}`)
    }
    const { code, stderr } = await runBuilt(main, ['--engine', 'zookeeper'])
    expect(code).toBe(2)
    expect(stderr).toContain('--engine is built-in or nats or redis')
  })
})
