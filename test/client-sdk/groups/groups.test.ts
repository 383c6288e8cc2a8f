// Goal: members of a group share a topic's messages, each held by one of them; nothing is lost when members leave, die or stand
// still, when servers die, and when the topic's epoch ends. Method: a real cluster in this process; tests wait for what happens.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../../broker/dev/cluster.ts'
import { type GroupMessage, type GroupStream, type Topic, text } from '../../../client-sdk/index.ts'

/** Reads a member until it ends, and notes what it was given. */
function reading(
  stream: GroupStream<string>,
  into: string[],
  handle: (message: GroupMessage<string>) => unknown = () => {},
): Promise<void> {
  return (async () => {
    for await (const message of stream) {
      into.push(message.value)
      await handle(message)
    }
  })()
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5))
}

async function publishAll(topic: Topic<string>, from: number, to: number): Promise<void> {
  await Promise.all(Array.from({ length: to - from }, (_, at) => topic.publish(`${from + at}`)))
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, at) => `${from + at}`).sort()

describe('a group', () => {
  it('shares messages among its members, each to one of them', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const seen: string[][] = [[], []]
    const members = []
    for (const into of seen) {
      const client = await cluster.connect()
      const stream = client.topic('t', { codec: text() }).group('workers', { from: 'start', maxPending: 4 })
      members.push(await stream.joined())
      void reading(stream, into)
    }
    await publishAll(topic, 0, 100)
    await until(() => seen.flat().length >= 100)
    expect(seen.flat().sort()).toEqual(numbers(0, 100))
    expect(seen.map((one) => one.length > 10)).toEqual([true, true])
    for (const member of members) await member.return()
  })

  it('goes on where it was, in order, when all its members were gone', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    await publishAll(topic, 0, 20)
    const first: string[] = []
    for await (const message of topic.group('one', { from: 'start', ack: 'explicit' })) {
      first.push(message.value)
      await message.ack()
      if (first.length === 7) break
    }
    expect(first).toEqual(['0', '1', '2', '3', '4', '5', '6'])
    for (const id of cluster.servers) await cluster.kill(id)
    for (const id of cluster.servers) await cluster.restart(id)
    await publishAll(topic, 20, 25)
    const later = (await cluster.connect()).topic('t', { codec: text() })
    const second: string[] = []
    for await (const message of later.group('one')) {
      second.push(message.value)
      expect(message.deliveries).toBe(1)
      if (second.length === 18) break
    }
    expect(second).toEqual(Array.from({ length: 18 }, (_, at) => `${at + 7}`))
  })

  it('hands on what a member that died held, and refuses its answers', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const dying = await cluster.connect()
    const stream = dying.topic('t', { codec: text() }).group('g', { from: 'start', ack: 'explicit', leaseMs: 400 })
    await publishAll(topic, 0, 10)
    const held: GroupMessage<string>[] = []
    for (let at = 0; at < 3; at++) {
      const next = await stream.next()
      if (next.done !== true) held.push(next.value)
    }
    await held[0]?.ack()
    await dying.close()
    const seen: string[] = []
    const other = topic.group('g', { leaseMs: 400 })
    const done = reading(other, seen)
    await until(() => seen.length >= 9)
    expect(seen.sort()).toEqual(numbers(1, 10))
    await expect(held[1]?.ack()).rejects.toMatchObject({ code: 'EC_NOT_HELD' })
    await other.return()
    await done
  })

  it('gives again what was refused, after its delay, and puts aside what was delivered too often', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    const limits = { from: 'start', ack: 'explicit', deliveriesMax: 3, deadLetter: 't.dead' } as const
    const stream = topic.group('g', limits)
    const tries: string[] = []
    void reading(stream, [], async (message) => {
      tries.push(`${message.value} ${message.deliveries}`)
      if (message.value === 'bad') await message.nak(20)
      else await message.ack()
    })
    await topic.publish('good')
    await topic.publish('bad', { key: 'k', headers: { why: 'test' } })
    await topic.publish('also good')
    for await (const dead of client.topic('t.dead', { codec: text() }).subscribe({ from: 'start' })) {
      expect([dead.value, dead.key, dead.headers.why, dead.headers['dead-letter-deliveries']]).toEqual([
        'bad',
        'k',
        'test',
        '3',
      ])
      break
    }
    expect(tries.sort()).toEqual(['also good 1', 'bad 1', 'bad 2', 'bad 3', 'good 1'])
    await stream.return()
  })

  it('goes on over epoch changes of its topic, onto other servers, with its log behind it', async () => {
    await using cluster = await createCluster({ servers: 6 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await client.admin.createTopic('t', { members: ['a', 'b', 'c'] })
    const seen: string[] = []
    const streams = []
    for (let at = 0; at < 2; at++) {
      const member = await cluster.connect()
      const stream = member.topic('t', { codec: text() }).group('g', { from: 'start', maxPending: 3, leaseMs: 2_000 })
      streams.push(stream)
      void reading(stream, seen, () => new Promise((resolve) => setTimeout(resolve, 1)))
    }
    await publishAll(topic, 0, 50)
    const publishing = publishAll(topic, 50, 150)
    const change = client.admin.reconfigure('t', { members: ['d', 'e', 'f'] })
    await publishing
    // The old servers are arbiters still, but are needed neither for the topic nor for what its group knows.
    const needed = (await change.stillNeeded).map(({ server, isArbiter, topics }) => [server, isArbiter, topics])
    expect(needed.sort()).toEqual(['a', 'b', 'c'].map((id) => [id, true, []]))
    for (const id of ['a', 'b', 'c']) await cluster.kill(id)
    await publishAll(topic, 150, 200)
    await cluster.kill('d')
    await publishAll(topic, 200, 220)
    await until(() => seen.length >= 220)
    expect(seen.sort()).toEqual(numbers(0, 220))
    for (const stream of streams) await stream.return()
  })

  it('keeps its position when the topic moves to other servers while nobody is in the group', async () => {
    await using cluster = await createCluster({ servers: 6 })
    const client = await cluster.connect()
    await client.admin.createTopic('t', { members: ['a', 'b'], mode: 'fault-recovery' })
    // A topic below it with a group of its own is another one's.
    await client.admin.createTopic('t.g', { members: ['a', 'b', 'c'] })
    await (await client.topic('t.g').group('g').joined()).return()
    const topic = client.topic('t', { codec: text() })
    await publishAll(topic, 0, 6)
    const first: string[] = []
    for await (const message of topic.group('g', { from: 'start', ack: 'explicit' })) {
      first.push(message.value)
      await message.ack()
      if (first.length === 4) break
    }
    await client.admin.reconfigure('t', { members: ['d', 'e', 'f'], mode: 'fault-masking' }).retirable
    expect((await client.admin.topic('$group.t.g.g')).members.map(({ name }) => name[0])).toEqual(['a', 'b', 'c'])
    for (const id of ['a', 'b', 'c']) await cluster.kill(id)
    const second: string[] = []
    for await (const message of topic.group('g')) {
      second.push(message.value)
      if (second.length === 2) break
    }
    expect([...first, ...second]).toEqual(['0', '1', '2', '3', '4', '5'])
  })

  it('survives its leader, in the middle of the work', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const seen: string[] = []
    const clients = []
    for (let at = 0; at < 3; at++) {
      const client = await cluster.connect()
      clients.push(client)
      const stream = client.topic('t', { codec: text() }).group('g', { from: 'start', maxPending: 2, leaseMs: 400 })
      await stream.joined()
      void reading(stream, seen, () => new Promise((resolve) => setTimeout(resolve, 2)))
    }
    await publishAll(topic, 0, 60)
    await until(() => seen.length > 10)
    // The first member leads.
    await clients[0]?.close()
    await publishAll(topic, 60, 100)
    await until(() => new Set(seen).size === 100)
    expect(seen.length).toBeLessThanOrEqual(102)
  })

  it('is given messages only, also of a topic in total order', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    await client.admin.createTopic('t', { order: 'total' })
    const topic = client.topic('t', { codec: text() })
    await publishAll(topic, 0, 10)
    const seen: string[] = []
    const stream = topic.group('g', { from: 'start' })
    void reading(stream, seen)
    await client.admin.reconfigure('t').enabled
    await publishAll(topic, 10, 20)
    await until(() => seen.length >= 20)
    expect(seen.sort()).toEqual(numbers(0, 20))
    await stream.return()
  })

  it.each(['drain', 'close', 'return'])(
    'gives back at once what a member held that ends by %s, whatever its lease',
    async (how) => {
      await using cluster = await createCluster()
      const topic = (await cluster.connect()).topic('t', { codec: text() })
      await publishAll(topic, 0, 5)
      const client = await cluster.connect()
      const limits = { ack: 'explicit', leaseMs: 600_000 } as const
      const ending = client.topic('t', { codec: text() }).group('g', { ...limits, from: 'start' })
      const held = (await ending.next()).value as GroupMessage<string>
      const acknowledged = held.ack()
      if (how === 'return') await ending.return()
      else await client[how as 'drain' | 'close']()
      // The answer that was on its way is agreed.
      await acknowledged
      const seen: GroupMessage<string>[] = []
      for await (const message of topic.group('g', limits)) {
        seen.push(message)
        if (seen.length === 4) break
      }
      // They only waited in the buffer of the one that ended.
      expect(seen.map(({ value, deliveries }) => [value, deliveries])).toEqual([1, 2, 3, 4].map((at) => [`${at}`, 1]))
    },
  )

  it('ends within seconds while no server answers, and does not say that another has its messages', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    await topic.publish('1')
    const stream = topic.group('g', { from: 'start', ack: 'explicit', leaseMs: 600_000 })
    const held = (await stream.next()).value as GroupMessage<string>
    for (const id of cluster.servers) await cluster.kill(id)
    const acknowledged = held.ack()
    acknowledged.catch(() => {})
    await stream.return()
    await expect(acknowledged).rejects.toMatchObject({ code: 'EC_OUTCOME_UNKNOWN' })
  })

  it('puts aside a message as large as any can be, and says where it was', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t')
    await topic.publish(new Uint8Array(1024 * 1024 - 5), { key: 'abc' })
    const stream = topic.group('g', { from: 'start', ack: 'explicit', deliveriesMax: 1, deadLetter: 't.dead' })
    const refused = (async () => {
      for await (const message of stream) await message.nak()
    })()
    for await (const dead of client.topic('t.dead').subscribe({ from: 'start' })) {
      expect([dead.payload.length, dead.key, dead.headers['dead-letter-path']]).toEqual([1024 * 1024 - 5, 'abc', 't'])
      break
    }
    await stream.return()
    await refused
  })

  it('refuses what makes no sense', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t')
    expect(() => topic.group('a b')).toThrow('not a name')
    expect(() => topic.group('g', { maxPending: 0 })).toThrow('maxPending')
    expect(() => topic.group('g', { leaseMs: 1 })).toThrow('leaseMs')
    expect(() => topic.group('g', { deliveriesMax: 2 })).toThrow('go together')
    const dead = (deadLetter: string) => () => topic.group('g', { deliveriesMax: 2, deadLetter })
    expect(dead('t')).toThrow('cannot go to t itself')
    expect(dead('$group.t.g')).toThrow('belongs to another topic')
    expect(dead('$reply.t')).toThrow('belongs to another topic')
    expect(dead('t.*')).toThrow('dot-separated')
    expect(() => topic.group('g', { ack: 'never' as 'auto' })).toThrow('ack')
    expect(() => topic.group('g', { from: { time: Number.NaN } })).toThrow('is not a time')
  })
})
