// Goal: the three levels of Get promise what they say. Method: a real cluster in this process with servers missing.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { text } from '../../client-sdk/index.ts'

const values = (result: { messages: readonly { value: string }[] }) => result.messages.map((message) => message.value)

describe('get', () => {
  it('linearizable: what completed before is in it, and what it returned is in every later one', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    await cluster.kill('b')
    await cluster.kill('c')
    await topic.publish('on a only', { timeoutMs: 50 }).catch(() => {})
    await cluster.restart('b')
    // The union of a and b holds it, so it is stored back before it is returned.
    const first = values(await topic.get())
    await cluster.kill('a')
    await cluster.restart('c')
    const second = values(await topic.get())
    for (const value of first) expect(second).toContain(value)
  })

  it('linearizable in fault-recovery mode waits for every member; durable does not', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    await client.admin.createTopic('t', { mode: 'fault-recovery', members: ['a', 'b'] })
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    await cluster.kill('b')
    await expect(topic.get({ timeoutMs: 100 })).rejects.toMatchObject({ code: 'EC_TIMEOUT' })
    expect(values(await topic.get({ level: 'durable' }))).toEqual(['1'])
  })

  it('durable never falls behind what this client was acknowledged', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    for (let at = 0; at < 20; at++) {
      await topic.publish(`${at}`)
      expect(values(await topic.get({ level: 'durable' }))).toHaveLength(at + 1)
    }
  })

  it('since a cursor leaves out what the caller has, across epochs', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    const { cursor } = await topic.get()
    await topic.publish('2')
    await client.admin.reconfigure('t', { members: ['b', 'c', 'd'] }).enabled
    await topic.publish('3')
    const rest = await topic.get({ since: cursor })
    expect(values(rest)).toEqual(['2', '3'])
    expect(values(await topic.get({ since: rest.cursor }))).toEqual([])
  })

  it('of a topic that may not be created fails by name', async () => {
    await using cluster = await createCluster({ defaults: { autoCreate: false, template: { members: [] } } })
    const client = await cluster.connect()
    await expect(client.topic('nowhere').get()).rejects.toMatchObject({ code: 'EC_UNKNOWN_TOPIC' })
    await expect(client.topic('nowhere').publish(Buffer.from('x'))).rejects.toMatchObject({ code: 'EC_UNKNOWN_TOPIC' })
    await client.admin.createTopic('nowhere', { mode: 'single' })
    await expect(client.topic('nowhere').publish(Buffer.from('x'))).resolves.toMatchObject({ status: 'durable' })
  })
})
