// Goal: every call ends, on a client that is closed too, and whatever ends leaves nothing behind. Method: every method by its name,
// so that a new one has to be listed here; what is open is counted before and after.
import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { type Client, EpochcastError, text } from '../../client-sdk/index.ts'
import { settled, until } from '../until.ts'

type Calls = Readonly<Record<string, (() => unknown) | 'no promise'>>

/** Every method of an object's class has an entry, and every entry is a method. */
function methodsOf(of: object): string[] {
  const names = Object.getOwnPropertyNames(Object.getPrototypeOf(of)) as (keyof typeof of)[]
  return names.filter((name) => name !== 'constructor' && typeof of[name] === 'function')
}

/** How a call on a closed client ends: it is done, or the client is closed. */
async function endOf(call: () => unknown): Promise<string> {
  try {
    const made = call()
    const isStream = typeof made === 'object' && made !== null && 'next' in made
    await settled(Promise.resolve(isStream ? (made as AsyncIterator<unknown>).next() : made), 'an end')
    return 'done'
  } catch (error) {
    return error instanceof EpochcastError ? error.code : String(error)
  }
}

function callsOf(client: Client) {
  const topic = client.topic('t', { codec: text() })
  const { admin } = client
  const id = '1-0011223344556677-1'
  const ofClient: Calls = {
    ready: () => client.ready({}, 'here'),
    topic: 'no promise',
    subscribe: () => client.subscribe('>'),
    flush: () => client.flush(),
    together: () => client.together([topic]),
    drain: () => client.drain(),
    close: () => client.close(),
  }
  const ofTopic: Calls = {
    publish: () => topic.publish('x'),
    send: () => topic.send(new Uint8Array(1), new Uint8Array(0)),
    publishMany: () => topic.publishMany(['x', 'y']),
    get: () => topic.get(),
    subscribe: () => topic.subscribe({ from: { time: 0 } }),
    isOf: 'no promise',
    join: 'no promise',
    flush: () => topic.flush(),
    group: () => topic.group('g'),
    request: () => topic.request('x'),
    respond: () => topic.respond(() => 'y').done,
    views: () => topic.views(),
    outcome: () => topic.outcome(id, { settle: true }),
    configuration: () => topic.configuration(),
  }
  const change = () => admin.reconfigure('t')
  const ofAdmin: Calls = {
    createTopic: () => admin.createTopic('u'),
    topic: () => admin.topic('t'),
    topics: () => admin.topics(),
    topicsAfter: () => admin.topicsAfter(''),
    servers: () => admin.servers(),
    arbiters: () => admin.arbiters(),
    parts: () => admin.parts('a'),
    forgetServer: () => admin.forgetServer('a'),
    epochs: () => admin.epochs('t'),
    replicas: () => admin.replicas('t'),
    engines: () => admin.engines(),
    reconfigure: () => Promise.all([change().decided, change().enabled, change().retirable]),
  }
  return [
    [client, ofClient],
    [topic, ofTopic],
    [admin, ofAdmin],
  ] as const
}

describe('every call', () => {
  it('ends on a client that is closed, twice and at once', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('x')
    const message = topic.subscribe({ from: 'start' })
    await message.next()
    await client.close()
    for (const [of, calls] of callsOf(client)) {
      expect(Object.keys(calls).sort()).toEqual(methodsOf(of).sort())
      const ends = Object.entries(calls).flatMap(([name, call]) => {
        if (call === 'no promise') return []
        return [1, 2].map(async () => [name, await endOf(call)] as const)
      })
      for (const [name, end] of await Promise.all(ends)) expect(`${name} ${end}`).toMatch(/ (done|EC_CLOSED)$/)
    }
  })

  it('ends when its client is closed while it waits for servers that are gone', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    await client.topic('t', { codec: text() }).publish('x')
    for (const id of cluster.servers) await cluster.kill(id)
    const calls = callsOf(client).flatMap(([, all]) => Object.entries(all))
    const waiting = calls.flatMap(([name, call]) => {
      if (call === 'no promise' || name === 'close' || name === 'drain') return []
      return [endOf(call).then((end) => `${name} ${end}`)]
    })
    await client.close()
    for (const end of await Promise.all(waiting)) expect(end).toMatch(/ (done|EC_CLOSED|EC_OUTCOME_UNKNOWN)$/)
    expect(client.openCount).toBe(0)
  })

  it('ends a read that waits when its stream is returned', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await client.admin.createTopic('t', { order: 'causal' })
    const views = topic.views()
    await views.next()
    for (const stream of [topic.subscribe(), client.subscribe('>'), client.together([topic]), views]) {
      const reads = [stream.next(), stream.next()]
      await stream.return()
      const ends = await settled(Promise.all(reads), 'reads of a stream that was returned')
      expect(ends.map(({ done }) => done)).toEqual([true, true])
    }
  })
})

