// Goal: a message that is put aside again and again comes to an end, whatever ring of topics it goes round in. Method: the headers
// that one round writes are what the next one reads.
import { describe, expect, it } from 'vitest'
import { type DeadLetter, deadLetterHeader } from '../../../client-sdk/groups/dead-letters.ts'
import { addedBytesMax, decodeProperties } from '../../../client-sdk/properties.ts'
import { topicName } from '../../../proto/ids.ts'

const why = { deliveries: '3' }

function job(header: Uint8Array | undefined): DeadLetter {
  const properties = header === undefined ? {} : decodeProperties(header)
  return { id: `1-${'f'.repeat(16)}-9007199254740991`, payload: new Uint8Array(), header, properties }
}

/** Hops until it stays where it is. */
function hops(topics: readonly string[]): number {
  let header: Uint8Array | undefined
  for (let hop = 0; ; hop++) {
    const [from = '', to = ''] = [topics[hop % topics.length], topics[(hop + 1) % topics.length]]
    const next = deadLetterHeader(job(header), topicName(from), to, why)
    if (next === null) return hop
    expect(next.length).toBeLessThan(addedBytesMax)
    header = next
  }
}

describe('dead letters', () => {
  it('come to every topic of a ring once', () => {
    expect(hops(['a', 'b'])).toBe(1)
    expect(hops(['a', 'b', 'c'])).toBe(2)
  })

  it('go through so many topics at the most, with room for their names', () => {
    expect(hops(Array.from({ length: 100 }, (_, at) => `${at}`.padStart(200, 'x')))).toBe(8)
  })

  it('name what they were in their last topic, and stay where a path makes no sense', () => {
    const first = deadLetterHeader(job(undefined), topicName('a'), 'b', why)
    const second = decodeProperties(
      deadLetterHeader(job(first ?? undefined), topicName('b'), 'c', why) ?? new Uint8Array(),
    )
    expect(second.headers).toMatchObject({ 'dead-letter-topic': 'b', 'dead-letter-path': 'a,b' })
    const forged = { ...job(undefined), properties: { headers: { 'dead-letter-path': 'no topic' } } }
    expect(deadLetterHeader(forged, topicName('a'), 'b', why)).toBeNull()
  })
})
