// Goal: a topic that nobody described is made as well as so many servers allow, in clusters of every size.
// Method: whole clusters in this process.
import { expect, it } from 'vitest'
import { newTopic } from '../../broker/config/config.ts'
import { createCluster } from '../../broker/index.ts'

it.each([
  [1, 'single', 1],
  [2, 'fault-recovery', 2],
  [3, 'fault-masking', 3],
  [4, 'fault-masking', 3],
] as const)('on %i servers it is %s', async (servers, mode, size) => {
  await using cluster = await createCluster({ servers })
  const client = await cluster.connect()
  const topic = client.topic('t')
  expect((await topic.publish(Buffer.from('x'))).status).toBe('durable')
  const configuration = await client.admin.topic('t')
  expect({ mode: configuration.mode, size: configuration.members.length }).toEqual({ mode, size })
  const servers_ = Array.from({ length: servers }, (_, at) => ({ id: `s${at}` }))
  expect(newTopic({ defaults: {}, servers: servers_ as never }, {})).toMatchObject({ mode, size })
})

it('still masks where a dead server leaves two of three', async () => {
  await using cluster = await createCluster({ servers: 3 })
  const client = await cluster.connect()
  await client.topic('before').publish(Buffer.from('x'))
  await cluster.kill('b')
  await cluster.restart('b')
  await client.topic('t').publish(Buffer.from('x'))
  expect((await client.admin.topic('t')).mode).toBe('fault-masking')
})
