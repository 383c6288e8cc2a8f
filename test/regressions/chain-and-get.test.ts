// Goal: a reader is told nothing that is not so: not that something is durable, not that an epoch was empty. Method: clusters in this
// process that lose chosen frames, so that one server, or one client, knows less than the others.
import { describe, expect, it } from 'vitest'
import { text } from '../../client-sdk/index.ts'
import { take } from '../client-sdk/collect.ts'
import { settled, until } from '../until.ts'
import { at, createFilteredCluster, type FilteredCluster, isClient } from './filtered-cluster.ts'

const values = (result: { messages: readonly { value: string }[] }) => result.messages.map((message) => message.value)

describe('what a reader was given of an epoch', () => {
  it('says nothing about the next one', async () => {
    await using cluster = await createFilteredCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const reader = (await cluster.connect()).topic('t', { codec: text() })
    // Bodies reach the reader, but nobody tells it that they are durable: the end of the epoch does.
    cluster.lose(({ to, message }) => isClient(to) && message.kind === 'report')
    let bodiesEnd = 0
    cluster.watch(({ to, message }) => {
      if (message.kind === 'batch' && isClient(to)) bodiesEnd = message.last
    })
    const reading = take(reader.subscribe({ from: 'start' }), 5)
    for (const value of ['1', '2', '3', '4', '5']) await topic.publish(value)
    await until(() => bodiesEnd === 5, 'the reader has all bodies')
    const admin = (await cluster.connect()).admin
    await admin.reconfigure('t').enabled
    expect(await settled(reading, 'the closing set')).toEqual(['1', '2', '3', '4', '5'])

    const { id, epoch } = await topic.publish('6')
    expect([epoch, id.split('-').at(-1)]).toEqual([2, '1'])
    const neverPublished = id.replace(/-1$/, '-4')
    expect(await reader.outcome(neverPublished, { timeoutMs: 3_000 })).toBe('pending')
    const got = await reader.get({ level: 'durable', timeoutMs: 60_000 })
    expect(values(got)).toEqual(['1', '2', '3', '4', '5', '6'])
  })
})

describe('a server with a hole in its chain', () => {
  /** Epoch 3 on f, d and e, where f knows that it was decided, but not what came before. */
  async function withHole(cluster: FilteredCluster) {
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await client.admin.createTopic('t', { members: ['a', 'b', 'c'] })
    for (const value of ['1', '2', '3']) await topic.publish(value)
    await client.admin.reconfigure('t').enabled
    await topic.publish('4')
    const hidden = ['decisions', 'pulled', 'batch']
    let isTold = false
    cluster.lose(({ to, message }) => {
      if (to === at('f') && message.kind === 'decided') isTold = true
      return to === at('f') && hidden.includes(message.kind)
    })
    const change = client.admin.reconfigure('t', { members: ['f', 'd', 'e'] })
    expect((await change.enabled).configuration.epoch).toBe(3)
    await topic.publish('5')
    await until(() => isTold, 'f knows the newest epoch')
    const asked = { isDone: false }
    // Whoever asks how epochs ended asks f first.
    cluster.lose(({ from, to, message }) => {
      if (message.kind !== 'chain' || !isClient(from)) return false
      if (to === at('f')) asked.isDone = true
      return !asked.isDone
    })
    return asked
  }

  it('makes no Get leave an epoch out', async () => {
    await using cluster = await createFilteredCluster({ servers: 6 })
    const asked = await withHole(cluster)
    const reader = (await cluster.connect()).topic('t', { codec: text() })
    expect(values(await reader.get({ timeoutMs: 60_000 }))).toEqual(['1', '2', '3', '4', '5'])
    expect(asked.isDone).toBe(true)
  })

  it('makes no subscription leave an epoch out', async () => {
    await using cluster = await createFilteredCluster({ servers: 6 })
    const asked = await withHole(cluster)
    const reader = (await cluster.connect()).topic('t', { codec: text() })
    const seen: string[] = []
    const stream = reader.subscribe({ from: 'start', events: true })
    const reading = (async () => {
      for await (const event of stream) {
        seen.push(event.type === 'message' ? event.message.value : event.type)
        if (seen.includes('5')) return
      }
    })()
    await settled(reading, 'the newest message')
    expect(seen).toEqual(['1', '2', '3', 'epoch', '4', 'epoch', '5'])
    expect(asked.isDone).toBe(true)
  })
})

describe('a linearizable get', () => {
  it('begins again when the only holder of something dies while it is stored back', async () => {
    await using cluster = await createFilteredCluster()
    const writer = await cluster.connect()
    const reader = (await cluster.connect()).topic('t', { codec: text() })
    await writer.admin.createTopic('t', { members: ['a', 'b', 'c'] })
    const topic = writer.topic('t', { codec: text() })
    await topic.publish('everywhere')
    // Its one copy is on b, and members do not tell each other what they hold.
    cluster.lose(({ message }) => message.kind === 'report')
    const onlyAtB = cluster.lose(({ to, message }) => message.kind === 'batch' && to !== at('b'))
    let isStored = false
    cluster.watch(({ from, message }) => {
      if (message.kind === 'stored' && from === at('b')) isStored = true
    })
    const lost = topic.publish('on b only').catch(() => {})
    await until(() => isStored, 'b has it')
    await writer.close()
    await lost
    onlyAtB()

    let isDead = false
    cluster.lose(({ from, message }) => {
      if (message.kind === 'complete' && !isDead) {
        isDead = true
        void cluster.kill('b')
      }
      // Until then c is slow, so that what b holds is what the Get is about.
      return message.kind === 'held' && from === at('c') && !isDead
    })
    expect(values(await reader.get({ timeoutMs: 60_000 }))).toEqual(['everywhere'])
    expect(isDead).toBe(true)
  })
})
