// Goal: the demo loses nothing when NATS carries its frames, and when NATS or Redis decides its changes, also while the NATS server
// that leads the decisions is killed. Method: it runs as a process of its own on few lines, against real servers.
import { expect, it } from 'vitest'
import { describeNats } from '../peers/nats-server.ts'
import { describeRedis } from '../peers/redis-server.ts'
import { runBuilt } from './run-built.ts'

const lines = 3_000

async function delivers(...args: readonly string[]): Promise<string[]> {
  const limits = ['--lines', `${lines}`, '--deadline', '500']
  const { code, stdout, stderr } = await runBuilt('bench/demo.js', ['--json', ...limits, ...args])
  expect(code, stderr).toBe(0)
  const { changes, ...numbers } = JSON.parse(stdout) as { readonly changes: readonly { readonly kind: string }[] }
  const nothing = { lost: 0, duplicated: 0, outcomesUnknown: 0 }
  expect(numbers).toEqual({ published: lines, delivered: [lines, lines], ...nothing, epochs: changes.length + 1 })
  return changes.map((change) => change.kind)
}

describeNats('the demo, on NATS', () => {
  it('delivers every line once, also while the leader of NATS is killed during a change', async () => {
    expect(await delivers('--transport', 'nats', '--engine', 'nats')).toContain('lose-engine-leader')
  })
})

describeRedis('the demo, with Redis', () => {
  it('delivers every line once', async () => {
    expect(await delivers('--engine', 'redis')).toHaveLength(10)
  })
})
