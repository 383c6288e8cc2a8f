// Goal: rivals give way to each other, also where frames and flushes take far longer than their first pauses. Method: the pauses by
// themselves; then real machines in virtual time on slow disks and links, with four coordinators for one epoch.
import { describe, expect, it } from 'vitest'
import { grown, Rivalry } from '../../../broker/epoch/rivalry.ts'
import { formatStake } from '../../../proto/stake.ts'
import { checkHistory } from '../../../sim/check/history-rules.ts'
import { watchRules } from '../../../sim/check/server-rules.ts'
import { seededRandom } from '../../../sim/seeded-random.ts'
import { World } from '../../../sim/world/world.ts'

describe('pauses', () => {
  it('are at random, and their bound doubles until it is 32 times the first', () => {
    const asked: number[] = []
    const random = { ...seededRandom(1), below: (bound: number) => asked.push(bound) && bound - 1 }
    const rivalry = new Rivalry(random, 10)
    const pauses = Array.from({ length: 8 }, () => rivalry.pause())
    expect(pauses).toEqual([10, 20, 40, 80, 160, 320, 320, 320])
    expect(asked).toEqual(pauses)
  })

  it('go with a patience that doubles until it is eight times the first', () => {
    expect([0, 1, 2, 3, 4, 9].map((failures) => grown(100, failures))).toEqual([100, 200, 400, 800, 800, 800])
  })
})

describe('coordinators of one epoch on slow disks and links', () => {
  it.each([1, 2, 3, 4])('come to an end after few rounds (seed %i)', (seed) => {
    const random = seededRandom(seed)
    const broken: string[] = []
    let isSlow = false
    const world = new World({
      seed,
      latency: () => (isSlow ? 50 + random.below(200) : 0.1),
      flushTime: () => (isSlow ? 100 + random.below(300) : 0.1),
    })
    watchRules(world, (text) => broken.push(text))
    const ids = ['a', 'b', 'c', 'd', 'e', 'f']
    world.bootstrap(ids, ['d', 'e', 'f'])
    world.client('admin').create('t', { mode: 'fault-masking', members: ['a', 'b', 'c'] })
    world.client('x').add('t', '1')
    world.tick(50)
    const stakes = new Set<string>()
    world.watchers.push((event) => {
      if (event.what === 'send' && event.parcel.message.kind === 'wedge')
        stakes.add(formatStake(event.parcel.message.stake))
    })
    const by = ['a', 'b', 'c', 'd']
    const [x, ...askers] = ['x', ...by].map((id) => world.client(id === 'x' ? id : `asks-${id}`))
    isSlow = true
    const changes = askers.map((asker, at) =>
      asker.reconfigure('t', { by: by.slice(at, at + 1), changeId: `by-${at}`, epoch: 1, members: ['a', 'b', 'c'] }),
    )
    const add = x?.add('t', '2')
    const isOver = () => add?.over === true && changes.every(({ over }) => over)
    for (let ticks = 0; ticks < 6_000 && !isOver(); ticks += 10) world.runUntil(world.now + 100)
    expect(isOver()).toBe(true)
    expect(stakes.size).toBeLessThanOrEqual(30)
    broken.push(...checkHistory(world.trace))
    expect(broken).toEqual([])
  })
})
