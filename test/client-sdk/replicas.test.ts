// Goal: while a decided epoch has not begun, its members are shown as starting, and those before them as needed; afterwards neither.
// Method: a cluster whose frames with decisions are lost on their way to the next members.
import { describe, expect, it } from 'vitest'
import { healthOf } from '../../broker/cli/health.ts'
import { text } from '../../client-sdk/index.ts'
import { at, createFilteredCluster } from '../regressions/filtered-cluster.ts'
import { until } from '../until.ts'

describe('replicas', () => {
  it('of an epoch that is decided and has not begun are starting, and the ones before have to stay up', async () => {
    await using cluster = await createFilteredCluster({ servers: 5 })
    const client = await cluster.connect()
    const { admin } = client
    await admin.createTopic('t', { members: ['a', 'b'], mode: 'fault-recovery' })
    await client.topic('t', { codec: text() }).publish('1')
    const next = [at('c'), at('d')]
    const heard = cluster.lose(({ to, message }) => next.includes(to) && message.kind === 'decided')
    const change = admin.reconfigure('t', { members: ['c', 'd'], timeoutMs: 20_000 })
    await change.decided
    const shown = async () =>
      (await admin.replicas('t')).map(({ server, phase, isOld }) => `${server} ${phase} ${isOld}`)
    expect(await shown()).toEqual(['c starting false', 'd starting false', 'a closed true', 'b closed true'])
    const health = healthOf(await admin.topic('t'), await admin.replicas('t'), await admin.servers())
    expect(health.state).toBe('starting')
    expect(health.needed).toEqual(['a', 'b'])
    expect(health.text).toMatch(/epoch 2 is decided.*c, d are starting; a, b have to stay up until then/)
    heard()
    await change.enabled
    await until(async () => (await shown()).join() === 'c open false,d open false', 'the new ones alone are shown')
  })
})
