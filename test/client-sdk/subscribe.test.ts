// Goal: subscribers are given durable messages, each once, and agree on what came before each change. Method: a real cluster in
// this process; streams are read until something has come, never for a time.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { text } from '../../client-sdk/index.ts'
import { readUntil, take } from './collect.ts'
import { stored } from './stored.ts'

describe('subscribe', () => {
  it('gives everything from the start, or what comes from now on', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('old')
    const fromNow = topic.subscribe()
    const reading = take(fromNow, 1)
    // `new` begins when a quorum has told what it holds: whatever is published until it delivers comes in order.
    let published = 0
    let isOver = false
    void reading.then(() => {
      isOver = true
    })
    while (!isOver) await topic.publish(`new ${published++}`)
    expect((await reading)[0]).toMatch(/^new /)
    expect(await take(topic.subscribe({ from: 'start' }), 2)).toEqual(['old', 'new 0'])
  })

  it('puts one epoch event between the last message of an epoch and the first of the next, the same for all', async () => {
    await using cluster = await createCluster({ servers: 6 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    const isDone = (seen: readonly string[]) => seen.includes('3')
    const early = readUntil(topic.subscribe({ from: 'start', events: true }), isDone)
    await topic.publish('2')
    const change = await client.admin.reconfigure('t', { members: ['d', 'e', 'f'] }).enabled
    expect(change.configuration.epoch).toBe(2)
    await topic.publish('3')
    const other = (await cluster.connect()).topic('t', { codec: text() })
    const late = readUntil(other.subscribe({ from: 'start', events: true }), isDone)
    expect(await early).toEqual(['1', '2', 'end of epoch 1 (2)', '3'])
    expect(await late).toEqual(await early)
  })

  it('goes on behind a cursor, in the same epoch, in a later one, and after a restart of every server', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    for (const value of ['1', '2', '3']) await topic.publish(value)
    const first = topic.subscribe({ from: 'start' })
    expect(await take(first, 2)).toEqual(['1', '2'])
    const { cursor } = first
    expect(await take(topic.subscribe({ from: cursor }), 1)).toEqual(['3'])
    await client.admin.reconfigure('t', { members: ['b', 'c', 'd'] }).enabled
    await topic.publish('4')
    for (const id of cluster.servers) await cluster.kill(id)
    for (const id of cluster.servers) await cluster.restart(id)
    const later = (await cluster.connect()).topic('t', { codec: text() })
    expect(await take(later.subscribe({ from: cursor }), 2)).toEqual(['3', '4'])
  })

  it('resumes by itself when the server that sends the bodies dies', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const reader = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('0')
    const total = 40
    const reading = take(reader.topic('t', { codec: text() }).subscribe({ from: 'start' }), total)
    for (let at = 1; at < total; at++) {
      if (at % 10 === 5) await cluster.kill(['a', 'b', 'c'][Math.floor(at / 10) % 3] ?? 'a')
      await topic.publish(`${at}`)
      if (at % 10 === 9) await cluster.restart(['a', 'b', 'c'][Math.floor(at / 10) % 3] ?? 'a')
    }
    expect(await reading).toEqual(Array.from({ length: total }, (_, at) => `${at}`))
  })

  it('gives out nothing that only a minority holds', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('durable')
    await cluster.kill('b')
    await cluster.kill('c')
    const seen: string[] = []
    const stream = topic.subscribe({ from: 'start' })
    const reading = (async () => {
      for await (const message of stream) seen.push(message.value)
    })()
    const caller = new AbortController()
    const lonely = topic.publish('on a only', { signal: caller.signal })
    lonely.catch(() => {})
    await stored(client, 't', 'a', 2)
    caller.abort()
    await expect(lonely).rejects.toMatchObject({ code: 'EC_OUTCOME_UNKNOWN' })
    const early = await topic.get({ level: 'early' })
    expect(early.messages.map((message) => message.value)).toContain('on a only')
    expect(seen).toEqual([])
    await cluster.restart('b')
    await topic.publish('later')
    await take(topic.subscribe({ from: 'start' }), 3)
    await client.close()
    await reading
    expect(seen.slice(0, 1)).toEqual(['durable'])
  })

  it('paces its server: a reader that stops holds back nobody else', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t')
    const payload = Buffer.alloc(50_000, 1)
    await topic.publish(payload)
    const lazy = topic.subscribe({ from: 'start' })
    await lazy.next()
    const count = 100
    for (let at = 0; at < count; at++) await topic.publish(payload)
    let rest = 0
    for await (const message of lazy) {
      expect(message.payload.length).toBe(payload.length)
      if (++rest === count) break
    }
    expect(rest).toBe(count)
  })

  it('shows memberships as they follow each other', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    await client.admin.createTopic('t', { members: ['a', 'b', 'c'] })
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    const views: string[] = []
    const watching = (async () => {
      for await (const view of topic.views()) {
        views.push(`${view.epoch} +${view.joined.join('')} -${view.left.join('')} ${view.closing?.count ?? ''}`)
        if (view.epoch === 3) break
      }
    })()
    await topic.configuration()
    await client.admin.reconfigure('t', { members: ['b', 'c', 'd'] }).enabled
    await client.admin.reconfigure('t', { mode: 'single', members: ['d'] }).enabled
    await watching
    expect(views).toEqual(['1 +abc - ', '2 +d -a 1', '3 + -bc 0'])
  })

  it('ends with its client, its signal or its loop, and refuses what makes no sense', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    const abort = new AbortController()
    const stream = topic.subscribe({ from: 'start', signal: abort.signal })
    expect((await stream.next()).value?.value).toBe('1')
    abort.abort()
    expect((await stream.next()).done).toBe(true)
    expect(() => topic.subscribe({ from: 'nonsense' })).toThrow('cursor')
    expect(() => topic.subscribe({ order: 'best' as 'fifo' })).toThrow('order')
    const open = topic.subscribe()
    await client.close()
    expect((await open.next()).done).toBe(true)
  })
})
