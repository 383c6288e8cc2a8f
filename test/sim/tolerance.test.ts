/** Goal: what may be lost for good is known before it is lost, and where it cannot be, afterwards. Method: events by hand. */
import { expect, test } from 'vitest'
import type { ReconfigurationEvent } from '../../sim/check/history.ts'
import { Tolerance } from '../../sim/swarm/tolerance.ts'

function decided(epoch: number, mode: ReconfigurationEvent['mode'], members: readonly string[]): ReconfigurationEvent {
  const rc = `t/${epoch}`
  return {
    i: 0,
    kind: 'rc',
    at: 0,
    rc,
    topic: 't',
    epoch,
    change: rc,
    members,
    mode,
    decider: 'engine',
    floor: 1,
    closing: {},
  }
}

test('the only member of an epoch may not be lost once it is known that it will be one', () => {
  const tolerance = new Tolerance(['p', 'q', 'r'])
  tolerance.see(decided(1, 'single', ['b']))
  expect(tolerance.lose(['b'])).toBe(false)
  expect(tolerance.holds).toBe(true)
})

test('lost in the moment before, it was too much after all', () => {
  const tolerance = new Tolerance(['p', 'q', 'r'])
  expect(tolerance.lose(['b'])).toBe(true)
  expect(tolerance.holds).toBe(true)
  tolerance.see(decided(1, 'single', ['b']))
  expect(tolerance.holds).toBe(false)
})

test('in fault-recovery mode one member that is left is enough', () => {
  const tolerance = new Tolerance(['p', 'q', 'r'])
  expect(tolerance.lose(['b'])).toBe(true)
  tolerance.see(decided(1, 'fault-recovery', ['b', 'c']))
  expect(tolerance.holds).toBe(true)
})

test('a later epoch that has begun needs nobody of the earlier ones', () => {
  const tolerance = new Tolerance(['p', 'q', 'r'])
  expect(tolerance.lose(['b'])).toBe(true)
  tolerance.see(decided(1, 'single', ['b']))
  tolerance.see(decided(2, 'single', ['c']))
  tolerance.see({ i: 0, kind: 'started', at: 0, srv: 'c', topic: 't', epoch: 3, lsn: 0, rc: 't/2' })
  expect(tolerance.holds).toBe(true)
})
