// Goal: what users see of orders, early delivery, flush and views. Method: real clusters in this process; streams are read until
// something has come, never for a time.
import { describe, expect, it } from 'vitest'
import { type Cluster, createCluster } from '../../broker/dev/cluster.ts'
import { type EventStream, type Message, text } from '../../client-sdk/index.ts'
import { describeEvent, readUntil } from './collect.ts'

async function order(cluster: Cluster, topic: string, wanted: 'causal' | 'total'): Promise<void> {
  const admin = await cluster.connect()
  await admin.admin.createTopic(topic, { order: wanted })
}

/** Reads events until so many messages have come. */
async function messages(stream: EventStream<string>, count: number): Promise<Message<string>[]> {
  const seen: Message<string>[] = []
  for await (const event of stream) {
    if (event.type === 'message') seen.push(event.message)
    if (seen.length >= count) break
  }
  return seen
}

describe('orders', () => {
  it('gives every subscriber of a total topic one sequence with positions, over changes and from any cursor', async () => {
    await using cluster = await createCluster({ servers: 4 })
    await order(cluster, 'ledger', 'total')
    const clients = await Promise.all([cluster.connect(), cluster.connect(), cluster.connect()])
    const topics = clients.map((client) => client.topic('ledger', { codec: text() }))
    const [first, second] = topics.map((topic) => topic.subscribe({ from: 'start', order: 'total', events: true }))
    const total = 60
    const reading = [messages(first as EventStream<string>, total), messages(second as EventStream<string>, total)]
    const publishing = topics.map(async (topic, who) => {
      for (let number = 0; number < total / 3; number++) await topic.publish(`${who} ${number}`)
    })
    await clients[0]?.admin.reconfigure('ledger', { members: ['b', 'c', 'd'], expectEpoch: 'any' }).enabled
    await Promise.all(publishing)
    const [one = [], other = []] = await Promise.all(reading)
    expect(one.map(({ position }) => position)).toEqual(Array.from({ length: total }, (_, at) => at + 1))
    expect(one.map(({ id }) => id)).toEqual(other.map(({ id }) => id))
    for (const count of [1, 20, 59]) {
      const stream = topics[0]?.subscribe({ from: 'start', order: 'total', events: true }) as EventStream<string>
      await messages(stream, count)
      const rest = topics[1]?.subscribe({ from: stream.cursor, order: 'total', events: true }) as EventStream<string>
      expect((await messages(rest, total - count)).map(({ id }) => id)).toEqual(one.slice(count).map(({ id }) => id))
    }
  })

  it('goes on with another sequencer when its server dies', async () => {
    await using cluster = await createCluster()
    await order(cluster, 'ledger', 'total')
    const client = await cluster.connect()
    const topic = client.topic('ledger', { codec: text() })
    const stream = topic.subscribe({ from: 'start', order: 'total', events: true })
    await topic.publish('a')
    const { sequencer } = await topic.configuration()
    await cluster.kill(sequencer?.slice(0, 1) ?? '')
    await topic.publish('b')
    expect(await readUntil(stream, (seen) => seen.includes('b'))).toContain('b')
    const after = await topic.configuration()
    expect(after.epoch).toBe(2)
    expect(after.sequencer).not.toBe(sequencer)
  })

  it('refuses an order that the topic does not offer, and one that makes no sense', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('a')
    await expect(topic.subscribe({ order: 'total' }).next()).rejects.toMatchObject({ code: 'EC_ORDER_NOT_OFFERED' })
    await expect(client.together([topic]).next()).rejects.toMatchObject({ code: 'EC_ORDER_NOT_OFFERED' })
    expect(() => topic.subscribe({ order: 'total', durability: 'early' })).toThrow('durable')
    expect(() => topic.subscribe({ durability: 'soon' as 'early' })).toThrow('durability')
    expect(() => client.together([topic, topic])).toThrow('once')
    await client.admin.reconfigure('t', { order: 'total' }).enabled
    const stream = topic.subscribe({ from: 'start', order: 'total', events: true })
    expect((await messages(stream, 1))[0]?.position).toBe(1)
  })

  it('reads two topics as one causal stream', async () => {
    await using cluster = await createCluster()
    await order(cluster, 'questions', 'causal')
    await order(cluster, 'answers', 'causal')
    const [asker, helper, reader] = await Promise.all([cluster.connect(), cluster.connect(), cluster.connect()])
    const questions = helper.topic('questions', { codec: text() })
    const answering = (async () => {
      for await (const question of questions.subscribe({ from: 'start', order: 'causal' })) {
        await helper.topic('answers', { codec: text() }).publish(`re: ${question.value}`)
        if (question.value === 'q9') break
      }
    })()
    const stream = reader.together(
      ['answers', 'questions'].map((name) => reader.topic(name, { codec: text() })),
      { from: 'start' },
    )
    for (let number = 0; number < 10; number++) await asker.topic('questions', { codec: text() }).publish(`q${number}`)
    await answering
    const seen: string[] = []
    for await (const event of stream) {
      if (event.type === 'message') seen.push(event.message.value)
      if (seen.length === 20) break
    }
    for (let number = 0; number < 10; number++)
      expect(seen.indexOf(`q${number}`)).toBeLessThan(seen.indexOf(`re: q${number}`))
    expect(Object.keys(stream.cursors).sort()).toEqual(['answers', 'questions'])
  })

  it('gives early, confirms, and does not move the cursor before', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('before')
    const stream = topic.subscribe({ from: 'start', durability: 'early', events: true })
    await messages(topic.subscribe({ from: 'start', events: true }), 1)
    void topic.publish('a')
    const seen: string[] = []
    for await (const event of stream) {
      seen.push(event.type === 'message' ? `${event.message.value} ${event.message.isEarly}` : event.type)
      if (
        seen.filter((one) => one.startsWith('a')).length > 0 &&
        (seen.at(-1) === 'confirmed' || seen.at(-1) === 'a false')
      )
        break
    }
    const behind = topic.subscribe({ from: stream.cursor, events: true })
    await topic.publish('b')
    expect((await messages(behind, 1))[0]?.value).toBe('b')
  })

  it('flush says what became durable and what was dropped, over the end of an epoch', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('first')
    expect(await client.flush()).toEqual({ durableCount: 0, dropped: [] })
    const publishing = ['a', 'b', 'c'].map((value) => topic.publish(value))
    const change = client.admin.reconfigure('t', { members: ['b', 'c', 'd'] })
    expect(await topic.flush()).toEqual({ durableCount: 3, dropped: [] })
    await Promise.all(publishing)
    await change.enabled
    expect(await client.topic('other').flush()).toEqual({ durableCount: 0, dropped: [] })
  })

  it('says in views who came and went, what the epoch held and how long its end took', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('a')
    const views = topic.views()
    const first = (await views.next()).value
    expect(first).toMatchObject({ epoch: 1, closing: null, times: null })
    const members = first?.configuration.members.map(({ name }) => name.slice(0, 1)) ?? []
    const spare = cluster.servers.find((id) => !members.includes(id)) ?? ''
    await client.admin.reconfigure('t', { members: [...members.slice(1), spare], order: 'causal' }).enabled
    const second = (await views.next()).value
    expect(second).toMatchObject({ epoch: 2, joined: [spare], left: [members[0]], closing: { count: 1 } })
    expect(second?.configuration.order).toBe('causal')
    expect(second?.times?.wedgeMs).toBeGreaterThanOrEqual(0)
  })

  it('two subscribers of different orders were given the same when they pass an epoch', async () => {
    await using cluster = await createCluster()
    await order(cluster, 't', 'total')
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    const isDone = (seen: readonly string[]) => seen.some((one) => one.startsWith('end'))
    const streams = (['fifo', 'causal', 'total'] as const).map((wanted) =>
      readUntil(topic.subscribe({ from: 'start', order: wanted, events: true }), isDone),
    )
    await topic.publishMany(Array.from({ length: 30 }, (_, at) => `${at}`))
    await client.admin.reconfigure('t').enabled
    const [fifo = [], causal = [], total = []] = await Promise.all(streams)
    expect([...causal].sort()).toEqual([...fifo].sort())
    expect([...total].sort()).toEqual([...fifo].sort())
    expect(fifo).toContain('end of epoch 1 (30)')
    expect(describeEvent({ type: 'gap', from: 1 as never, to: 2 as never })).toBe('gap 1-2')
  })
})
