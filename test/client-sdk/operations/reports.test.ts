// Goal: a subscriber whose members have fallen silent for good notices, and looks where the topic has gone.
import { describe, expect, it } from 'vitest'
import { MemberReports } from '../../../client-sdk/operations/reports.ts'
import type { ClientTimer } from '../../../client-sdk/timers.ts'
import type { Configuration } from '../../../proto/configuration.ts'
import { address, epoch, publisherId, serverId, serverName, topicName } from '../../../proto/ids.ts'
import { Timers } from '../../../proto/machine/timers.ts'

const names = ['a', 'b', 'c'].map((id) => serverName(serverId(id), '00000000-0000-4000-8000-000000000001'))
const configuration = {
  topic: topicName('t'),
  epoch: epoch(1),
  mode: 'fault-masking',
  members: names.map((name) => ({ name, address: address(name.slice(0, 1)) })),
} as unknown as Configuration
const stored = new Map([[publisherId('00000000000000aa'), { end: 1, digest: 0 }]])

describe('reports', () => {
  it('of no quorum for long enough: the subscriber is deaf, and hears of it again once they answer', () => {
    const timers = new Timers<ClientTimer>()
    let asked = 0
    let isDeaf = false
    const reports = new MemberReports(configuration, timers, {
      silent: () => asked++,
      deaf: () => {
        isDeaf = true
      },
    })
    /** Whether it was deaf at the end. */
    const pass = (ticks: number) => {
      for (let tick = 0; tick < ticks; tick++) {
        if (tick === ticks - 5) isDeaf = false
        timers.pass(timers.now + 1)
        timers.ring([])
      }
      return isDeaf
    }
    expect([pass(19), asked]).toEqual([false, 0])
    expect([pass(1), asked]).toEqual([false, 3])
    for (const name of names) reports.take(name, stored)
    expect([pass(1_000), asked]).toEqual([false, 3])
    for (const name of names.slice(1)) reports.silent(name)
    expect(pass(20)).toBe(false)
    expect(pass(1_000)).toBe(true)
    for (const name of names.slice(1)) reports.heard(name)
    expect(pass(10)).toBe(false)
    reports.stop()
    expect(timers.nextDue).toBe(null)
    reports.take(names[0] as (typeof names)[number], stored)
    expect(timers.nextDue).toBe(null)
  })
})
