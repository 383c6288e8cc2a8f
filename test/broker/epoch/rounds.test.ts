// Goal: new members fetch in advance as long as that pays, and never for ever. Method: rounds of so many ticks, and what each is
// followed by.
import { describe, expect, it } from 'vitest'
import { Rounds } from '../../../broker/epoch/rounds.ts'
import { limits } from '../../../broker/host.ts'

function verdicts(lengths: readonly number[]): string[] {
  const timers = { now: 0 }
  const rounds = new Rounds({ ...limits, stageTicks: 100 }, timers)
  return lengths.map((ticks) => {
    timers.now += ticks
    return rounds.ended()
  })
}

describe('rounds of fetching', () => {
  it('end with one that takes no time', () => {
    expect(verdicts([0])).toEqual(['enough'])
    expect(verdicts([2])).toEqual(['enough'])
  })

  it('go on while they get shorter', () => {
    expect(verdicts([3_000, 900, 270, 80, 24, 7, 2])).toEqual([...Array(6).fill('again'), 'enough'])
  })

  it('end where they get no shorter and are short', () => {
    expect(verdicts([3_000, 100, 90, 100, 95, 100])).toEqual(['again', 'again', 'again', 'again', 'again', 'enough'])
  })

  it('are hopeless where others publish as fast as new members fetch', () => {
    expect(verdicts([300, 300, 310, 290, 300])).toEqual([...Array(4).fill('again'), 'hopeless'])
  })
})
