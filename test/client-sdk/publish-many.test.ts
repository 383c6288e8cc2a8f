// Goal: one promise for many messages says what became of each. Method: a real cluster in this process.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { bytes, text } from '../../client-sdk/index.ts'
import { addLimits } from '../../client-sdk/operations/epoch-window.ts'
import { stored } from './stored.ts'

const code = (expected: string) => expect.objectContaining({ name: 'EpochcastError', code: expected })
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, at) => `${from + at}`)

describe('publishMany', () => {
  it('stores all in their order, between what was published before and after it in the same turn', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const before = topic.publish('before')
    const many = topic.publishMany(['a', 'b', 'c'])
    const after = topic.publish('after')
    const [run, ...rest] = await many
    expect(rest).toEqual([])
    expect(run).toMatchObject({ count: 3, epoch: 1, status: 'durable' })
    expect([(await before).id, run?.firstId, run?.lastId, (await after).id].map((id) => id?.split('-')[2])).toEqual([
      '1',
      '2',
      '4',
      '5',
    ])
    const { messages } = await topic.get()
    expect(messages.map(({ value }) => value)).toEqual(['before', 'a', 'b', 'c', 'after'])
  })

  it('stores what each value was when it was listed, also where its memory is used again', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const words = ['aaa', 'bbb', 'ccc']
    const memory = Buffer.alloc(3)
    const inMemory = (word: string) => {
      memory.write(word)
      return memory
    }
    const made = function* () {
      for (const word of words) yield inMemory(word)
    }
    await client.topic('values').publishMany(made())
    const codec = { encode: inMemory, decode: String }
    await client.topic('codec', { codec }).publishMany(words)
    for (const name of ['values', 'codec']) {
      const { messages } = await client.topic(name, { codec: text() }).get()
      expect(messages.map(({ value }) => value)).toEqual(words)
    }
  })

  it('refuses lists that cannot be read', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t')
    const { proxy, revoke } = Proxy.revocable<Uint8Array[]>([], {})
    revoke()
    await expect(topic.publishMany(proxy)).rejects.toEqual(code('EC_BAD_ARGUMENT'))
  })

  it('spreads over several stores, and adds up', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: bytes() })
    const size = addLimits.batchBytesMax / 4
    const runs = await topic.publishMany(Array.from({ length: 10 }, (_, at) => new Uint8Array(size).fill(at)))
    expect(runs.length).toBeGreaterThan(1)
    expect(runs.reduce((sum, { count }) => sum + count, 0)).toBe(10)
    const { messages } = await topic.get()
    expect(messages.map(({ value }) => value[0])).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })

  it('of nothing is done at once; too much is refused as a whole, and so is one message that is too large', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: bytes() })
    await client.admin.createTopic('t')
    expect(await topic.publishMany([])).toEqual([])
    await expect(topic.publishMany([new Uint8Array(1), new Uint8Array(2 ** 20 + 1)])).rejects.toEqual(
      code('EC_MESSAGE_TOO_LARGE'),
    )
    const tooMuch = Array.from({ length: addLimits.pendingBytesMax / 2 ** 20 + 1 }, () => new Uint8Array(2 ** 20))
    await expect(topic.publishMany(tooMuch)).rejects.toEqual(code('EC_BAD_ARGUMENT'))
    expect((await topic.get()).messages).toEqual([])
  })

  it('keeps order and loses nothing over epoch changes', async () => {
    await using cluster = await createCluster({ servers: 6 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publishMany(numbers(1))
    let count = 1
    const all: Promise<unknown>[] = []
    for (const members of [
      ['d', 'e', 'f'],
      ['a', 'b', 'c'],
    ]) {
      let isOver = false
      const end = client.admin.reconfigure('t', { members }).enabled.then(() => {
        isOver = true
      })
      while (!isOver) {
        all.push(topic.publishMany(numbers(20, count)))
        count += 20
        await new Promise((resolve) => setImmediate(resolve))
      }
      await end
    }
    await Promise.all(all)
    expect((await topic.get()).messages.map(({ value }) => value)).toEqual(numbers(count))
  })

  it('that is given up has an unknown outcome, and is not added again', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('before')
    await cluster.kill('a')
    await cluster.kill('b')
    const caller = new AbortController()
    const stuck = topic.publishMany(['x', 'y'], { signal: caller.signal })
    stuck.catch(() => {})
    await stored(client, 't', 'c', 3)
    caller.abort()
    await expect(stuck).rejects.toEqual(code('EC_OUTCOME_UNKNOWN'))
    await expect(stuck).rejects.toHaveProperty('messageId', expect.stringMatching(/^1-[0-9a-f]{16}-2$/))
  })

  it('tells what the epoch dropped, when asked to', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('first')
    const change = client.admin.reconfigure('t', { members: ['a', 'b', 'd'] }).enabled
    const many = Array.from({ length: 20 }, () => topic.publishMany(['x', 'y'], { onEpochEnd: 'settle' }))
    const runs = (await Promise.all(many)).flat()
    await change
    const { messages } = await topic.get()
    const stored = runs.filter(({ status }) => status !== 'dropped').reduce((sum, { count }) => sum + count, 1)
    expect(messages.length).toBe(stored)
  })
})
