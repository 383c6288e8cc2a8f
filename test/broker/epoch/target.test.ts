// Goal: substitutes for dead next members make an epoch that its mode allows, or there are none. Method: the function by itself.
import { describe, expect, it } from 'vitest'
import { replaceDead } from '../../../broker/epoch/target.ts'
import type { Configuration, Mode } from '../../../proto/configuration.ts'
import { address, epoch, serverId, serverIdOf, serverName, topicName } from '../../../proto/ids.ts'

function membersOf(ids: string) {
  const storage = '00000000-0000-4000-8000-000000000000'
  return [...ids].map((id) => ({ name: serverName(serverId(id), storage), address: address(id) }))
}

/** Members instead of `intended` where only `live` are alive and `old` reported. */
function substitutes(mode: Mode, intended: string, live: string, old: string, membersMin = 1): string | null {
  const next: Configuration = {
    topic: topicName('t'),
    epoch: epoch(2),
    service: 'multicast',
    mode,
    decider: 'engine',
    members: membersOf(intended),
    membersMin,
    order: 'fifo',
    floor: epoch(1),
    base: 0,
  }
  const found = replaceDead(next, ({ name }) => live.includes(serverIdOf(name)), membersOf(old))
  return found === null ? null : found.map(({ name }) => serverIdOf(name)).join('')
}

describe('fault-recovery', () => {
  it('fills up from the live old members', () => {
    expect(substitutes('fault-recovery', 'de', 'd', 'ab')).toBe('da')
    expect(substitutes('fault-recovery', 'def', 'e', 'ab')).toBe('eab')
  })

  it('begins with fewer, but with no fewer than two, and than the minimum', () => {
    expect(substitutes('fault-recovery', 'def', 'de', '')).toBe('de')
    expect(substitutes('fault-recovery', 'def', 'de', '', 3)).toBeNull()
    expect(substitutes('fault-recovery', 'de', 'd', '')).toBeNull()
    expect(substitutes('fault-recovery', 'de', '', 'a')).toBeNull()
  })
})

describe('fault-masking', () => {
  it('keeps its size: a dead minority stays', () => {
    expect(substitutes('fault-masking', 'def', 'd', 'a')).toBe('dae')
    expect(substitutes('fault-masking', 'defgh', 'de', 'a')).toBe('deafg')
  })

  it('never begins without a majority that is alive', () => {
    expect(substitutes('fault-masking', 'def', 'd', '')).toBeNull()
    expect(substitutes('fault-masking', 'defgh', 'd', 'a')).toBeNull()
  })
})

describe('single', () => {
  it('is one server: the old one where the intended one is dead', () => {
    expect(substitutes('single', 'd', '', 'a')).toBe('a')
    expect(substitutes('single', 'd', '', '')).toBeNull()
  })
})
