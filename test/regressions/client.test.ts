// Goal: everything that a client promised ends: when it closes, while others go on publishing, and for each of several readers.
// Method: clusters in this process; what must not hang is bounded, and acknowledgements are lost where an outcome has to stay open.
import { describe, expect, it } from 'vitest'
import { type EpochEvent, text } from '../../client-sdk/index.ts'
import { settled, until } from '../until.ts'
import { createFilteredCluster, isClient } from './filtered-cluster.ts'

const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'done',
    (error: unknown) => (error as { code?: string }).code,
  )

describe('a client', () => {
  it('ends whatever is pending when it closes', async () => {
    await using cluster = await createFilteredCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    await cluster.kill('a')
    await cluster.kill('b')
    const asked = new Set<string>()
    cluster.watch(({ from, message }) => {
      if (isClient(from)) asked.add(message.kind)
    })
    const get = codeOf(topic.get())
    const change = client.admin.reconfigure('t')
    const decided = codeOf(change.decided)
    const retirable = codeOf(change.retirable)
    const views = (async () => {
      for await (const view of topic.views()) if (view.epoch > 1) return 'another'
      return 'ended'
    })()
    await until(() => asked.has('collect') && asked.has('reconfigure'), 'everything is under way')
    await client.close()
    const ends = await settled(Promise.all([get, decided, retirable, views]), 'the ends')
    expect(ends).toEqual(['EC_CLOSED', 'EC_CLOSED', 'EC_CLOSED', 'ended'])
  })

  it('is told that it made a topic also when the first answer was lost', async () => {
    await using cluster = await createFilteredCluster()
    const client = await cluster.connect()
    const wanted = { mode: 'single', members: ['a'] } as const
    let lost = 0
    const restore = cluster.lose(({ message }) => message.kind === 'located' && lost++ === 0)
    const made = await settled(client.admin.createTopic('t', wanted), 'the topic')
    restore()
    expect([lost > 0, made.epoch, made.mode]).toEqual([true, 1, 'single'])
    expect(await codeOf(client.admin.createTopic('t', wanted))).toBe('EC_TOPIC_EXISTS')
  })

  it('makes a topic by its first publish while the same client only looks for it', async () => {
    await using cluster = await createFilteredCluster()
    const client = await cluster.connect()
    for (let round = 0; round < 5; round++) {
      const topic = client.topic(`t${round}`, { codec: text() })
      const got = codeOf(topic.get())
      const published = await settled(codeOf(topic.publish('1')), 'the publish')
      expect(published).toBe('done')
      expect(['done', 'EC_UNKNOWN_TOPIC']).toContain(await settled(got, 'the get'))
    }
  })

  it('flushes what is pending at the call while it goes on publishing', async () => {
    await using cluster = await createFilteredCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('0')
    let outcomes = 0
    const publish = () => {
      topic.publish('1').then(
        () => outcomes++,
        () => {},
      )
    }
    for (let count = 0; count < 10; count++) publish()
    let flushed = ''
    void codeOf(client.flush({ timeoutMs: 60_000 })).then((code) => {
      flushed = String(code)
    })
    while (flushed === '') {
      publish()
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(flushed).toBe('done')
    expect(outcomes).toBeGreaterThanOrEqual(10)
  })

  it('answers several reads of one stream that wait at once', async () => {
    await using cluster = await createFilteredCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const stream = topic.subscribe({ from: 'start' })
    const reads = Promise.all([stream.next(), stream.next(), stream.next()])
    // In one batch, so that one delivery is all that wakes them.
    await Promise.all(['1', '2', '3'].map((value) => topic.publish(value)))
    const seen = await settled(reads, 'three messages')
    expect(seen.map(({ value }) => value.value).toSorted()).toEqual(['1', '2', '3'])
  })

  it('tells how its own messages ended also to a subscription that was there before them', async () => {
    await using cluster = await createFilteredCluster()
    const client = await cluster.connect()
    const { admin } = await cluster.connect()
    await admin.createTopic('t')
    const topic = client.topic('t', { codec: text() })
    const stream = topic.subscribe({ from: 'start', events: true })
    const ended = (async (): Promise<EpochEvent | null> => {
      for await (const event of stream) if (event.type === 'epoch') return event
      return null
    })()
    let isBegun = false
    cluster.watch(({ to, message }) => {
      if (isClient(to) && message.kind === 'report') isBegun = true
    })
    await until(() => isBegun, 'the subscription is there')
    await topic.publish('1')
    let stored = 0
    const again = cluster.lose(({ to, message }) => {
      if (!isClient(to) || message.kind !== 'stored') return false
      stored++
      return true
    })
    const pending = [topic.publish('2')]
    await until(() => stored >= 3, 'the first is stored everywhere')
    // Another object for the same topic, as another part of the program may have it.
    stored = 0
    pending.push(client.topic('t', { codec: text() }).publish('3'))
    await until(() => stored >= 3, 'the second is stored everywhere')
    await admin.reconfigure('t').enabled
    again()
    const results = await settled(Promise.all(pending), 'the outcomes')
    expect(results.map(({ status }) => status)).toEqual(['included', 'included'])
    const included = results.map(({ id }) => id).toSorted()
    expect((await settled(ended, 'the end of the epoch'))?.included.toSorted()).toEqual(included)
  })
})
