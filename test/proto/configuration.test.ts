// Goal: each mode has the quorums of its figure, and every two quorums that must meet do. Method: all sizes up to nine.
import { describe, expect, it } from 'vitest'
import {
  acceptQuorum,
  type Configuration,
  checkMembership,
  defaultDecider,
  enabledQuorum,
  modes,
  operationQuorum,
  reportsNeeded,
  toleratedFailures,
} from '../../proto/configuration.ts'
import { address, epoch, serverId, serverName, topicName } from '../../proto/ids.ts'

function configuration(mode: Configuration['mode'], size: number): Configuration {
  const members = Array.from({ length: size }, (_, at) => ({
    name: serverName(serverId(`s${at}`), `00000000-0000-4000-8000-00000000000${at}`),
    address: address(`host:${at + 1}`),
  }))
  return {
    topic: topicName('t'),
    epoch: epoch(1),
    service: 'multicast',
    mode,
    decider: defaultDecider(mode),
    members,
    membersMin: 1,
    order: 'fifo',
    floor: epoch(1),
    base: 0,
  }
}

describe('quorums', () => {
  it('meet: whatever an operation completed on is in every sufficient set of reports', () => {
    for (const mode of modes) {
      for (let size = 1; size <= 9; size++) {
        const one = configuration(mode, size)
        expect(operationQuorum(one) + reportsNeeded(one), `${mode} on ${size}`).toBeGreaterThan(size)
      }
    }
  })

  it('two majorities of acceptors meet', () => {
    for (let size = 1; size <= 9; size++) {
      expect(2 * acceptQuorum(configuration('fault-masking', size))).toBeGreaterThan(size)
    }
  })

  it('are those of the figures', () => {
    const fig4 = configuration('fault-recovery', 3)
    expect([operationQuorum(fig4), reportsNeeded(fig4), enabledQuorum(fig4)]).toEqual([3, 1, 3])
    const fig5 = configuration('fault-masking', 5)
    expect([operationQuorum(fig5), reportsNeeded(fig5), enabledQuorum(fig5)]).toEqual([3, 3, 3])
    const single = configuration('single', 1)
    expect([operationQuorum(single), reportsNeeded(single), enabledQuorum(single)]).toEqual([1, 1, 1])
  })

  it('tolerate F of F+1 and F of 2F+1', () => {
    expect(toleratedFailures('fault-recovery', 3)).toBe(2)
    expect(toleratedFailures('fault-masking', 5)).toBe(2)
    expect(toleratedFailures('single', 1)).toBe(0)
  })
})

describe('checkMembership', () => {
  it.each([
    ['single', ['a']],
    ['fault-recovery', ['a', 'b']],
    ['fault-masking', ['a', 'b', 'c']],
    ['fault-masking', ['a', 'b', 'c', 'd', 'e']],
  ] as const)('takes %s on %s', (mode, members) => {
    expect(() => checkMembership(mode, members)).not.toThrow()
  })

  it.each([
    ['single', ['a', 'b'], 'exactly 1'],
    ['fault-recovery', ['a'], 'at least 2'],
    ['fault-masking', ['a', 'b'], '3, 5, 7'],
    ['fault-masking', ['a', 'b', 'c', 'd'], '3, 5, 7'],
    ['fault-masking', ['a', 'b', 'a'], 'named twice'],
    ['fault-masking', [], '3, 5, 7'],
  ] as const)('refuses %s on %s', (mode, members, reason) => {
    expect(() => checkMembership(mode, members)).toThrow(reason)
  })
})
