// Goal: members that have nothing new say nothing: neither in a topic that has never had a message, nor beside a member that is dead, and
// what a member that comes back lacks is told then. Method: the frames between servers of a virtual world, counted.
import { describe, expect, it } from 'vitest'
import { World } from '../../../sim/world/world.ts'

const members = ['a', 'b', 'c']

function begin(): World {
  const world = new World({ seed: 3 })
  world.bootstrap(members, members)
  world.client('x').create('t', { members, mode: 'fault-masking' })
  world.tick(300)
  return world
}

/** Reports between servers while so many ticks pass. */
function reportsWithin(world: World, ticks: number): number {
  const before = world.trace.length
  world.tick(ticks)
  const sent = world.trace.slice(before).flatMap((event) => (event.what === 'send' ? [event.parcel] : []))
  return sent.filter(({ kind, to }) => kind === 'report' && members.includes(to)).length
}

describe('reports of members', () => {
  it('end in a topic without a message', () => {
    expect(reportsWithin(begin(), 2_000)).toBe(0)
  })

  it('end beside a dead member, with and without messages', () => {
    for (const count of [0, 3]) {
      const world = begin()
      world.server('c').kill()
      world.tick(300)
      for (let at = 0; at < count; at++) world.client('x').add('t', `m${at}`)
      world.tick(300)
      expect(reportsWithin(world, 2_000)).toBe(0)
    }
  })

  it('begin again when it comes back, until it has everything', () => {
    const world = begin()
    world.server('c').kill()
    world.tick(300)
    world.client('x').add('t', 'while it was away')
    world.tick(300)
    world.server('c').start()
    world.tick(600)
    const held = world.server('c').machine?.topics.find(({ state }) => state.topic === 't')?.state.opened?.holdings
    expect(held?.snapshot().size).toBe(1)
    expect(reportsWithin(world, 1_000)).toBe(0)
  })

  it('are asked for again where they were lost', () => {
    const world = new World({ seed: 3 })
    world.bootstrap(members, members)
    const rule = world.network.addRule('drop', { kinds: ['report'], to: ['b'] })
    world.client('x').create('t', { members, mode: 'fault-masking' })
    world.client('x').add('t', 'm')
    world.tick(400)
    expect(reportsWithin(world, 1_000)).toBeGreaterThan(0)
    world.network.removeRule(rule)
    world.tick(400)
    expect(reportsWithin(world, 1_000)).toBe(0)
  })
})
