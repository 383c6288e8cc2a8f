// Goal: the kinds of changes are what they are called, and any list of them can be made one after the other.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allKinds, type Membership, planChange } from '../../bench/epochs/kinds.ts'

const servers = ['a', 'b', 'c', 'd', 'e', 'f']
const three: Membership = { mode: 'fault-masking', members: ['a', 'b', 'c'] }

describe('planned changes', () => {
  it('do what they say', () => {
    const next = (kind: (typeof allKinds)[number]) => planChange(kind, three, servers).next
    expect(next('same')).toEqual(three)
    expect(next('disjoint').members).toEqual(['d', 'e', 'f'])
    expect(next('add').members).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(next('to-fault-recovery')).toEqual({ mode: 'fault-recovery', members: ['a', 'b'] })
    expect(planChange('replace-killed', three, servers)).toMatchObject({
      next: { members: ['b', 'c', 'd'] },
      harm: { id: 'a', how: 'kill', at: 'before' },
    })
    expect(planChange('lose-coordinator', three, servers).harm).toEqual({ id: 'a', how: 'kill', at: 'wedge' })
  })

  it('follow each other in any order, always to a membership that its mode allows', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...allKinds), { maxLength: 30 }), (kinds) => {
        let now = three
        for (const kind of kinds) {
          const { next } = planChange(kind, now, servers)
          expect(new Set(next.members).size).toBe(next.members.length)
          expect(next.members.every((id) => servers.includes(id))).toBe(true)
          expect(next.members.length).toBeGreaterThanOrEqual(next.mode === 'fault-masking' ? 3 : 2)
          now = next
        }
      }),
    )
  })

  it('say what they lack', () => {
    expect(() => planChange('disjoint', three, ['a', 'b', 'c', 'd'])).toThrow(/3 members have no 3 others among 4/)
    expect(() => planChange('replace-frozen', three, ['a', 'b', 'c'])).toThrow(/no other server/)
  })
})
