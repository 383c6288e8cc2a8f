// Goal: time costs a server nothing for topics that are quiet, and what happens to them is noticed as soon as ever. Method: a world
// of many topics, and the timers that are set.
import { expect, it } from 'vitest'
import { World } from '../../../sim/world/world.ts'

const topics = Array.from({ length: 60 }, (_, at) => `t${at}`)

function worldOf(topicNames: readonly string[]): World {
  const world = new World({ seed: 3, keepTrace: false, limits: { recoveryReplaceTicks: 15 } })
  world.bootstrap(['1', '2', '3', '4'], ['3', '4', '1'])
  for (const topic of topicNames) world.client('x').create(topic, { mode: 'fault-recovery', members: ['1', '2'] })
  world.tick(100)
  return world
}

/** Timers of topics that are set on any server. */
function timersOf(world: World): string[] {
  const set = [...world.servers.values()].flatMap(({ machine }) => machine?.timersSet ?? [])
  return set.filter(({ key }) => key.startsWith('t')).map(({ name, key }) => `${key} ${name}`)
}

const membersOf = (world: World, topic: string) =>
  [...world.servers.values()]
    .map(({ machine }) => machine?.topics.find((replica) => replica.state.topic === topic)?.serving ?? null)
    .find((serving) => serving !== null)
    ?.members.map(({ address }) => String(address))

it('has no timer for a quiet topic', () => {
  const world = worldOf(topics)
  world.tick(500)
  expect(timersOf(world)).toEqual([])
  world.client('x').add('t7', 'a')
  world.tick(1)
  expect(new Set(timersOf(world))).toEqual(new Set(['t7 repair-report']))
  world.tick(250)
  expect(timersOf(world)).toEqual([])
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
