// Goal: one decision per epoch, whatever part of the old members a proposal reached and whoever the next coordinator hears
// (rules 3, 5, 6, 8).
// Method: all subsets: r1's accepts reach every subset of the members, then r2 hears every majority, then r3 everybody.
import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../sim/check/history-rules.ts'
import { watchRules } from '../../sim/check/server-rules.ts'
import { World } from '../../sim/world/world.ts'
import { share } from '../volume.ts'

const members = ['1', '2', '3']
const topic = 't'

describe('a proposal that reached some members, then another coordinator', () => {
  const cases = subsets(members).flatMap((reached) =>
    subsets(members)
      .filter((one) => one.length >= 2)
      .flatMap((heard) => subsets(heard).map((reachedAgain) => ({ reached, heard, reachedAgain }))),
  )
  for (const { reached, heard, reachedAgain } of share(cases, 7)) {
    it(`accepted by {${reached}}, then heard {${heard}}, accepted by {${reachedAgain}}`, () => {
      expect(run(reached, heard, reachedAgain)).toEqual([])
    })
  }
})

function run(reached: readonly string[], heard: readonly string[], reachedAgain: readonly string[]): string[] {
  const world = new World({ seed: 3 })
  const broken: string[] = []
  watchRules(world, (text) => broken.push(text))
  world.bootstrap(['1', '2', '3', '4', '5', '6', '7', '8', '9'], ['4', '5', '6'])
  world.client('admin').create(topic, { mode: 'fault-masking', members })
  world.runQuiet()
  // Repair would make all members alike.
  world.network.addRule('drop', { kinds: ['report'], from: members, to: members })
  for (const [at, client] of ['x', 'y', 'z'].entries()) {
    const to = members.filter((_, other) => other !== at)
    const rule = world.network.addRule('drop', { kinds: ['batch'], from: [client], to })
    world.client(client).add(topic, `only-${at + 1}`)
    world.runQuiet()
    world.network.removeRule(rule)
    for (const server of to) world.network.addRule('drop', { kinds: ['batch'], from: [client], to: [server], epoch: 1 })
  }
  world.network.addRule('drop', { kinds: ['start', 'decided', 'changed'], epoch: 1 })
  attempt(world, 'r1', '8', ['4', '5', '6'], members, reached)
  attempt(world, 'r2', '9', ['5', '6', '7'], heard, reachedAgain)
  world.network.clearRules()
  world.client('late').reconfigure(topic, { by: ['7'], changeId: 'r3', epoch: 0, members: ['1', '2', '4'] })
  world.tick(200)
  const reads = ['1', '2'].map((n) => world.client(`reader${n}`).get(topic))
  for (let ticks = 0; ticks < 300 && reads.some(({ over }) => !over); ticks++) world.tick()
  if (reads.some(({ over }) => !over)) broken.push('nobody can read')
  broken.push(...checkHistory(world.trace))
  return broken
}

/** A coordinator that hears these, whose accepts reach those, and that is gone then. */
function attempt(
  world: World,
  changeId: string,
  by: string,
  target: readonly string[],
  heard: readonly string[],
  reached: readonly string[],
): void {
  const others = (some: readonly string[]) => members.filter((one) => !some.includes(one))
  const rules = [
    world.network.addRule('drop', { kinds: ['wedge'], from: [by], to: others(heard) }),
    world.network.addRule('drop', { kinds: ['accept'], from: [by], to: others(reached) }),
  ]
  world.client(`asks-${changeId}`).reconfigure(topic, { by: [by], changeId, epoch: 0, members: target })
  world.runQuiet()
  for (let ticks = 0; ticks < 3; ticks++) world.tick()
  world.server(by).kill()
  world.killClient(`asks-${changeId}`)
  for (const rule of rules) world.network.removeRule(rule)
}

function subsets(of: readonly string[]): string[][] {
  let sets: string[][] = [[]]
  for (const one of of) sets = [...sets, ...sets.map((set) => [...set, one])]
  return sets
}
