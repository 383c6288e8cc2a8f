// Goal: publishers and subscribers of NATS take part, with a durable acknowledgement where they ask for one; nothing goes round in
// circles, and what comes from a topic reaches NATS whatever breaks. Method: a real nats-server, a cluster in this process.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { headers } from '@nats-io/transport-node'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Bridge, type BridgeCounts, BridgePlan, PositionFile } from '../../../broker/bridge/bridge.ts'
import { type Cluster, createCluster } from '../../../broker/dev/cluster.ts'
import type { Client } from '../../../client-sdk/index.ts'
import { topicName } from '../../../proto/ids.ts'
import { type NatsConnection, openNats } from '../../../proto/transport/nats-link.ts'
import type { NatsOptions } from '../../../proto/transport/nats-options.ts'
import { describeNats, NatsServers } from '../../peers/nats-server.ts'

interface Running {
  readonly warnings: string[]
  /** Ends by itself, with what it counted or why it stopped. */
  readonly ended: Promise<BridgeCounts>
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

  const nats = async (options: Partial<NatsOptions> = {}): Promise<NatsConnection> => {
    const connection = await openNats({ servers: servers.addresses, ...options })
    closers.push(() => connection.close())
    return connection
  }

  const run = async (
    inward: [pattern: string, template: string] | null,
    outward: [topics: string[], template: string] | null,
    more: { from?: string; state?: string; deadLetter?: string; options?: Partial<NatsOptions> } = {},
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
      nats: await nats(more.options),
      from: more.from ?? 'start',
      positions,
      ...(more.deadLetter !== undefined && { deadLetter: more.deadLetter }),
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
    return { warnings, ended: counts, stop }
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

  it('answers why a message is refused, and warns once of those that are asked about and once of those that are lost', async () => {
    const bridge = await run(['orders.*', 'orders.{1}'], null)
    const publisher = await nats()
    const answer = (await publisher.request('orders.é', 'x', { timeout: 60_000 })).json<Record<string, unknown>>()
    expect(answer).toEqual({ error: { code: 'EC_BAD_ARGUMENT', message: expect.any(String), retryable: false } })
    for (let round = 0; round < 3; round += 1) publisher.publish('orders.é', 'x')
    await publisher.flush()
    expect((await publisher.request('orders.good', 'x', { timeout: 60_000 })).json()).toMatchObject({
      status: 'durable',
    })
    expect(bridge.warnings).toHaveLength(2)
    expect(bridge.warnings.map((text) => text.includes('is lost'))).toEqual([false, true])
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

  describe('where NATS takes less than a topic does', () => {
    const payloadMax = 64 * 1024

    beforeEach(async () => {
      await servers.close()
      servers = await NatsServers.start({ config: `max_payload: ${payloadMax}` })
    })

    it.each([
      ['payload', Buffer.alloc(payloadMax + 1)],
      ['payload with its headers', Buffer.alloc(payloadMax - 1)],
    ])('stops before a message whose %s is too large, says what to do, and goes on there', async (_what, large) => {
      const state = join(folder, 'position.json')
      const topic = client.topic('t')
      const out = await listen('out.t')
      for (const payload of [Buffer.from('one'), large, Buffer.from('two')]) await topic.publish(payload)
      const bridge = await run(null, [['t'], 'out.{topic}'], { state })
      const stopped = { code: 'EC_MESSAGE_TOO_LARGE', retryable: false, hint: expect.stringContaining('max_payload') }
      await expect(bridge.ended).rejects.toMatchObject({
        ...stopped,
        message: expect.stringContaining(`${payloadMax}`),
      })
      expect(out.texts).toEqual(['one'])
      const again = await run(null, [['t'], 'out.{topic}'], { state })
      await expect(again.ended).rejects.toMatchObject(stopped)
      const last = await run(null, [['t'], 'out.{topic}'], { state, deadLetter: 'large' })
      await expect.poll(() => out.texts.at(-1)).toBe('two')
      expect(await last.stop()).toMatchObject({ aside: 1 })
      expect(new Set(out.texts)).toEqual(new Set(['one', 'two']))
      expect(last.warnings).toEqual([expect.stringContaining('put aside in large')])
    })

    it('puts aside each one with its properties, in whatever place, and its position passes them', async () => {
      const state = join(folder, 'position.json')
      const topic = client.topic('t')
      const out = await listen('out.t')
      const sizes = [payloadMax + 1, 1, payloadMax + 2, payloadMax + 3, 2, 3]
      const sent = sizes.map((size) => topic.publish(Buffer.alloc(size), { key: `${size}`, headers: { a: 'b' } }))
      const [first] = await Promise.all(sent)
      const bridge = await run(null, [['t'], 'out.{topic}'], { state, deadLetter: 'large' })
      await expect.poll(() => out.texts.map((text) => text.length)).toEqual([1, 2, 3])
      await expect.poll(async () => (await valuesOf('large')).length).toBe(3)
      await expect.poll(async () => (await readFile(state, 'utf8')).length).toBeGreaterThan(0)
      const { sent: count, aside, cursors } = await bridge.stop()
      expect([count, aside]).toEqual([3, 3])
      expect((await topic.get({ since: cursors.t as string })).messages).toEqual([])
      const { messages } = await client.topic('large').get({ level: 'linearizable' })
      expect(messages.map((message) => [message.payload.length, message.key])).toEqual(
        [1, 2, 3].map((more) => [payloadMax + more, `${payloadMax + more}`]),
      )
      expect(messages[0]?.headers).toMatchObject({
        a: 'b',
        'dead-letter-topic': 't',
        'dead-letter-of': first?.id,
        'dead-letter-reason': expect.stringContaining('larger than'),
      })
    })

    it('refuses a dead letter topic that would be given its own messages', async () => {
      await client.topic('t').publish(Buffer.from('x'))
      await expect(run(null, [['t'], 'out.{topic}'], { deadLetter: 't' })).rejects.toMatchObject({
        code: 'EC_BAD_ARGUMENT',
      })
    })
  })

  it('stops where NATS refuses the subject, and its position stays before what was refused', async () => {
    await servers.close()
    const permissions = '{ publish: { deny: ["out.>"] } }'
    servers = await NatsServers.start({
      config: `authorization { users: [{ user: u, password: p, permissions: ${permissions} }] }`,
    })
    const state = join(folder, 'position.json')
    await client.topic('t').publish(Buffer.from('x'))
    const bridge = await run(null, [['t'], 'out.{topic}'], { state, options: { user: 'u', password: 'p' } })
    const why = {
      code: 'EC_BAD_ARGUMENT',
      message: expect.stringContaining('does not let the bridge publish to out.t'),
    }
    await expect(bridge.ended).rejects.toMatchObject(why)
    expect((await PositionFile.open(state)).of(topicName('t'))).toBeUndefined()
  })

  it('answers and counts what is larger than a topic takes, headers included', async () => {
    await servers.close()
    servers = await NatsServers.start({ config: 'max_payload: 4MB' })
    const bridge = await run(['in.>', 'in'], null)
    const publisher = await nats()
    const about = headers()
    about.set('Trace', 'abc')
    const sizes = [1024 * 1024, 1024 * 1024, 1024 * 1024 + 1, 3 * 1024 * 1024]
    const answers: unknown[] = []
    for (const [at, size] of sizes.entries()) {
      const options = { timeout: 60_000, ...(at === 1 && { headers: about }) }
      answers.push((await publisher.request('in.x', Buffer.alloc(size), options)).json())
    }
    const refused = { error: { code: 'EC_MESSAGE_TOO_LARGE', message: expect.any(String), retryable: false } }
    expect(answers).toEqual([expect.objectContaining({ status: 'durable' }), refused, refused, refused])
    publisher.publish('in.x', Buffer.alloc(2 * 1024 * 1024))
    expect((await publisher.request('in.x', 'x', { timeout: 60_000 })).json()).toMatchObject({ status: 'durable' })
    expect(bridge.warnings).toEqual([
      expect.stringContaining('max_payload'),
      expect.stringMatching(/the message is lost.*max_payload/),
    ])
    expect(await bridge.stop()).toMatchObject({ stored: 2, refused: 4 })
  })
})
