// Goal: no frame, and no number of publishers, stops a server or a reader. Method: clusters in this process, and a stranger that
// says what no server and no client of ours would.
import { describe, expect, it } from 'vitest'
import { MemoryStore } from '../../broker/log/memory-store.ts'
import { Server } from '../../broker/server.ts'
import { connect, type Decision, text } from '../../client-sdk/index.ts'
import { address, clusterId, epoch, type PublisherId, serverId, serverName, topicName } from '../../proto/ids.ts'
import { emptySet } from '../../proto/message-set.ts'
import { MemoryNetwork } from '../../proto/transport/memory.ts'
import { messageBytes } from '../../proto/wire/codec.ts'
import { take } from '../client-sdk/collect.ts'
import { settled, until } from '../until.ts'
import { at, batchOf, bodyOf, createFilteredCluster, type FilteredCluster, type Stranger } from './filtered-cluster.ts'

const topic = topicName('t')
const abc = ['a', 'b', 'c']

/** Waits until servers have taken everything that was said to them: frames of one pair keep their order. */
async function heard(stranger: Stranger, servers: readonly string[]): Promise<void> {
  const conditions = () => stranger.answers.filter(({ kind }) => kind === 'condition').length
  const before = conditions()
  stranger.say(servers, { kind: 'inquire', topic, epoch: epoch(1) })
  await until(() => conditions() === before + servers.length, 'the servers answer')
}

async function withTopic(cluster: FilteredCluster) {
  const client = await cluster.connect()
  await client.admin.createTopic('t', { members: abc })
  const published = client.topic('t', { codec: text() })
  await published.publish('1')
  return { client, published }
}

describe('a batch', () => {
  it('of more messages than its body can hold is refused, and the topic goes on', async () => {
    await using cluster = await createFilteredCluster()
    const { client, published } = await withTopic(cluster)
    const stranger = cluster.stranger()
    const huge = (publisher: string) => batchOf(publisher, 1, Number.MAX_SAFE_INTEGER, bodyOf(1))
    for (const publisher of ['00000000000000bb', '00000000000000cc']) stranger.say(abc, huge(publisher))
    stranger.say(abc, batchOf('00000000000000dd', 1, 3, Buffer.from([2, 0, 65, 0])))
    await heard(stranger, abc)
    const refused = stranger.answers.map((answer) => (answer.kind === 'refused' ? answer.refusal : answer.kind))
    expect(refused.filter((answer) => answer !== 'condition')).toEqual(Array(9).fill('bad-batch'))
    await settled(client.admin.reconfigure('t').enabled, 'the change')
    expect((await published.publish('2', { timeoutMs: 60_000 })).epoch).toBe(2)
  })

  it('whose body is not messages stops no reader', async () => {
    await using cluster = await createFilteredCluster()
    const { published } = await withTopic(cluster)
    const stranger = cluster.stranger()
    const broken = batchOf('00000000000000aa', 1, 1, Buffer.from([255, 255]))
    stranger.say(abc, broken)
    await heard(stranger, abc)
    expect(stranger.answers.filter(({ kind }) => kind === 'stored')).toHaveLength(3)
    await published.publish('2')

    const { messages } = await published.get({ timeoutMs: 60_000 })
    const readable = messages.filter((message) => message.publisher !== broken.publisher)
    expect(readable.map((message) => message.value)).toEqual(['1', '2'])
    const [unreadable] = messages.filter((message) => message.publisher === broken.publisher)
    expect([unreadable?.isReadable, unreadable?.payload.length]).toEqual([false, 0])
    expect(() => unreadable?.value).toThrow(expect.objectContaining({ code: 'EC_BAD_MESSAGE' }))

    const stream = published.subscribe({ from: 'start' })
    const seen: string[] = []
    const reading = (async () => {
      for await (const message of stream) {
        seen.push(message.isReadable ? message.value : 'unreadable')
        if (seen.length === 3) return
      }
    })()
    await settled(reading, 'everything')
    expect(seen.toSorted()).toEqual(['1', '2', 'unreadable'])
    await published.publish('3')
    expect(await settled(take(published.subscribe({ from: stream.cursor }), 1), 'what comes next')).toEqual(['3'])
  })
})

