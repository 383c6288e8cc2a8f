// Goal: a group agrees on who holds which message whatever dies, stands still or is changed when, no message has two holders, all
// are done in the end, only what a reader was given counts as delivered, and the dead cost about one lease. Method: the real
// machines over a modelled log in virtual time, each with a clock of its own, under random schedules; a death and a pause at every
// single step of one schedule; and the directed stories of a group's bad days.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../sim/seeded-random.ts'
import { isLong } from '../../volume.ts'
import { GroupModel, type ModelOptions } from './model.ts'

/** Members that are left, or a new one, finish. */
function finish(model: GroupModel, withinMs?: number): void {
  if (!model.members.some((member) => member.isAlive && !member.isLeaving)) model.join()
  const isOver = model.finish(() => model.doneCount() === model.published.size, withinMs)
  expect(isOver, `${model.doneCount()} of ${model.published.size} done`).toBe(true)
}

function run(seed: number, options: ModelOptions = {}): GroupModel {
  const random = seededRandom(seed)
  const model = new GroupModel(random, { nakPercent: 10, ...options })
  for (let step = 0; step < 1_200; step++) {
    const what = random.below(120)
    const alive = model.members.filter((member) => member.isAlive).length
    if (what === 0 && alive < 6) model.join()
    else if (what === 1) model.crash(random.below(model.members.length + 1))
    else if (what === 2) model.pause(random.below(6), random.below(model.leaseMs * 4))
    else if (what === 3) model.endTopicEpoch()
    else if (what === 4) model.endLogEpoch()
    else if (what === 5 && random.below(4) === 0) for (let at = 0; at < model.members.length; at++) model.crash(at)
    else if (what === 6) model.leave(random.below(model.members.length + 1))
    else if (what < 12) model.publish(1 + random.below(3))
    model.step()
  }
  return model
}

describe('a group of machines', () => {
  it('agrees, gives each message one holder, and finishes', () => {
    let handled = 0
    let epochs = 0
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (seed) => {
        const model = run(seed)
        finish(model)
        handled += model.begun.size
        epochs += model.epochs
      }),
      { numRuns: isLong ? 60 : 12 },
    )
    // The schedules do reach what is tested.
    expect(handled).toBeGreaterThan(isLong ? 500 : 100)
    expect(epochs).toBeGreaterThan(isLong ? 200 : 40)
  })

  it.each(['death', 'pause'])('survives a %s of any member at every step', (what) => {
    const total = 400
    for (let at = 0; at < total; at += isLong ? 4 : 24) {
      for (let victim = 0; victim < 3; victim++) {
        const random = seededRandom(42)
        const model = new GroupModel(random, { nakPercent: 5 })
        for (let member = 0; member < 3; member++) model.join()
        model.publish(12)
        for (let step = 0; step < total; step++) {
          if (step === 200) model.endTopicEpoch()
          if (step === 210) model.publish(6)
          if (step === 300) model.endLogEpoch()
          if (step === at && what === 'death') model.crash(victim)
          else if (step === at) model.pause(victim, 5 * model.leaseMs)
          model.step()
        }
        finish(model)
      }
    }
  })

  it('puts aside what ends its handlers, after as many of them as are allowed, and nothing else', () => {
    const deliveriesMax = 2
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 - 1 }), (seed) => {
        const isPoison = (id: string) => id.endsWith('-3')
        const model = run(seed, { deliveriesMax, isPoison, nakPercent: 0 })
        for (let death = 0; death < 60 && model.doneCount() < model.published.size; death++) {
          if (!model.members.some((member) => member.isAlive && !member.isLeaving)) model.join()
          model.finish(() => model.doneCount() === model.published.size || !model.members.some((one) => one.isAlive))
        }
        expect(model.doneCount()).toBe(model.published.size)
        for (const id of model.putAside) {
          // Deaths that the schedule brings fall upon others too.
          expect(isPoison(id) || model.askedFor(id) >= deliveriesMax, id).toBe(true)
        }
        for (const id of model.published)
          if (isPoison(id)) expect(model.handed.get(id) ?? 0).toBeLessThanOrEqual(deliveriesMax)
      }),
      { numRuns: isLong ? 30 : 8 },
    )
  })
})

