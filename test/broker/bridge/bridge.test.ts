// Goal: publishers and subscribers of NATS take part, with a durable acknowledgement where they ask for one; nothing goes round in
// circles, and what comes from a topic reaches NATS whatever breaks. Method: a real nats-server, a cluster in this process.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { headers } from '@nats-io/transport-node'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Bridge, type BridgeCounts, BridgePlan, PositionFile } from '../../../broker/bridge/bridge.ts'
import { type Cluster, createCluster } from '../../../broker/dev/cluster.ts'
import type { Client } from '../../../client-sdk/index.ts'
import { topicName } from '../../../proto/ids.ts'
import { type NatsConnection, openNats } from '../../../proto/transport/nats-link.ts'
import { describeNats, NatsServers } from '../../peers/nats-server.ts'

interface Running {
  readonly warnings: string[]
  stop(): Promise<BridgeCounts>
}

describeNats('a bridge to NATS', () => {
  let servers: NatsServers
  let cluster: Cluster
  let client: Client
  let folder: string
  const closers: (() => Promise<unknown>)[] = []

  beforeEach(async () => {
    servers = await NatsServers.start()
    cluster = await createCluster({ servers: 3 })
    client = await cluster.connect()
    folder = await mkdtemp(join(tmpdir(), 'epochcast-bridge-'))
  })

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
    await cluster.close()
    await servers.close()
    await rm(folder, { recursive: true })
  })

  const nats = async (): Promise<NatsConnection> => {
    const connection = await openNats({ servers: servers.addresses })
    closers.push(() => connection.close())
    return connection
  }

  const run = async (
    inward: [pattern: string, template: string] | null,
    outward: [topics: string[], template: string] | null,
    more: { from?: string; state?: string } = {},
  ): Promise<Running> => {
    const warnings: string[] = []
    const plan = new BridgePlan(
      inward === null ? null : { pattern: inward[0], template: inward[1] },
      outward === null ? null : { topics: outward[0].map(topicName), template: outward[1] },
    )
    const positions = more.state === undefined ? null : await PositionFile.open(more.state)
    const bridge = new Bridge({
      plan,
      client,
      nats: await nats(),
      from: more.from ?? 'start',
      positions,
      warn: (text) => warnings.push(text),
    })
    const ending = new AbortController()
    let counts: Promise<BridgeCounts> = Promise.reject(new Error('not started'))
    counts.catch(() => {})
    await new Promise<void>((resolve, reject) => {
      counts = bridge.run(ending.signal, resolve)
      counts.catch(reject)
    })
    const stop = (): Promise<BridgeCounts> => {
      ending.abort()
      return counts
    }
    closers.push(() => stop().catch(() => {}))
    return { warnings, stop }
  }

  const listen = async (subject: string) => {
    const connection = await nats()
    const texts: string[] = []
    const ids: string[] = []
    connection.subscribe(subject, {
      callback: (_error, message) => {
        texts.push(message.string())
        ids.push(message.headers?.get('Nats-Msg-Id') ?? '')
      },
    })
    await connection.flush()
    return { texts, ids }
  }

  const valuesOf = async (topic: string): Promise<string[]> => {
    const { messages } = await client.topic(topic).get({ level: 'linearizable' })
    return messages.map((message) => Buffer.from(message.payload).toString())
  }

  it('answers a request once the message is durable, with its id', async () => {
    await run(['orders.>', 'orders.{1}'], null)
    const publisher = await nats()
    const answer = (await publisher.request('orders.eu.de', 'tea', { timeout: 60_000 })).json<Record<string, unknown>>()
    expect(answer).toEqual({ id: expect.any(String), topic: 'orders.eu.de', epoch: 1, status: 'durable' })
    const { messages } = await client.topic('orders.eu.de').get()
    expect(messages.map((message) => [message.id, Buffer.from(message.payload).toString()])).toEqual([
      [answer.id, 'tea'],
    ])
  })

  it('carries headers, key and content type both ways', async () => {
    await run(['orders.>', 'orders.{1}'], null)
    const publisher = await nats()
    const about = headers()
    about.set('Trace', 'abc')
    about.set('Content-Type', 'text/plain')
    await publisher.request('orders.eu', 'tea', { timeout: 60_000, headers: about })
    const [message] = (await client.topic('orders.eu').get()).messages
    expect(message).toMatchObject({ headers: { Trace: 'abc' }, contentType: 'text/plain', key: undefined })
    const given: [string, string][] = []
    const subscriber = publisher.subscribe('out.>', {
      callback: (_error, { headers: told }) => {
        for (const name of told?.keys() ?? []) given.push([name, told?.get(name) ?? ''])
      },
    })
    await publisher.flush()
    await run(null, [['orders.fr'], 'out.{topic}'], {})
    await client.topic('orders.fr').publish(Buffer.from('cake'), { key: 'k', headers: { Trace: 'def' } })
    await expect.poll(() => given).toContainEqual(['Trace', 'def'])
    expect(given).toContainEqual(['Epochcast-Key', 'k'])
    subscriber.unsubscribe()
  })

  it('takes what nobody asks about as well, in order, and shares it among bridges that do the same', async () => {
    const both = [await run(['n.*', 'numbers'], null), await run(['n.*', 'numbers'], null)]
    const publisher = await nats()
    for (let index = 0; index < 2_000; index += 1) publisher.publish('n.x', `${index}`)
    await publisher.flush()
    await expect.poll(async () => (await valuesOf('numbers').catch(() => [])).length).toBe(2_000)
    expect(new Set(await valuesOf('numbers')).size).toBe(2_000)
    const counts = await Promise.all(both.map((one) => one.stop()))
    expect(counts.map(({ stored }) => stored).reduce((sum, one) => sum + one)).toBe(2_000)
    expect(Math.min(...counts.map(({ stored }) => stored))).toBeGreaterThan(0)
  })

  it('answers why a message is refused, and warns once of those that nobody asks about', async () => {
    const bridge = await run(['orders.*', 'orders.{1}'], null)
    const publisher = await nats()
    const answer = (await publisher.request('orders.é', 'x', { timeout: 60_000 })).json<Record<string, unknown>>()
    expect(answer).toEqual({ error: { code: 'EC_BAD_ARGUMENT', message: expect.any(String), retryable: false } })
    for (let round = 0; round < 3; round += 1) publisher.publish('orders.é', 'x')
    await publisher.flush()
    expect((await publisher.request('orders.good', 'x', { timeout: 60_000 })).json()).toMatchObject({
      status: 'durable',
    })
    expect(bridge.warnings).toHaveLength(1)
    expect(await bridge.stop()).toMatchObject({ stored: 1, refused: 4 })
  })

  it('takes nothing back that came from the same cluster', async () => {
    const bridge = await run(['in.>', 'in'], null)
    const publisher = await nats()
    const about = headers()
    about.set('Epochcast-Cluster', client.cluster)
    publisher.publish('in.a', 'echo', { headers: about })
    const other = headers()
    other.set('Epochcast-Cluster', 'another')
    publisher.publish('in.a', 'from another cluster', { headers: other })
    await publisher.flush()
    await expect.poll(() => valuesOf('in').catch(() => [])).toEqual(['from another cluster'])
    expect(await bridge.stop()).toMatchObject({ stored: 1, echoes: 1 })
  })

  it('sends a topic to a subject, with ids, and goes on from its file', async () => {
    const state = join(folder, 'position.json')
    const topic = client.topic('orders.eu')
    const out = await listen('out.>')
    const first = await topic.publish(Buffer.from('one'))
    const before = await run(null, [['orders.eu'], 'out.{topic}'], { state })
    await expect.poll(() => out.texts).toEqual(['one'])
    expect(out.ids).toEqual([first.id])
    expect(await before.stop()).toMatchObject({ sent: 1, cursors: { 'orders.eu': expect.any(String) } })
    await topic.publish(Buffer.from('two'))
    await client.admin.reconfigure('orders.eu', { mode: 'single', members: ['b'] }).enabled
    await topic.publish(Buffer.from('three'))
    await run(null, [['orders.eu'], 'out.{topic}'], { state })
    await expect.poll(() => out.texts).toEqual(['one', 'two', 'three'])
    await writeFile(join(folder, 'other.json'), '{"a":1}')
    await expect(PositionFile.open(join(folder, 'other.json'))).rejects.toMatchObject({ code: 'EC_BAD_ARGUMENT' })
  })

  it('loses nothing on the way out while NATS is killed again and again', async () => {
    const state = join(folder, 'position.json')
    const topic = client.topic('numbers')
    const out = await listen('out.numbers')
    const bridge = await run(null, [['numbers'], 'out.{topic}'], { state })
    let published = 0
    for (let round = 0; round < 4; round += 1) {
      const sending = (async () => {
        for (let index = 0; index < 400; index += 1) await topic.publish(Buffer.from(`${published++}`))
      })()
      await servers.kill('n1')
      await servers.restart('n1')
      await sending
    }
    // Who listens on NATS may itself miss what comes while it is away: the bridge's own count is what is compared.
    const again = async (): Promise<string | undefined> => {
      published++
      await topic.publish(Buffer.from('last'))
      return out.texts.at(-1)
    }
    await expect.poll(again).toBe('last')
    const { sent } = await bridge.stop()
    expect(sent).toBe(published)
    const kept = JSON.parse(await readFile(state, 'utf8')) as { positions: Record<string, string> }
    const { messages } = await topic.get({ since: kept.positions.numbers as string })
    expect(messages).toEqual([])
  })

  it('sends again what a broken connection may have swallowed, in its order', async () => {
    const topic = client.topic('numbers')
    const out = await listen('out.numbers')
    const connection = await nats()
    const bridge = new Bridge({
      plan: new BridgePlan(null, { topics: [topicName('numbers')], template: 'out.{topic}' }),
      client,
      nats: connection,
      from: 'start',
      positions: null,
      warn: () => {},
    })
    const ending = new AbortController()
    const running = bridge.run(ending.signal, () => {})
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(Array.from({ length: 200 }, (_, at) => topic.publish(Buffer.from(`${round * 200 + at}`))))
      // The bridge's own connection alone: whoever listens stays.
      await connection.reconnect()
    }
    await expect.poll(() => new Set(out.texts).size).toBe(1_000)
    ending.abort()
    expect((await running).sent).toBe(1_000)
    const firsts = [...new Set(out.texts)]
    expect(firsts).toEqual(Array.from({ length: 1_000 }, (_, at) => `${at}`))
  })
})
