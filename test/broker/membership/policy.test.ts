// Goal: dead members are replaced, soon where their topic stands still, without hurry elsewhere, and never in a frenzy.
// Method: real machines in virtual time; servers killed, cut off and started again.
import { describe, expect, it } from 'vitest'
import type { Mode } from '../../../proto/configuration.ts'
import { serverIdOf } from '../../../proto/ids.ts'
import { checkHistory } from '../../../sim/check/history-rules.ts'
import { watchRules } from '../../../sim/check/server-rules.ts'
import { World } from '../../../sim/world/world.ts'

const topic = 't'

function worldOf(
  mode: Mode,
  members: readonly string[],
  servers: readonly string[],
  limits = {},
  arbiters = ['x', 'y', 'z'],
) {
  const broken: string[] = []
  const world = new World({
    seed: 5,
    latency: () => 0.1,
    flushTime: () => 0.3,
    limits: { recoveryReplaceTicks: 15, maskingReplaceTicks: 300, ...limits },
  })
  watchRules(world, (text) => broken.push(text))
  world.bootstrap([...servers], arbiters)
  world.client('admin').create(topic, { mode, members: [...members] })
  world.tick(30)
  const check = () => {
    broken.push(...checkHistory(world.trace))
    expect(broken).toEqual([])
  }
  return { world, check }
}

/** The members of the newest epoch that somebody serves, and its number. */
function served(world: World): string {
  let best = { epoch: 0, members: '' }
  for (const { machine } of world.servers.values()) {
    for (const { serving } of machine?.topics ?? []) {
      if (serving === null || serving.epoch < best.epoch) continue
      best = { epoch: serving.epoch, members: serving.members.map(({ name }) => serverIdOf(name)).join('') }
    }
  }
  return `${best.epoch}:${best.members}`
}