describe('whatever ends', () => {
  it('leaves nothing behind: streams, patterns, views, groups and calls, by their loop, their signal or a failure', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const { signal } = new AbortController()
    const topic = client.topic('t', { codec: text() })
    await client.admin.createTopic('t', { order: 'causal' })
    await topic.publish('x')
    const from = 'start' as const
    const one = async (stream: AsyncIterable<unknown>) => {
      for await (const _ of stream) break
    }
    const kinds: Readonly<Record<string, () => Promise<unknown>>> = {
      subscribe: () => one(topic.subscribe({ from, signal })),
      events: () => one(topic.subscribe({ from, signal, events: true, durability: 'early' })),
      time: () => one(topic.subscribe({ from: { time: 0 }, signal })),
      pattern: () => one(client.subscribe('t', { from, signal })),
      together: () => one(client.together([topic], { from, signal })),
      views: () => one(topic.views({ signal })),
      unread: async () => void (await topic.subscribe({ from: { time: 0 }, signal }).return()),
      refused: () =>
        topic
          .subscribe({ order: 'total', signal })
          .next()
          .catch(() => {}),
      'refused together': async () => {
        await client.admin.topic('t')
        expect(() => client.together([topic], { from: { t: 'no cursor' }, signal })).toThrow()
      },
      group: () => one(topic.group('g', { from, signal })),
      publish: () => topic.publish('y', { signal, timeoutMs: 5_000 }),
      publishMany: () => topic.publishMany(['y'], { signal }),
      get: () => topic.get({ signal }),
      flush: () => client.flush({ signal }),
      outcome: async () => topic.outcome((await topic.publish('z')).id, { signal }),
      servers: () => client.admin.servers({ signal }),
      aborted: async () => {
        const giving = new AbortController()
        const streams = [
          topic.subscribe({ signal: giving.signal }),
          client.subscribe('>', { signal: giving.signal }),
          client.together([topic], { signal: giving.signal }),
        ]
        giving.abort()
        for (const stream of streams) expect((await stream.next()).done).toBe(true)
      },
    }
    const before = client.openCount
    for (const [name, run] of Object.entries(kinds)) {
      await run()
      await run()
      await until(() => client.openCount === before, `nothing open after ${name}, and not ${client.openCount - before}`)
      expect([name, getEventListeners(signal, 'abort').length]).toEqual([name, 0])
    }
  })

  it('reads replies once for all who ask in a topic', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    await using responder = client.topic('q', { codec: text() }).respond((request) => `re: ${request.value}`)
    await responder.ready()
    const ask = async () => (await client.topic('q', { codec: text() }).request('x')).value
    expect(await ask()).toBe('re: x')
    const before = client.openCount
    for (let count = 0; count < 5; count++) expect(await ask()).toBe('re: x')
    await until(() => client.openCount <= before, 'nothing more open after more requests')
  })
})

describe('drain', () => {
  it('of a member of a group takes seconds while no server answers, as close does', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('x')
    const group = topic.group('g', { from: 'start', ack: 'explicit', leaseMs: 60_000 })
    const held = await group.next()
    const responder = await topic.respond(() => 'y').ready()
    for (const id of cluster.servers) await cluster.kill(id)
    const ack = held.done === true ? null : held.value.ack()
    await settled(client.flush(), 'flush of nothing')
    await settled(client.drain(), 'drain')
    await expect(ack).rejects.toMatchObject({ code: 'EC_OUTCOME_UNKNOWN' })
    await responder.done
  })
})
