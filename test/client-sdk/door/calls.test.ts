// Goal: no argument of any call reaches the machine unchecked: what makes no sense is refused at once, nothing is sent for it, and
// everything else that the client does goes on. Method: every public call with wrong values, in a cluster in this process.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Cluster, createCluster } from '../../../broker/index.ts'
import { type Client, json, type Topic, text } from '../../../client-sdk/index.ts'
import { codecs } from './values.ts'

let cluster: Cluster
let client: Client
let topic: Topic<Uint8Array>
const payload = Buffer.from('x')

beforeAll(async () => {
  cluster = await createCluster()
  client = await cluster.connect()
  topic = client.topic('t')
  await topic.publish(payload)
})

afterAll(() => cluster.close())

/** Each call rejects, or throws, as one of a bad argument. */
async function refuses(calls: readonly (() => unknown)[], code = 'EC_BAD_ARGUMENT'): Promise<void> {
  for (const call of calls) {
    const told = await (async () => call())().then(
      (value) => `gave ${JSON.stringify(value)}`,
      (error) => error,
    )
    expect(told, String(call)).toMatchObject({ name: 'EpochcastError', code })
  }
}

const any = (value: unknown) => value as never
/** A proxy that refuses to be looked at. */
function revoked(): object {
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  return proxy
}

/** An epoch may be ending meanwhile. */
const stored = { status: expect.stringMatching(/^(durable|included)$/) }

