// Goal: a late answer to an earlier process of a client is not taken for an answer to this one. Method: answers sent again to a
// client that has come back under its address.
import { expect, it } from 'vitest'
import { World } from '../../sim/world/world.ts'

it('takes no answer that was given to an earlier process', () => {
  const world = new World({ seed: 3, latency: () => 0.1, flushTime: () => 0.3 })
  world.bootstrap(['a', 'b', 'x', 'y', 'z'], ['x', 'y', 'z'])
  world.client('admin').create('t', { mode: 'fault-recovery', members: ['a', 'b'] })
  world.tick(5)
  world.client('reader').get('t', 'early')
  world.tick(5)
  world.client('writer').add('t', 'm')
  world.tick(5)
  world.killClient('reader')
  world.network.addRule('drop', { kinds: ['collect'], from: ['reader'] })
  const again = world.client('reader').get('t')
  world.runQuiet()
  world.replay({ kinds: ['held'], to: ['reader'] })
  world.runQuiet()
  expect(again.over).toBe(false)
  world.network.clearRules()
  world.tick(200)
  expect(again.steps.find((step) => step.kind === 'got')).toMatchObject({ given: [{ value: 'm' }] })
})
