// Goal: a subscriber whose members have fallen silent for good notices, and looks where the topic has gone.
import { describe, expect, it } from 'vitest'
import { MemberReports } from '../../../client-sdk/operations/reports.ts'
import type { Configuration } from '../../../proto/configuration.ts'
import { address, epoch, publisherId, serverId, serverName, topicName } from '../../../proto/ids.ts'

const names = ['a', 'b', 'c'].map((id) => serverName(serverId(id), '00000000-0000-4000-8000-000000000001'))
const configuration = {
  topic: topicName('t'),
  epoch: epoch(1),
  mode: 'fault-masking',
  members: names.map((name) => ({ name, address: address(name.slice(0, 1)) })),
} as unknown as Configuration
const stored = new Map([[publisherId('00000000000000aa'), { end: 1, digest: 0 }]])

describe('reports', () => {
  it('of no quorum for long enough: the subscriber is deaf, although silent members are asked again and again', () => {
    const reports = new MemberReports(configuration)
    for (const name of names) reports.take(name, stored)
    let asked = 0
    const pass = (ticks: number) => {
      for (let tick = 0; tick < ticks; tick++) asked += reports.tick().length
    }
    pass(100)
    expect(reports.isDeaf).toBe(false)
    pass(100)
    expect([reports.isDeaf, asked]).toEqual([true, 3])
    pass(1_000)
    expect(reports.isDeaf).toBe(true)
    for (const name of names.slice(1)) reports.take(name, stored)
    pass(1)
    expect(reports.isDeaf).toBe(false)
  })
})
