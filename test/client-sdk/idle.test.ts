// Goal: a client that waits for nothing costs nothing: with a subscription and a publisher it wakes up for what has to be kept alive
// alone, and what has ended leaves no timer behind. Method: the timers of a client's machine in a virtual world.
import { expect, it } from 'vitest'
import { World } from '../../sim/world/world.ts'

function worldWithTopic() {
  const world = new World({ seed: 5, latency: () => 0.1, flushTime: () => 0.3 })
  world.bootstrap(['a', 'b', 'c', 'x', 'y'], ['a', 'b', 'c'])
  world.client('admin').create('t', { mode: 'fault-masking', members: ['a', 'b', 'c'] })
  world.tick(5)
  const node = world.client('reader')
  const { machine } = node
  let rings = 0
  const step = machine.step.bind(machine)
  machine.step = (input, out) => {
    const { nextDue, timers } = machine
    if (input.kind === 'turn' && nextDue !== null && nextDue <= timers.now) rings++
    step(input, out)
  }
  /** Names of timers that are set at some moment of so many ticks, and turns in which one rings. */
  const idle = (ticks: number) => {
    const names = new Set<string>()
    rings = 0
    for (let tick = 0; tick < ticks; tick++) {
      world.tick(1)
      for (const { name } of machine.timers.list()) names.add(name)
    }
    return { names: [...names].sort(), rings }
  }
  return { world, node, idle }
}

it('wakes up for what is kept alive, and for nothing else', () => {
  const { world, node, idle } = worldWithTopic()
  const read = node.subscribe('t', 'all')
  const added = node.add('t', 'm')
  world.tick(50)
  expect([added.over, read.steps.some(({ kind }) => kind === 'delivered')]).toEqual([true, true])
  const { names, rings } = idle(2_000)
  expect(names).toEqual(['attend', 'attendance', 'directory'])
  // The list of servers four times, and each second the servers are asked after the subscription, and whether all have answered.
  expect(rings).toBeLessThanOrEqual(46)
})

it.each([{ order: 'causal' }, { order: 'fifo' }] as const)('sleeps behind a filter too: $order, early', ({ order }) => {
  const { world, node, idle } = worldWithTopic()
  world.client('admin').create('u', { mode: 'fault-masking', members: ['a', 'b', 'c'], order })
  world.tick(5)
  node.subscribe('u', 'early', 'start', order, 'early')
  node.add('u', 'm')
  world.tick(300)
  expect(idle(500).names).toEqual(['attend', 'attendance', 'directory'])
})

it('has no timer of an epoch that has ended', () => {
  const { world, node, idle } = worldWithTopic()
  node.add('t', 'm')
  world.tick(50)
  world.network.addRule('drop', { kinds: ['moved', 'located', 'decisions'], to: ['reader'] })
  world.client('admin').reconfigure('t', { by: [], changeId: 'c', epoch: 0, members: ['a', 'b', 'x'] })
  world.tick(50)
  node.add('t', 'n')
  world.tick(10)
  expect(node.machine.timers.list().map(({ name }) => name)).toContain('add-silence')
  world.network.clearRules()
  world.tick(100)
  expect(node.epochOf('t')).toBe(2)
  expect(idle(100).names).toEqual(['directory'])
})

it('has no timer of an operation that has ended', () => {
  const { world, node, idle } = worldWithTopic()
  const got = node.get('t')
  const added = node.add('t', 'm')
  world.tick(50)
  expect([got.over, added.over]).toEqual([true, true])
  expect(idle(100).names).toEqual(['directory'])
  node.subscribe('t', 'all')
  node.add('t', 'n')
  world.network.addRule('drop', { from: ['a', 'b', 'c'], to: ['c'] })
  node.get('t')
  world.tick(100)
  world.network.clearRules()
  world.tick(100)
  const { machine } = node
  machine.step(
    { kind: 'call', call: (out) => machine.subscriptions().map((one) => machine.removeSubscription(one, out)) },
    [],
  )
  // The servers are not asked after subscriptions any more once it is seen that there are none.
  world.tick(100)
  expect(idle(100).names).toEqual(['directory'])
})
