// Goal: prefix vectors behave as the sets of messages they stand for. Method: the same operations on real sets of ids.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PublisherId } from '../../proto/ids.ts'
import {
  chainDigest,
  contains,
  countOf,
  fingerprint,
  heldBy,
  intersection,
  type MessageSet,
  missingCount,
  sameSet,
  union,
} from '../../proto/message-set.ts'

const publishers = ['000000000000000a', '000000000000000b', '000000000000000c'] as PublisherId[]
const digest = (publisher: PublisherId, end: number) => chainDigest(Number.parseInt(publisher, 16), end, 1)
const setOf = (ends: readonly number[]): MessageSet =>
  new Map(
    publishers.flatMap((publisher, at) => {
      const end = ends[at] ?? 0
      return end > 0 ? [[publisher, { end, digest: digest(publisher, end) }] as const] : []
    }),
  )
const vector = fc.array(fc.nat(6), { minLength: 3, maxLength: 3 }).map(setOf)

/** The ids that a vector stands for. */
function ids(set: MessageSet): Set<string> {
  const all = new Set<string>()
  for (const [publisher, { end }] of set) for (let at = 1; at <= end; at++) all.add(`${publisher}-${at}`)
  return all
}

describe('message sets', () => {
  it('unite, intersect, contain and count like sets of ids', () => {
    fc.assert(
      fc.property(vector, vector, (one, other) => {
        const [a, b] = [ids(one), ids(other)]
        expect(ids(union([one, other]))).toEqual(new Set([...a, ...b]))
        expect(ids(intersection([one, other]))).toEqual(new Set([...a].filter((id) => b.has(id))))
        expect(contains(one, other)).toBe([...b].every((id) => a.has(id)))
        expect(sameSet(one, other)).toBe(a.size === b.size && [...a].every((id) => b.has(id)))
        expect(countOf(one)).toBe(a.size)
        expect(missingCount(one, other)).toBe([...a].filter((id) => !b.has(id)).length)
      }),
    )
  })

  it('heldBy gives what at least so many sets contain', () => {
    fc.assert(
      fc.property(fc.array(vector, { minLength: 1, maxLength: 5 }), fc.integer({ min: 1, max: 5 }), (sets, count) => {
        const all = new Set(sets.flatMap((set) => [...ids(set)]))
        const held = [...all].filter((id) => sets.filter((set) => ids(set).has(id)).length >= count)
        expect(ids(heldBy(sets, count))).toEqual(new Set(held))
      }),
    )
  })

  it('union is the same in every order, also for batches that differ under one id', () => {
    const one: MessageSet = new Map([[publishers[0] as PublisherId, { end: 3, digest: 5 }]])
    const other: MessageSet = new Map([[publishers[0] as PublisherId, { end: 3, digest: 9 }]])
    expect(union([one, other])).toEqual(union([other, one]))
  })

  it('digests are safe integers and depend on every batch and its place', () => {
    fc.assert(
      fc.property(fc.nat(), fc.nat(), fc.nat(), (previous, last, check) => {
        const value = chainDigest(previous, last, check)
        expect(Number.isSafeInteger(value) && value >= 0).toBe(true)
      }),
    )
    const chain = (checks: number[]) => checks.reduce((before, check, at) => chainDigest(before, at + 1, check), 0)
    expect(chain([1, 2, 3])).not.toBe(chain([1, 3, 2]))
    expect(chain([1, 2, 3])).not.toBe(chain([2, 1, 3]))
    const seen = new Set(Array.from({ length: 20_000 }, (_, check) => chainDigest(12_345, 7, check)))
    expect(seen.size).toBe(20_000)
  })

  it('has one fingerprint for equal sets in any order of publishers', () => {
    const set = setOf([1, 2, 3])
    const reversed = new Map([...set].reverse())
    expect(fingerprint(reversed)).toBe(fingerprint(set))
    expect(fingerprint(setOf([1, 2, 4]))).not.toBe(fingerprint(set))
  })
})