describe('in fault-recovery mode', () => {
  it('puts a spare in the place of a dead member, and the topic goes on', () => {
    const { world, check } = worldOf('fault-recovery', ['a', 'b'], ['a', 'b', 'c', 'x', 'y', 'z'])
    world.client('p').add(topic, 'before')
    world.tick(2)
    world.server('b').kill()
    const stuck = world.client('p').add(topic, 'while dead')
    world.tick(10)
    expect(stuck.over).toBe(false)
    world.tick(10)
    expect(stuck.over).toBe(true)
    expect(served(world)).toMatch(/^2:a[cxyz]$/)
    world.server('b').start()
    world.tick(600)
    expect(served(world)).toMatch(/^2:/)
    check()
  })

  it('goes on with fewer members where there is no spare, but not with fewer than the minimum', () => {
    const alone = worldOf('fault-recovery', ['x', 'y', 'z'], ['x', 'y', 'z'])
    alone.world.server('z').kill()
    const stuck = alone.world.client('p').add(topic, 'a')
    alone.world.tick(100)
    expect(served(alone.world)).toBe('1:xyz')
    alone.world.tick(50)
    expect(stuck.over).toBe(true)
    expect(served(alone.world)).toBe('2:xy')
    alone.check()
    const bounded = worldOf('fault-recovery', ['x', 'y', 'z'], ['x', 'y', 'z'])
    bounded.world.client('admin').reconfigure(topic, { by: [], changeId: 'm', epoch: 0, membersMin: 3 })
    bounded.world.tick(30)
    bounded.world.server('z').kill()
    bounded.world.tick(1000)
    expect(served(bounded.world)).toBe('2:xyz')
    bounded.world.server('z').start()
    bounded.world.tick(50)
    expect(bounded.world.client('p').add(topic, 'b').over || bounded.world.tick(5) === undefined).toBe(true)
    bounded.check()
  })

  it('never leaves a topic of two to one server: it waits for a spare', () => {
    const { world, check } = worldOf('fault-recovery', ['x', 'y'], ['x', 'y'], {}, ['x'])
    world.server('y').kill()
    const stuck = world.client('p').add(topic, 'a')
    world.tick(2000)
    expect(served(world)).toBe('1:xy')
    expect(stuck.over).toBe(false)
    world.server('y').start()
    world.tick(100)
    expect(served(world)).toBe('1:xy')
    expect(stuck.over).toBe(true)
    check()
  })

  it('takes a member that came back with an empty disk for a spare in its own place', () => {
    const { world, check } = worldOf('fault-recovery', ['a', 'b'], ['a', 'b', 'x', 'y', 'z'])
    world.server('b').loseDisk()
    world.server('b').start()
    world.tick(400)
    expect(served(world)).toBe('2:ab')
    const last = world.client('p').add(topic, 'after')
    world.tick(20)
    expect(last.over).toBe(true)
    check()
  })

  it('replaces a member that dies before its epoch begins, also where this server still waits for that', () => {
    const { world, check } = worldOf('fault-recovery', ['a', 'b'], ['a', 'b', 'c', 'x', 'y', 'z'])
    world.network.addRule('drop', { kinds: ['decided'], to: ['c'] })
    world.client('p').reconfigure(topic, { by: ['a'], changeId: 'm', epoch: 0, members: ['a', 'c'] })
    world.tick(10)
    expect(served(world)).toBe('2:ac')
    world.server('c').kill()
    const stuck = world.client('p').add(topic, 'a')
    world.tick(150)
    expect(served(world)).toMatch(/^3:a[bxyz]$/)
    expect(stuck.over).toBe(true)
    check()
  })

  it('leaves a member alone whose connection broke and came back', () => {
    const { world, check } = worldOf('fault-recovery', ['a', 'b'], ['a', 'b', 'c', 'x', 'y', 'z'])
    world.server('b').kill()
    world.server('b').start()
    world.tick(200)
    expect(served(world)).toBe('1:ab')
    check()
  })

  it('waits for everybody after a start: who was not heard of yet is not dead', () => {
    const { world, check } = worldOf('fault-recovery', ['a', 'b'], ['a', 'b', 'c', 'x', 'y', 'z'])
    for (const server of world.servers.values()) server.kill()
    for (const id of ['a', 'c', 'x', 'y', 'z']) world.server(id).start()
    world.tick(100)
    world.server('b').start()
    world.tick(300)
    expect(served(world)).toBe('1:ab')
    check()
  })

  it('changes nothing when everybody was cut off from everybody, as when the network is gone for a while', () => {
    const ids = ['a', 'b', 'c', 'x', 'y', 'z']
    const { world, check } = worldOf('fault-recovery', ['a', 'b'], ids)
    world.tick(50)
    for (const from of ids) for (const to of ids) if (from !== to) world.network.cut(from, to)
    world.tick(300)
    world.network.heal()
    world.tick(600)
    expect(served(world)).toBe('1:ab')
    check()
  })

  it('does not change more and more often, however often it is wrong', () => {
    const { world, check } = worldOf('fault-recovery', ['a', 'b'], ['a', 'b', 'c', 'x', 'y', 'z'])
    for (let turn = 0; turn < 60; turn++) {
      const [, members = ''] = served(world).split(':')
      world.server(members[0] ?? 'a').kill()
      world.tick(50)
      for (const server of world.servers.values()) server.start()
      world.tick(50)
    }
    expect(Number(served(world).split(':')[0])).toBeLessThan(15)
    world.tick(3000)
    const last = world.client('p').add(topic, 'after')
    world.tick(100)
    expect(last.over).toBe(true)
    check()
  })
})

describe('in fault-masking mode', () => {
  it('replaces a dead member by a spare, later', () => {
    const { world, check } = worldOf('fault-masking', ['a', 'b', 'c'], ['a', 'b', 'c', 'd', 'x', 'y', 'z'])
    world.server('b').kill()
    world.tick(250)
    expect(served(world)).toBe('1:abc')
    world.tick(200)
    expect(served(world)).toMatch(/^2:a[dxyz]c$/)
    check()
  })

  it('keeps a dead minority where there is no spare', () => {
    const { world, check } = worldOf('fault-masking', ['x', 'y', 'z'], ['x', 'y', 'z'])
    world.server('z').kill()
    world.tick(2000)
    expect(served(world)).toBe('1:xyz')
    check()
  })
})

it('replaces nobody when it is turned off', () => {
  const limits = { recoveryReplaceTicks: 0, maskingReplaceTicks: 0 }
  const { world } = worldOf('fault-recovery', ['a', 'b'], ['a', 'b', 'c', 'x', 'y', 'z'], limits)
  world.server('b').kill()
  world.tick(2000)
  expect(served(world)).toBe('1:ab')
})