describe('every call', () => {
  it('that publishes refuses what is no value, no property and no option', async () => {
    const { messages } = await topic.get()
    await refuses([
      () => topic.publish(any('hello')),
      () => topic.publish(any(undefined)),
      () => topic.publishMany(any('abc')),
      () => topic.publishMany([payload, any('x')]),
      () => client.topic('t', { codec: json() }).publish(5n),
      () => client.topic('t', { codec: text() }).publishMany(['a', any(5)]),
      ...codecs.map((codec) => () => client.topic('t', { codec }).publish('x')),
      () => topic.publish(payload, any({ timeout: 5 })),
      () => topic.publish(payload, { timeoutMs: Number.NaN }),
      () => topic.publish(payload, { onEpochEnd: any('setle') }),
      () => topic.publish(payload, { key: any(5) }),
      () => topic.publish(payload, { headers: any(new Map([['a', 'b']])) }),
      () => topic.publish(payload, { headers: any('ab') }),
      () => topic.publish(payload, { headers: { a: any(5) } }),
      () => topic.publish(payload, { headers: { a: '\uD83D' } }),
      () => topic.request(payload, any({ onEpochEnd: 'settle' })),
      () => topic.request(payload, { timeoutMs: any('5s') }),
    ])
    expect((await topic.get()).messages).toHaveLength(messages.length)
  })

  it('that reads refuses what is no place, no order and no level', async () => {
    await refuses([
      () => topic.get({ level: any('fast') }),
      () => topic.get(any({ from: 'start' })),
      () => topic.subscribe({ from: 'strat' }),
      () => topic.subscribe({ from: { time: any('2020') } }),
      () => topic.subscribe({ from: any({ epoch: 1, time: 1 }) }),
      () => topic.subscribe({ order: any('totl') }),
      () => topic.subscribe(any({ event: true })),
      () => topic.views({ signal: any(5) }),
      () => topic.configuration({ create: any('yes') }),
      () => topic.outcome(any(5)),
      () => topic.outcome('0-00ff00ff00ff00ff-1'),
      () => topic.outcome('1-00ff00ff00ff00ff-1', { settle: any('yes') }),
      () => topic.flush({ timeoutMs: -1 }),
      () => topic.group('a b'),
      () => topic.group(any(['g'])),
      () => topic.group('g', { leaseMs: Number.POSITIVE_INFINITY }),
      () => topic.group('g', { deliveriesMax: 1, deadLetter: any(['a']) }),
      () => topic.respond(any(5)),
      () => topic.respond(() => payload, any({ ack: 'auto' })),
    ])
  })

  it('of a client refuses what is no topic, no pattern and no option', async () => {
    const other = await cluster.connect()
    await refuses([
      () => client.topic(any(['a'])),
      () => client.topic('a', any(json())),
      () => client.topic('a', { codec: any({}) }),
      () => client.subscribe(any(5)),
      () => client.subscribe('a.*', { from: any({ epoch: 1 }) }),
      () => client.subscribe('a.*', any({ events: true })),
      () => client.together([]),
      () => client.together([any('t')]),
      () => client.together(any(revoked())),
      () => client.together([any(revoked())]),
      () => client.together([other.topic('t')]),
      () => client.together([topic], { from: { strange: 'x' } }),
      () => client.flush(any({ timeout: 5 })),
      () => client.drain({ timeoutMs: Number.NaN }),
      () => cluster.connect({ messageBytesMax: -1 }),
      () => cluster.connect({ limits: any({ batch: 5 }) }),
      () => cluster.connect(any({ timout: 5 })),
    ])
  })

  it('of an operator refuses what is no word, no number and no server', async () => {
    const { admin } = client
    await refuses([
      () => admin.createTopic(any(['a'])),
      () => admin.createTopic('z', { mode: any('fault_masking') }),
      () => admin.createTopic('z', { order: any('fifoo') }),
      () => admin.createTopic('z', { decider: any('nobody') }),
      ...[-3, 0, 1.5, '3', 2 ** 53, 3n].map((size) => () => admin.createTopic('z', { size: any(size) })),
      () => admin.createTopic('z', { members: [any(null)] }),
      () => admin.createTopic('z', { members: [] }),
      () => admin.createTopic('z', { size: 3, members: ['a'] }),
      () => admin.createTopic('z', any({ member: ['a'] })),
      () => admin.reconfigure('t', { members: [any(null)] }).decided,
      () => admin.reconfigure('t', { expectEpoch: any('x') }).enabled,
      () => admin.reconfigure('t', { expectEpoch: 99 }).decided,
      () => admin.reconfigure('t', { changeId: 'x'.repeat(65) }).retirable,
      () => admin.reconfigure('t', { onProgress: any(5) }).decided,
      () => admin.topic(any(null)),
      () => admin.topics(any({ timeout: 5 })),
      () => admin.topicsAfter(any(5)),
      () => admin.servers({ timeoutMs: any('1') }),
      () => admin.replicas('t', { timeoutMs: -1 }),
      () => admin.engines(any([])),
      () => admin.inspection.condition('t', any(-1), any({})),
      () => admin.inspection.condition('t', any(1), any(null)),
      () => admin.inspection.message('t', any(null), any({}), new Map()),
      () => admin.inspection.message('t', any(revoked()), any({}), new Map()),
      () => admin.inspection.message('t', any({ epoch: 1 }), any({}), any(5)),
    ])
    await refuses([() => admin.createTopic('z', { members: ['a', 'a', 'b'] })], 'EC_IMPOSSIBLE_MEMBERSHIP')
    await refuses([() => admin.createTopic('z', { membersMin: 4 })], 'EC_IMPOSSIBLE_MEMBERSHIP')
    expect((await admin.topics()).map(({ topic: name }) => name as string)).not.toContain('z')
  })

  it('that was refused leaves the others as they were', async () => {
    expect(await topic.publish(payload)).toMatchObject({ status: 'durable' })
    expect(await topic.publish(payload, { timeoutMs: Number.POSITIVE_INFINITY })).toMatchObject({ status: 'durable' })
    expect(await topic.publish(payload, { timeoutMs: 2 ** 31 })).toMatchObject({ status: 'durable' })
  })

  it('that hears of progress ends alone where its listener throws', async () => {
    const onProgress = () => {
      throw new Error('mine')
    }
    await expect(client.admin.reconfigure('t', { onProgress }).enabled).rejects.toThrow('onProgress threw')
    expect(await topic.publish(payload)).toMatchObject(stored)
  })

  it('with a clock that has no date is refused, and goes on when it has one', async () => {
    let now: unknown = 9e15
    const odd = await cluster.connect({ clock: { nowMs: () => now as number } })
    for (now of [9e15, Number.NaN, -1, 'noon']) {
      await expect(odd.topic('t').publish(payload)).rejects.toMatchObject({ code: 'EC_BAD_ARGUMENT' })
      await expect(odd.topic('t').publishMany([payload, payload])).rejects.toThrow('the clock of this client')
    }
    now = 1_700_000_000_000.7
    expect(await odd.topic('t').publish(payload)).toMatchObject(stored)
    expect((await odd.flush()).durableCount).toBe(0)
    expect((await topic.get()).messages.at(-1)?.timeMs).toBe(1_700_000_000_000)
  })
})
