// Goal: a group agrees on who holds which message whatever dies, stands still or is changed when, no message has two holders, and
// all are done in the end. Method: the real machines over a modelled log, under random schedules, and with a death and a pause at
// every single step of one schedule.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { seededRandom } from '../../../sim/seeded-random.ts'
import { isLong } from '../../volume.ts'
import { GroupModel, leaseMs } from './model.ts'

/** Whoever is left, or a new member, finishes. */
function finish(model: GroupModel): void {
  if (!model.members.some((member) => member.isAlive)) model.join()
  const isOver = model.finish(() => model.doneCount() === model.published.size)
  expect(isOver, `${model.doneCount()} of ${model.published.size} done`).toBe(true)
}

function run(seed: number): GroupModel {
  const random = seededRandom(seed)
  const model = new GroupModel(random, { nakPercent: 10 })
  for (let step = 0; step < 1_200; step++) {
    const what = random.below(120)
    if (what === 0 && model.members.length < 6) model.join()
    else if (what === 1) model.crash(random.below(6))
    else if (what === 2) model.pause(random.below(6), random.below(leaseMs * 4))
    else if (what === 3) model.endTopicEpoch()
    else if (what === 4) model.endLogEpoch()
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
          else if (step === at) model.pause(victim, 5 * leaseMs)
          model.step()
        }
        finish(model)
      }
    }
  })
})
