// Goal: while the engine that decides is down, publishing goes on and a change waits, says what for, and completes when the engine is
// back; a topic cannot be made meanwhile, and is when it is back. Method: a cluster in this process, with an engine in this process.
import { expect, it } from 'vitest'
import { createCluster } from '../../../broker/dev/cluster.ts'
import { MemoryRegisters } from '../../../broker/engines/memory.ts'
import { settled, until } from '../../until.ts'

it('publishes, waits, says so, and completes', async () => {
  const main = new MemoryRegisters()
  await using cluster = await createCluster({ servers: 4, engines: { main }, founding: 'main' })
  const client = await cluster.connect()
  const { decider } = await client.admin.createTopic('t', { mode: 'fault-recovery', members: ['a', 'b'] })
  expect(decider).toBe(`engine:main@${main.instance}`)
  const topic = client.topic('t')
  await topic.publish(Buffer.from('before'))

  main.isDown = true
  const heard: string[] = []
  const onProgress = ({ phase, detail }: { phase: string; detail: string }) => void heard.push(`${phase}: ${detail}`)
  const change = client.admin.reconfigure('t', { members: ['c', 'd'], timeoutMs: 60_000, onProgress })
  let isDecided = false
  void change.decided.then(() => {
    isDecided = true
  })
  await until(() => heard.some((line) => line.includes('it is down')), 'the change says what it waits for')
  expect(heard.at(-1)).toBe('plan: waits for engine main, which decides how epoch 1 ends: it is down')
  for (let at = 0; at < 20; at++) {
    const { epoch, status } = await settled(topic.publish(Buffer.from(`while ${at}`)), 'an acknowledgement')
    expect([epoch, status]).toEqual([1, 'durable'])
  }
  // What is made needs a decision too.
  const making = client.admin.createTopic('u', { mode: 'fault-masking', members: ['a', 'b', 'c'], timeoutMs: 60_000 })
  expect(isDecided).toBe(false)

  main.isDown = false
  const { configuration } = await settled(change.enabled, 'the change')
  expect(configuration.epoch).toBe(2)
  expect((await settled(making, 'the other topic')).epoch).toBe(1)
  const { messages } = await topic.get({ level: 'linearizable' })
  expect(messages.length).toBe(21)
  expect((await topic.publish(Buffer.from('after'))).epoch).toBe(2)
})

it('moves a topic from one engine to another, and to the members themselves', async () => {
  const [main, other] = [new MemoryRegisters(), new MemoryRegisters()]
  await using cluster = await createCluster({ servers: 3, engines: { main, other } })
  const client = await cluster.connect()
  const members = ['a', 'b', 'c']
  const made = await client.admin.createTopic('t', { mode: 'fault-masking', members, decider: 'engine:main' })
  expect(made.decider).toBe(`engine:main@${main.instance}`)
  const toOther = await client.admin.reconfigure('t', { decider: 'engine:other' }).enabled
  expect(toOther.configuration.decider).toBe(`engine:other@${other.instance}`)
  // From now on nobody asks the first one.
  main.isDown = true
  const kept = await client.admin.reconfigure('t').enabled
  expect(kept.configuration).toMatchObject({ epoch: 3, decider: `engine:other@${other.instance}` })
  const toStakes = await client.admin.reconfigure('t', { decider: 'stakes' }).enabled
  expect(toStakes.configuration.decider).toBe('stakes')
  await until(async () => {
    const told = await client.admin.engines()
    return told.every(({ engines }) => engines.find(({ id }) => id === 'main')?.ready === false)
  }, 'every server sees that it is down')
  const back = client.admin.reconfigure('t', { decider: 'engine:main' })
  await expect(settled(back.decided, 'a refusal')).rejects.toMatchObject({ code: 'EC_NO_DECIDER' })
  await expect(client.admin.reconfigure('t', { decider: 'engine:nobody' }).decided).rejects.toThrow('no engine nobody')
})