describe('the dead of a group', () => {
  const leaseMs = 10_000
  /** Until others notice that their leader is gone, and take turns. */
  const noticedMs = 4_000

  function killed(count: number, options: ModelOptions = {}): GroupModel {
    const model = new GroupModel(seededRandom(count), { leaseMs, capacity: 2, ...options })
    for (let at = 0; at < count; at++) model.join()
    model.publish(5 * count)
    model.isAnswering = false
    const isHeld = () => model.members.every((member) => member.busy.length > 0)
    expect(model.finish(isHeld, 20_000)).toBe(true)
    for (let at = 0; at < count; at++) model.crash(at)
    model.isAnswering = true
    return model
  }

  it.each([1, 4, 16, 40])('cost one lease together: %i members', (count) => {
    const model = killed(count)
    const before = model.nowMs
    const [last] = model.workers.keys()
    model.join()
    expect(model.finish(() => model.handedSince(last ?? '', before), leaseMs + noticedMs)).toBe(true)
    // New messages do not wait for them either way.
    finish(model)
  })

  it('do not keep new messages from a member that joins', () => {
    const model = killed(4)
    const done = model.doneCount()
    model.join()
    expect(model.finish(() => model.doneCount() > done, noticedMs)).toBe(true)
  })

  it.each([
    ['leave', 8_000],
    ['leave', 3_000],
    ['crash', 4_000],
    ['crash', 8_000],
  ] as const)(
    'are released though all who come only stay shorter than the lease, and %s after %i ms',
    (how, stayMs) => {
      const model = killed(3, { capacity: 5 })
      const held = new Set(model.workers.keys())
      const isReleased = () => [...held].every((id) => (model.handed.get(id) ?? 0) > 1)
      let ms = 0
      for (; ms < 10 * leaseMs && !isReleased(); ms += stayMs) {
        const at = model.join()
        model.finish(isReleased, stayMs)
        if (how === 'leave') model.leave(at)
        else model.crash(at)
      }
      expect(isReleased(), `${ms} ms`).toBe(true)
    },
  )
})

describe('time in a group', () => {
  it.each([300_000, 1_000])('a first member has the first message at once, with a lease of %i ms', (leaseMs) => {
    const model = new GroupModel(seededRandom(1), { leaseMs })
    model.publish(1)
    model.join()
    expect(model.finish(() => model.begun.size > 0, 500)).toBe(true)
  })

  it('others go on within seconds when their leader dies or leaves, whatever the lease', () => {
    for (const how of ['crash', 'leave'] as const) {
      const model = new GroupModel(seededRandom(2), { leaseMs: 300_000 })
      for (let at = 0; at < 3; at++) model.join()
      model.finish(() => model.members.every((member) => member.node.isJoined))
      model[how](model.members.findIndex((member) => member.node.isLeader))
      model.publish(5)
      // The dead one has its share until its lease is over.
      const isOver = () => (how === 'leave' ? model.doneCount() === 5 : model.doneCount() > 0)
      expect(model.finish(isOver, 4_000), how).toBe(true)
    }
  })

  it('a delay is as long as it was said, whoever led with whatever clock', () => {
    const model = new GroupModel(seededRandom(3), { leaseMs: 10_000, nakPercent: 100 })
    for (let at = 0; at < 5; at++) {
      model.join()
      model.finish(() => model.members[at]?.node.isLeader === true)
      if (at === 4) break
      model.finish(() => false, 10_000)
      model.leave(at)
    }
    model.publish(1)
    model.finish(() => model.begun.size === 1)
    const [id = ''] = model.begun
    const given = () => model.handed.get(id) ?? 0
    // Up to 200 ms each.
    expect(model.finish(() => given() >= 10, 10 * 400)).toBe(true)
  })

  it('nobody is taken for dead because the log did not answer', () => {
    const model = new GroupModel(seededRandom(4), { leaseMs: 1_000 })
    for (let at = 0; at < 3; at++) model.join()
    model.finish(() => model.members.every((member) => member.node.isJoined))
    const names = model.members.map((member) => member.node.member)
    for (const ms of [500, 3_000, 30_000]) {
      model.silence(ms)
      model.finish(() => false, 5_000)
      expect(model.members.map((member) => member.node.member)).toEqual(names)
    }
  })
})
