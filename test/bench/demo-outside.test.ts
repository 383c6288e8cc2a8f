// Goal: the demo loses nothing when NATS carries its frames, and when NATS or Redis decides its changes, also while the NATS server
// that leads the decisions is killed. Method: it runs as a process of its own on few lines, against real servers.
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { describeNats } from '../peers/nats-server.ts'
import { describeRedis } from '../peers/redis-server.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const options = { timeout: 180_000 }
const lines = 3_000

async function demo(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'bench/demo.ts', ...args], { cwd: root, env })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await ended, stdout, stderr }
}

async function delivers(...args: readonly string[]): Promise<string[]> {
  const { code, stdout, stderr } = await demo(['--json', '--lines', `${lines}`, '--deadline', '170', ...args])
  expect(code, stderr).toBe(0)
  const { changes, ...numbers } = JSON.parse(stdout) as { readonly changes: readonly { readonly kind: string }[] }
  const nothing = { lost: 0, duplicated: 0, outcomesUnknown: 0 }
  expect(numbers).toEqual({ published: lines, delivered: [lines, lines], ...nothing, epochs: changes.length + 1 })
  return changes.map((change) => change.kind)
}

describeNats('the demo, on NATS', () => {
  it('delivers every line once, also while the leader of NATS is killed during a change', options, async () => {
    expect(await delivers('--transport', 'nats', '--engine', 'nats')).toContain('lose-engine-leader')
  })
})

describeRedis('the demo, with Redis', () => {
  it('delivers every line once', options, async () => {
    expect(await delivers('--engine', 'redis')).toHaveLength(10)
  })
})

describe('the demo, where something is missing', () => {
  it('says what to install', options, async () => {
    const env = { ...process.env, EPOCHCAST_PEERS_PATH: '/nowhere' }
    for (const [args, program] of [
      [['--transport', 'nats'], 'nats-server'],
      [['--engine', 'nats'], 'nats-server'],
      [['--engine', 'redis'], 'redis-server'],
    ] as const) {
      const { code, stderr } = await demo(args, env)
      expect(code).toBe(1)
      expect(stderr).toContain(`${program} is not installed. Install it: apt-get install ${program}`)
    }
    const { code, stderr } = await demo(['--engine', 'zookeeper'])
    expect(code).toBe(2)
    expect(stderr).toContain('--engine is built-in or nats or redis')
  })
})