describe('a decision', () => {
  it('from somebody who is not a server is ignored, under whatever name', async () => {
    await using cluster = await createFilteredCluster()
    const { client, published } = await withTopic(cluster)
    const [server] = await client.admin.servers()
    const next = { ...(await client.admin.topic('t')), epoch: epoch(2) }
    const forged: Decision = { changeId: 'forged', next, closing: emptySet }
    for (const name of ['stranger', String(server?.name)]) {
      const stranger = cluster.stranger(name)
      stranger.say(abc, { kind: 'decided', topic, epoch: epoch(1), decision: forged })
      await heard(stranger, abc)
    }
    const reader = (await cluster.connect()).topic('t', { codec: text() })
    const { messages } = await reader.get({ timeoutMs: 60_000 })
    expect(messages.map((message) => message.value)).toEqual(['1'])
    expect((await published.publish('2', { timeoutMs: 60_000 })).epoch).toBe(1)
  })

  it('is told page by page where a topic has many large ones', async () => {
    const count = 100
    const place = at('a')
    const storage = '00000000-0000-4000-8000-000000000001'
    const member = { name: serverName(serverId('a'), storage), address: place }
    const cluster = { id: clusterId('00000000-0000-4000-8000-0000000000cc'), arbiters: [member] }
    const log = new MemoryStore()
    await log.recover(() => {})
    log.append('protocol', messageBytes({ kind: 'join', cluster }))
    for (let ended = 0; ended < count; ended++) {
      const decision = largeDecision(ended, member)
      log.append('protocol', messageBytes({ kind: 'decided', topic, epoch: epoch(ended), decision }))
    }
    await log.flush()
    const network = new MemoryNetwork()
    const fatal: Error[] = []
    await using server = await Server.start({
      id: 'a',
      storage,
      store: log.reopen(),
      address: place,
      listen: async (handler) => network.attach(place, handler),
      onFatal: (error) => void fatal.push(error),
    })
    await using client = await connect(`epochcast://${place}`, {
      transport: (name, handler) => network.attach(address(`client:${name}`), handler),
    })
    const decisions = await client.admin.epochs('t', { timeoutMs: 60_000 }).catch(() => [])
    expect(fatal).toEqual([])
    expect(decisions.map(({ changeId }) => changeId)).toEqual(Array.from({ length: count }, (_, index) => `x${index}`))
    expect(server.cluster).toBe(cluster.id)
  })
})

describe('an epoch with many publishers', () => {
  it('is ended although the first try at that failed', async () => {
    await using cluster = await createFilteredCluster({ limits: { publishersMax: 8, planTicks: 20 } })
    const { admin } = await cluster.connect()
    const ab = ['a', 'b']
    await admin.createTopic('t', { members: ab, mode: 'fault-recovery' })
    cluster.network.cut(at('a'), at('b'))
    const stranger = cluster.stranger()
    for (let count = 1; count <= 6; count++) stranger.say(ab, batchOf(`${count}`.padStart(16, 'a'), 1, 1, bodyOf(1)))
    await heard(stranger, ab)
    // Asking for the same change tells how it goes.
    const template = { members: [], changeId: 'roll-1' }
    stranger.say(ab, { kind: 'reconfigure', topic, epoch: epoch(1), ...template })
    const refused = () => stranger.answers.filter(({ kind }) => kind === 'refused').length
    await until(() => refused() === 2, 'neither of the two could end the epoch')
    cluster.network.heal(at('a'), at('b'))
    await until(async () => (await admin.topic('t')).epoch === 2, 'the epoch is ended')
  })
})

/** The end of an epoch in which a thousand publishers took part. */
function largeDecision(ended: number, member: Decision['next']['members'][number]): Decision {
  const closing = new Map<PublisherId, { end: number; digest: number }>()
  for (let count = 0; ended > 0 && count < 1_000; count++) {
    const publisher = (ended * 1_000 + count).toString(16).padStart(16, 'a') as PublisherId
    closing.set(publisher, { end: 1, digest: 2 ** 51 + count })
  }
  return {
    changeId: `x${ended}`,
    next: {
      topic,
      epoch: epoch(ended + 1),
      service: 'multicast',
      mode: 'single',
      decider: 'engine',
      members: [member],
      membersMin: 1,
      order: 'fifo',
      floor: epoch(1),
      base: 0,
    },
    closing,
  }
}
