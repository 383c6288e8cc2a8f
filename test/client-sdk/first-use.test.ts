// Goal: what fault-masking masks later it masks for the first use, too, of topics, groups and requests; what takes every server is
// refused, may be tried again and says whom it misses. Method: each of three servers in its turn goes before the client came, or in
// the moment of its calls.
import { describe, expect, it } from 'vitest'
import { type Cluster, createCluster } from '../../broker/dev/cluster.ts'
import { type Client, json, type Topic } from '../../client-sdk/index.ts'
import { until } from '../until.ts'

type Texts = Topic<string>

async function firstOf(stream: AsyncIterable<{ readonly value: string }>): Promise<string> {
  for await (const { value } of stream) return value
  throw new Error('the stream ended')
}

/** First uses of one topic each, new unless its name begins with "used"; each resolves with "x" that was published there. */
const firstUses: Readonly<Record<string, (topic: Texts, client: Client) => Promise<string>>> = {
  published: async (topic) => {
    await topic.publish('x')
    return 'x'
  },
  'published-many': async (topic) => {
    for (const result of await topic.publishMany(['x', 'y'])) expect(result).toMatchObject({ status: 'durable' })
    return 'x'
  },
  subscribed: async (topic) => {
    const given = firstOf(topic.subscribe({ from: 'start' }))
    await topic.publish('x')
    return given
  },
  grouped: async (topic) => {
    const given = firstOf(topic.group('workers', { from: 'start' }))
    await topic.publish('x')
    return given
  },
  'grouped-with-dead-letters': async (topic) => {
    const given = firstOf(topic.group('workers', { from: 'start', deliveriesMax: 2, deadLetter: `${topic.name}.dead` }))
    await topic.publish('x')
    return given
  },
  'used-by-a-group': (topic) => firstOf(topic.group('workers', { from: 'start' })),
  requested: async (topic) => {
    topic.respond(({ value }) => value)
    return (await topic.request('x')).value
  },
  'used-by-requests': async (topic) => {
    topic.respond(({ value }) => value)
    return (await topic.request('x')).value
  },
  made: async (topic, client) => {
    await client.admin.createTopic(topic.name, { mode: 'fault-masking', order: 'total' })
    await topic.publish('x')
    return 'x'
  },
  'made-of-named': async (topic, client) => {
    await client.admin.createTopic(topic.name, { mode: 'fault-masking', members: ['a', 'b', 'c'] })
    await topic.publish('x')
    return 'x'
  },
}

const names = Object.keys(firstUses)

async function inUse(): Promise<Cluster> {
  const cluster = await createCluster({ servers: 3 })
  const client = await cluster.connect()
  for (const name of names.filter((one) => one.startsWith('used'))) {
    await client.topic(name, { codec: json<string>() }).publish('x')
  }
  await client.close()
  return cluster
}

async function useAll(client: Client): Promise<void> {
  const used = names.map((name) => firstUses[name]?.(client.topic(name, { codec: json<string>() }), client))
  expect(await Promise.all(used)).toEqual(names.map(() => 'x'))
}

describe.each(['a', 'b', 'c'])('the first use without %s', (away) => {
  it('works where it was gone before the client came', async () => {
    await using cluster = await inUse()
    await cluster.kill(away)
    await useAll(await cluster.connect())
  })

  it.each([0, 2, 6])('works where it goes just then, %i turns later', async (turns) => {
    await using cluster = await inUse()
    const used = useAll(await cluster.connect())
    used.catch(() => {})
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
    await cluster.kill(away)
    await used
  })
})

describe('the first group, request and topic beside one that takes every server', () => {
  it('may be tried again, and says which server is missing', async () => {
    await using cluster = await createCluster({ servers: 3 })
    const client = await cluster.connect()
    await client.admin.createTopic('both', { mode: 'fault-recovery', members: ['b', 'c'], membersMin: 2 })
    // No spare takes the place of c.
    for (const id of ['a', 'c']) await cluster.kill(id)
    await cluster.restart('a')
    const isMissed = async () => (await client.admin.servers()).some(({ id, alive }) => id === 'c' && !alive)
    await until(isMissed, 'c to be missed')
    const missing = { code: 'EC_UNAVAILABLE', retryable: true, message: expect.stringContaining('c does not answer') }
    const topic = client.topic('both', { codec: json<string>() })
    await expect(firstOf(topic.group('workers', { from: 'start' }))).rejects.toMatchObject(missing)
    await expect(topic.request('x', { timeoutMs: 10_000 })).rejects.toMatchObject(missing)
  })
})
