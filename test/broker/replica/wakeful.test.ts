// Goal: time costs a server nothing for topics that are quiet, and what happens to them is noticed as soon as ever. Method: a world
// of many topics; what is told that a tick has passed is counted.
import { expect, it, vi } from 'vitest'
import { Replica } from '../../../broker/replica/replica.ts'
import { World } from '../../../sim/world/world.ts'

const topics = Array.from({ length: 60 }, (_, at) => `t${at}`)

function worldOf(topicNames: readonly string[]): World {
  const world = new World({ seed: 3, keepTrace: false, limits: { recoveryReplaceTicks: 15 } })
  world.bootstrap(['1', '2', '3', '4'], ['3', '4', '1'])
  for (const topic of topicNames) world.client('x').create(topic, { mode: 'fault-recovery', members: ['1', '2'] })
  world.tick(100)
  return world
}

/** How often replicas of all servers are told of a tick, per tick. */
function toldPerTick(world: World, ticks: number): number {
  const tick = vi.spyOn(Replica.prototype, 'tick')
  world.tick(ticks)
  const calls = tick.mock.calls.length
  tick.mockRestore()
  return calls / ticks
}

const membersOf = (world: World, topic: string) =>
  [...world.servers.values()]
    .map(({ machine }) => machine?.topics.find((replica) => replica.state.topic === topic)?.serving ?? null)
    .find((serving) => serving !== null)
    ?.members.map(({ address }) => String(address))

it('tells quiet topics of time now and then', () => {
  const world = worldOf(topics)
  world.tick(500)
  expect(toldPerTick(world, 100)).toBeLessThan((2 * topics.length) / 15)
  // One that takes messages is awake, the others are not.
  world.client('x').add('t7', 'a')
  world.tick(1)
  expect(toldPerTick(world, 5)).toBeLessThan((2 * topics.length) / 5)
  world.tick(50)
  expect(toldPerTick(world, 100)).toBeLessThan((2 * topics.length) / 15)
})

it('takes messages of a topic that was quiet for long, and repairs who lacks one', () => {
  const world = worldOf(topics)
  world.tick(500)
  world.network.addRule('drop', { from: ['x'], to: ['2'], kinds: ['batch'] })
  world.client('x').add('t9', 'a')
  world.tick(250)
  for (const id of ['1', '2']) {
    const replica = world.server(id).machine?.topics.find(({ state }) => state.topic === 't9')
    expect([id, replica?.state.opened?.holdings.publisherCount]).toEqual([id, 1])
  }
})

it('replaces a dead member of every quiet topic', () => {
  const world = worldOf(topics)
  world.tick(500)
  world.server('2').kill()
  world.tick(400)
  for (const topic of topics) {
    const members = membersOf(world, topic)
    expect([topic, members?.includes('2'), members?.length]).toEqual([topic, false, 2])
  }
})
