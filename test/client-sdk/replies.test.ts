// Goal: a request is answered once to whoever asked, over epoch changes and deaths of responders, and says so when it is not.
// Method: a real cluster in this process.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { bytes, json, text } from '../../client-sdk/index.ts'

const largestRequest = 'r'.repeat(1024 * 1024)

describe('request and reply', () => {
  it('asks responders that share the requests, and gives each asker its own reply', async () => {
    await using cluster = await createCluster()
    const handled = [0, 0]
    for (let at = 0; at < 2; at++) {
      const topic = (await cluster.connect()).topic('double', { codec: json<number>() })
      const count = (value: number) => {
        handled[at] = (handled[at] ?? 0) + 1
        return value * 2
      }
      await topic.respond((request) => count(request.value), { maxPending: 4 }).ready()
    }
    const askers = [await cluster.connect(), await cluster.connect()]
    const asked = askers.flatMap((client) => {
      const topic = client.topic('double', { codec: json<number>() })
      return Array.from({ length: 20 }, async (_, at) => [at, (await topic.request(at)).value])
    })
    for (const [value, reply] of (await Promise.all(asked)) as [number, number][]) expect(reply).toBe(value * 2)
    expect(handled[0]).toBeGreaterThan(0)
    expect((handled[0] ?? 0) + (handled[1] ?? 0)).toBe(40)
  })

  it('takes another codec for replies, and what a responder throws is told to whoever asked', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('length', { codec: text() })
    const answer = (value: string) => {
      if (value === '') throw new Error('nothing to measure')
      return { length: value.length }
    }
    await topic.respond((request) => answer(request.value), { codec: json<{ length: number }>() }).ready()
    const asker = (await cluster.connect()).topic('length', { codec: text() })
    const codec = json<{ length: number }>()
    expect((await asker.request('four', { codec, headers: { a: 'b' } })).value).toEqual({ length: 4 })
    await expect(asker.request('', { codec })).rejects.toMatchObject({
      code: 'EC_REQUEST_FAILED',
      message: 'the responder failed: nothing to measure',
    })
  })

  it('loses no reply over changes of all servers, and none when a responder dies', async () => {
    await using cluster = await createCluster({ servers: 6 })
    const client = await cluster.connect()
    await client.admin.createTopic('t', { members: ['a', 'b', 'c'] })
    const dying = await cluster.connect()
    const never = dying.topic('t', { codec: text() }).respond(() => new Promise<string>(() => {}), { leaseMs: 400 })
    await never.ready()
    const topic = client.topic('t', { codec: text() })
    const asked = Promise.all(['1', '2', '3'].map((value) => topic.request(value)))
    const change = client.admin.reconfigure('t', { members: ['d', 'e', 'f'] })
    await change.retirable
    for (const id of ['a', 'b', 'c']) await cluster.kill(id)
    await dying.close()
    const other = (await cluster.connect()).topic('t', { codec: text() })
    await using _ = await other.respond((request) => `reply ${request.value}`, { leaseMs: 400 }).ready()
    expect((await asked).map((reply) => reply.value)).toEqual(['reply 1', 'reply 2', 'reply 3'])
  })

  it('tells the requester at once why there is no reply, and goes on', async () => {
    await using cluster = await createCluster()
    const thrown: Record<string, unknown> = {
      null: null,
      bare: Object.create(null),
      long: new Error('x'.repeat(100_000)),
    }
    const answers: Record<string, unknown> = {
      largest: new Uint8Array(1024 * 1024),
      'too large': new Uint8Array(1024 * 1024 + 1),
      text: 'no bytes',
      nothing: undefined,
    }
    const answer = (what: string) => {
      if (what in thrown) throw thrown[what]
      return answers[what] as Uint8Array
    }
    const codec = bytes()
    const responder = (await cluster.connect())
      .topic('t', { codec: text() })
      .respond((one) => answer(one.value), { codec })
    await responder.ready()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const isAnswered = async (what: string) => (await topic.request(what, { codec })).payload.length > 0
    expect(await isAnswered('largest')).toBe(true)
    for (const what of [...Object.keys(thrown), 'too large', 'text', 'nothing']) {
      await expect(isAnswered(what), what).rejects.toMatchObject({ code: 'EC_REQUEST_FAILED' })
    }
    // What it asks with does not count against what a request may carry.
    answers[largestRequest] = new Uint8Array(1)
    expect(await isAnswered(largestRequest)).toBe(true)
    await responder.end()
  })

  it.each([
    ['before the first responder', undefined],
    ['while all responders are gone', 'responders'],
    ['of a group that does not come back', 'others'],
  ])('answers what was asked %s', async (_, earlier) => {
    await using cluster = await createCluster()
    const other = (await cluster.connect()).topic('t', { codec: text() })
    if (earlier !== undefined) await (await other.respond(() => 'earlier', { group: earlier }).ready()).end()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const asked = topic.request('1')
    // It is in the topic before anybody answers.
    for await (const _request of topic.subscribe({ from: 'start' })) break
    await using _responder = other.respond((request) => `reply ${request.value}`)
    expect((await asked).value).toBe('reply 1')
  })

  it('tells the requester when its request was put aside', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const responder = topic.respond(
      async (request) => {
        await request.nak()
        return new Promise<string>(() => {})
      },
      { deliveriesMax: 2, deadLetter: 't.dead' },
    )
    await responder.ready()
    await expect(topic.request('1')).rejects.toMatchObject({ code: 'EC_REQUEST_FAILED' })
    await responder.end()
  })

  it('says that it does not know when no reply came, and ends with its client', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('so that it is there')
    await expect(topic.request('1', { timeoutMs: 1_500 })).rejects.toMatchObject({ code: 'EC_OUTCOME_UNKNOWN' })
    const waiting = topic.request('2')
    waiting.catch(() => {})
    await client.close()
    await expect(waiting).rejects.toMatchObject({ code: expect.stringMatching(/EC_CLOSED|EC_OUTCOME_UNKNOWN/) })
  })
})

describe('a reply', () => {
  it('is what its handler returned, also where the next one writes into the same memory', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('memory')
    const memory = Buffer.alloc(1)
    await topic
      .respond(({ payload }) => {
        memory.set(payload)
        return memory
      })
      .ready()
    const replies = await Promise.all([1, 2, 3].map((one) => topic.request(Buffer.of(one))))
    expect(replies.map(({ payload }) => payload[0])).toEqual([1, 2, 3])
  })
})
