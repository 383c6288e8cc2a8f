// Goal: a server hears of its own earlier lives only, whatever order and repetition the network gave to what it showed.
// Method: positions noted by hand; then random legal lives, shuffled and repeated, which must never accuse anybody.
import { describe, expect, it } from 'vitest'
import { ShownPositions } from '../../../broker/membership/shown-positions.ts'
import type { ServerTimer } from '../../../broker/timers.ts'
import { parseServerName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import { Timers } from '../../../proto/machine/timers.ts'
import { decodeRecord } from '../../../proto/wire/codec.ts'
import { seededRandom } from '../../../sim/seeded-random.ts'

const name = parseServerName('a@00000000-0000-4000-8000-000000000001')

describe('shown positions', () => {
  it('keeps lives apart', () => {
    const shown = new ShownPositions(new Timers())
    shown.note(name, 1, 100)
    expect(shown.ofOtherLives(name, 1)).toBe(0)
    expect(shown.ofOtherLives(name, 2)).toBe(100)
    shown.note(name, 2, 500)
    expect(shown.ofOtherLives(name, 2)).toBe(100)
    // What an earlier life showed comes late.
    shown.note(name, 1, 90)
    expect(shown.ofOtherLives(name, 2)).toBe(100)
    expect(shown.ofOtherLives(name, 3)).toBe(500)
  })

  it('accuses no server that only crashed', () => {
    const random = seededRandom(7)
    for (let round = 0; round < 300; round++) {
      const shown = new ShownPositions(new Timers())
      const facts: { life: number; position: number }[] = []
      let end = 0
      for (let life = 1; life <= 4; life++) {
        const recovered = end
        // Everything that this one asks later finds no more than what it had recovered.
        expect(shown.ofOtherLives(name, life)).toBeLessThanOrEqual(recovered)
        for (let step = random.below(5); step > 0; step--) {
          end += random.below(50)
          facts.push({ life, position: end })
          const fact = facts[random.below(facts.length)]
          if (fact !== undefined) shown.note(name, fact.life, fact.position)
          expect(shown.ofOtherLives(name, life)).toBeLessThanOrEqual(recovered)
        }
      }
    }
  })

  it('keeps what was shown over a restart, and writes nothing while nothing grows', () => {
    const timers = new Timers<ServerTimer>()
    const shown = new ShownPositions(timers)
    const out: Effect[] = []
    shown.note(name, 1, 1_000)
    expect(timers.nextDue).toBe(null)
    shown.note(name, 1, 5_000)
    timers.pass(999)
    timers.ring(out)
    shown.note(name, 1, 5_000)
    expect(out).toEqual([])
    timers.pass(1_000)
    timers.ring(out)
    shown.note(name, 1, 5_500)
    expect([out.length, timers.nextDue]).toEqual([1, null])
    const [effect] = out
    if (effect?.kind !== 'persist') throw new Error('nothing was kept')
    const message = decodeRecord(effect.bytes)
    if (message.kind !== 'remembered') throw new Error('something else was kept')
    const next = new ShownPositions(new Timers())
    next.recover(message)
    expect(next.ofOtherLives(name, 2)).toBe(5_000)
  })
})
