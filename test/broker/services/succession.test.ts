// Goal: a topic in total order whose sequencer is gone keeps its members where they are only late, and gets another in the place of one
// that stays away. Method: a fault-recovery topic of two beside a spare server, in a virtual world whose servers are all killed at once.
import { expect, it } from 'vitest'
import { World } from '../../../sim/world/world.ts'

const servers = ['a', 'b', 'c']

/** All servers are killed; a and c come back at once. */
function killed(): World {
  const world = new World({ seed: 5 })
  world.bootstrap(servers, servers)
  world.client('x').create('t', { members: ['a', 'b'], mode: 'fault-recovery', order: 'total' })
  world.client('x').add('t', 'before')
  world.tick(200)
  for (const id of servers) world.server(id).kill()
  world.server('a').start()
  world.server('c').start()
  return world
}

const newest = (world: World) =>
  world.server('a').machine?.topics.find(({ state }) => state.topic === 't')?.state.newest

it('waits for a member that comes back a second later', () => {
  const world = killed()
  world.tick(100)
  world.server('b').start()
  world.tick(600)
  expect(newest(world)?.members.map(({ address }) => String(address))).toEqual(['a', 'b'])
  // The sequencer of the killed process orders no more: the epoch was ended for that alone.
  expect(newest(world)?.epoch).toBe(2)
  const add = world.client('x').add('t', 'after', 'republish')
  world.tick(300)
  expect(add.over).toBe(true)
})

it('takes a spare for one that stays away', () => {
  const world = killed()
  world.tick(1_500)
  expect(newest(world)?.members.map(({ address }) => String(address))).toEqual(['a', 'c'])
})
