// Goal: an operator is told of an arbiter that is gone while the others still answer, with what can be done about it, and no
// server is said to be free to go that is needed. Method: the texts, for arbiters in every state.
import { describe, expect, it } from 'vitest'
import { arbiterHealth } from '../../../broker/cli/arbiters.ts'
import { partsText } from '../../../broker/cli/parts.ts'
import type { ArbiterInfo } from '../../../client-sdk/index.ts'
import { address, parseServerName } from '../../../proto/ids.ts'

const all = (...states: ArbiterInfo['state'][]): ArbiterInfo[] =>
  states.map((state, at) => {
    const id = String.fromCharCode(97 + at)
    return {
      id,
      name: parseServerName(`${id}@00000000-0000-4000-8000-000000000000`),
      address: address(`${id}:1`),
      state,
    }
  })

describe('arbiters', () => {
  it('are well where all answer', () => {
    expect(arbiterHealth(all('answers', 'answers', 'answers'))).toMatchObject({ slack: 1, hint: null })
  })

  it.each([
    [all('answers', 'answers', 'lost'), 0, 'if one more fails', 'old data directory'],
    [all('answers', 'answers', 'silent'), 0, 'if one more fails', 'start c'],
    [all('answers', 'answers', 'old-disk'), 0, 'if one more fails', 'newest disk'],
    [all('answers', 'lost', 'answers', 'answers', 'answers'), 1, '1 more may fail', 'no other server can become'],
    [all('answers', 'silent', 'lost'), -1, 'no topic can be made', 'start b'],
  ] as const)('are told to be weak while they still answer: %#', (arbiters, slack, text, hint) => {
    const health = arbiterHealth(arbiters)
    expect(health.slack).toBe(slack)
    expect(health.text).toContain(text)
    expect(health.hint).toContain(hint)
  })
})

describe('the parts of a server', () => {
  it('are all named', () => {
    const topics = ['t', 'u', 'v', 'w']
    const text = partsText({ server: 'a', isArbiter: true, topics, isSure: false })
    for (const part of ['an arbiter', 't, u, v and 1 other topic', 'neither it nor the arbiters'])
      expect(text).toContain(part)
  })
})
