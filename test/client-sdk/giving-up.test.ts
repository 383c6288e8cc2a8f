// Goal: giving up on the first use of a topic ends the making of the topic, too, so that "nothing will be sent" is true. Method: no
// server answers, or too few to make a topic; uses with a limit; then the servers come back, and the topic is looked for.
import { describe, expect, it } from 'vitest'
import { type Cluster, createCluster } from '../../broker/dev/cluster.ts'
import { type Client, json, type Topic } from '../../client-sdk/index.ts'
import { until } from '../until.ts'

type Texts = Topic<string>
const patienceMs = 100
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function read(stream: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of stream);
}

/** Uses of a topic that are given up after `patienceMs`. */
const uses: Readonly<Record<string, (topic: Texts, client: Client) => Promise<unknown>>> = {
  publish: (topic) => topic.publish('x', { timeoutMs: patienceMs }),
  'publish-aborted': (topic) => topic.publish('x', { signal: AbortSignal.timeout(patienceMs) }),
  'publish-many': (topic) => topic.publishMany(['x', 'y'], { timeoutMs: patienceMs }),
  get: (topic) => topic.get({ timeoutMs: patienceMs }),
  configuration: (topic) => topic.configuration({ create: true, timeoutMs: patienceMs }),
  subscribe: (topic) => read(topic.subscribe({ from: 'start', signal: AbortSignal.timeout(patienceMs) })),
  'subscribe-since': (topic) =>
    read(topic.subscribe({ from: { time: new Date(0) }, signal: AbortSignal.timeout(patienceMs) })),
  group: (topic) => read(topic.group('workers', { signal: AbortSignal.timeout(patienceMs) })),
  'group-left': async (topic) => {
    const stream = topic.group('workers')
    const reading = read(stream)
    await pause(patienceMs)
    await stream.return()
    await reading
  },
  request: (topic) => topic.request('x', { timeoutMs: patienceMs }),
  respond: async (topic) => {
    const responder = topic.respond(({ value }) => value)
    await pause(patienceMs)
    await responder.end()
  },
  made: (topic, client) => client.admin.createTopic(topic.name, { timeoutMs: patienceMs }),
}
const names = Object.keys(uses)

async function topicsAfter(cluster: Cluster, client: Client): Promise<string[]> {
  for (const id of cluster.servers) await cluster.restart(id)
  // The client is heard again, on the way by which it would make topics, and others find what there is.
  await client.topic('kept', { codec: json<string>() }).publish('y')
  await pause(1_500)
  const other = await cluster.connect()
  return (await other.admin.topics()).map(({ topic }) => topic).filter((topic) => topic !== 'kept')
}

async function giveUpAll(client: Client): Promise<void> {
  await Promise.all(
    names.map((name) => uses[name]?.(client.topic(name, { codec: json<string>() }), client).catch(() => {})),
  )
}

describe('what is given up before its topic is there', () => {
  it.each([['a'], ['a', 'b']])('leaves no topic behind where %s and others do not answer', async (...away) => {
    await using cluster = await createCluster({ servers: 3 })
    const client = await cluster.connect()
    await client.topic('kept', { codec: json<string>() }).publish('x')
    for (const id of cluster.servers) if (away.length === 1 || away.includes(id)) await cluster.kill(id)
    await giveUpAll(client)
    await until(async () => client.openCount === 0, 'nothing to be under way')
    // What a server was asked before is over there, too.
    await pause(1_500)
    expect(await topicsAfter(cluster, client)).toEqual([])
  })

  it('does not end what waits for the same topic', async () => {
    await using cluster = await createCluster({ servers: 3 })
    const client = await cluster.connect()
    for (const id of ['a', 'b', 'c']) await cluster.kill(id)
    const topic = client.topic('t', { codec: json<string>() })
    const waiting = topic.publish('stays')
    const looking = topic.get()
    const looked = looking.then(
      () => 'found',
      ({ code }) => code,
    )
    await expect(topic.publish('goes', { timeoutMs: patienceMs })).rejects.toMatchObject({ code: 'EC_TIMEOUT' })
    const alone = client.topic('alone', { codec: json<string>() })
    const got = alone.get().catch(({ code }) => code)
    await expect(alone.publish('goes', { timeoutMs: patienceMs })).rejects.toMatchObject({ code: 'EC_TIMEOUT' })
    for (const id of ['a', 'b', 'c']) await cluster.restart(id)
    expect(await waiting).toMatchObject({ status: 'durable' })
    expect(await looked).toBe('found')
    expect(await got).toBe('EC_UNKNOWN_TOPIC')
  })
})
