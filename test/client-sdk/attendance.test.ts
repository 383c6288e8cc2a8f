// Goal: what a subscription loses on the way is noticed without a message for each topic, and a client that is gone is forgotten.
// Method: a virtual world whose network drops frames of one kind for a while.
import { describe, expect, it } from 'vitest'
import type { Operation } from '../../sim/world/operations.ts'
import { World } from '../../sim/world/world.ts'

const members = ['a', 'b', 'c']
const topics = ['t', 'u', 'v']

function worldWithReaders() {
  const world = new World({ seed: 5, limits: { clientTicks: 300 } })
  world.bootstrap(members, members)
  for (const topic of topics) world.client('admin').create(topic, { mode: 'fault-masking', members })
  const read = new Map(topics.map((topic) => [topic, world.client('reader').subscribe(topic, topic)]))
  world.tick(250)
  return { world, read }
}

const given = (operation: Operation | undefined) =>
  (operation?.steps ?? []).flatMap((step) => (step.kind === 'delivered' ? [step.given.value] : []))

/** Frames of a kind while so many ticks pass, of whatever topics. */
function sent(world: World, kind: string, ticks: number): number {
  const before = world.trace.length
  world.tick(ticks)
  return world.trace.slice(before).filter((event) => event.what === 'send' && event.parcel.kind === kind).length
}

/** Subscriptions of the reader that a server has. */
const feedsAt = (world: World, id: string) => world.server(id).machine?.audienceOf('reader') ?? 0

describe('attendance', () => {
  it('costs one question and one answer a second for each server, however many topics are read', () => {
    const { world } = worldWithReaders()
    expect([sent(world, 'attend', 1_000), sent(world, 'report', 1_000), sent(world, 'credit', 1_000)]).toEqual([
      30, 0, 0,
    ])
  })

  it('brings what was reported while reports were lost', () => {
    const { world, read } = worldWithReaders()
    const rule = world.network.addRule('drop', { kinds: ['report'], to: ['reader'] })
    world.client('x').add('u', 'm')
    world.tick(20)
    expect(given(read.get('u'))).toEqual([])
    world.network.removeRule(rule)
    world.tick(200)
    expect(given(read.get('u'))).toEqual(['m'])
  })

  it('renews a subscription that was lost beside others that were not', () => {
    const { world, read } = worldWithReaders()
    world.network.addRule('drop', { kinds: ['moved'], to: ['reader'] })
    world.client('admin').reconfigure('v', { by: [], changeId: 'c', epoch: 0, members: ['a', 'b', 'c'] })
    world.tick(50)
    expect(feedsAt(world, 'a')).toBe(2)
    world.network.clearRules()
    world.tick(300)
    expect(feedsAt(world, 'a')).toBe(3)
    world.client('x').add('v', 'm')
    world.tick(20)
    expect(given(read.get('v'))).toEqual(['m'])
  })

  it('finds the topic again whose members stand still', () => {
    const { world, read } = worldWithReaders()
    world.server('a').pause()
    world.server('b').pause()
    world.tick(400)
    world.server('a').resume()
    world.server('b').resume()
    world.client('x').add('t', 'm')
    world.tick(200)
    expect(given(read.get('t'))).toEqual(['m'])
  })

  it('ends the subscriptions of a client that is gone without a word', () => {
    const { world } = worldWithReaders()
    expect(members.map((id) => feedsAt(world, id))).toEqual([3, 3, 3])
    world.network.addRule('drop', { from: ['reader'] })
    world.tick(500)
    expect(members.map((id) => feedsAt(world, id))).toEqual([0, 0, 0])
  })
})
