// Goal: every publish gets a definite answer. Method: a real cluster in this process, servers killed and epochs ended under it.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { connect, EpochcastError, text } from '../../client-sdk/index.ts'
import { addLimits } from '../../client-sdk/operations/epoch-window.ts'
import { address } from '../../proto/ids.ts'
import { stored } from './stored.ts'

const code = (expected: string) => expect.objectContaining({ name: 'EpochcastError', code: expected })

describe('publish', () => {
  it('is durable on a quorum, under ids that count from 1 in every epoch', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const results = await Promise.all(['a', 'b', 'c'].map((value) => topic.publish(value)))
    expect(results.map(({ status, epoch }) => [status, epoch])).toEqual(Array(3).fill(['durable', 1]))
    expect(results.map(({ id }) => id.split('-')[2])).toEqual(['1', '2', '3'])
  })

  it('goes on while a minority is down, and stops without a quorum', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('before')
    await cluster.kill('a')
    expect((await topic.publish('one down')).status).toBe('durable')
    await cluster.kill('b')
    const caller = new AbortController()
    const stuck = topic.publish('two down', { signal: caller.signal })
    stuck.catch(() => {})
    await stored(client, 't', 'c', 3)
    caller.abort()
    await expect(stuck).rejects.toEqual(code('EC_OUTCOME_UNKNOWN'))
    await cluster.restart('b')
    expect((await topic.publish('one down again')).status).toBe('durable')
  })

  it('of a fault-recovery topic needs every member, and goes on after a change', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    await client.admin.createTopic('t', { mode: 'fault-recovery', members: ['a', 'b'] })
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    await cluster.kill('b')
    const pending = topic.publish('2')
    const change = client.admin.reconfigure('t', { members: ['a', 'c'] })
    await change.enabled
    expect((await pending).status).toMatch(/durable|included/)
    const { messages } = await topic.get()
    expect(messages.map((message) => message.value)).toEqual(['1', '2'])
  })

  it('keeps the order of one publisher across epochs', async () => {
    await using cluster = await createCluster({ servers: 6 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('0')
    const all: Promise<unknown>[] = []
    let published = 0
    for (const members of [
      ['d', 'e', 'f'],
      ['a', 'b', 'c'],
      ['a', 'd', 'e'],
    ]) {
      const change = client.admin.reconfigure('t', { members })
      let isOver = false
      const end = change.enabled.then(() => {
        isOver = true
      })
      while (!isOver) {
        for (let at = 0; at < 5; at++) all.push(topic.publish(`${++published}`))
        await new Promise((resolve) => setImmediate(resolve))
      }
      await end
    }
    await Promise.all(all)
    const { messages } = await topic.get()
    expect(messages.map((message) => Number(message.value))).toEqual(
      Array.from({ length: published + 1 }, (_, at) => at),
    )
  })

  it('answers dropped instead of adding again, when asked to', async () => {
    await using cluster = await createCluster({ servers: 5 })
    const client = await cluster.connect()
    await client.admin.createTopic('t', { mode: 'fault-recovery', members: ['a', 'b'] })
    await client.topic('t', { codec: text() }).publish('kept')
    // Only b gets it, and b is gone when the epoch ends.
    const { network } = cluster
    network.cut(address('server-a:1'), address('server-b:1'))
    const apart = await connect('epochcast://server-b:1,server-c:1', {
      transport: (name, handler) => {
        const own = address(`client:${name}`)
        network.cut(own, address('server-a:1'))
        return network.attach(own, handler)
      },
    })
    const topic = apart.topic('t', { codec: text() })
    const lonely = topic.publish('lonely', { onEpochEnd: 'settle' })
    const holds = async () => (await client.admin.replicas('t')).find(({ server }) => server === 'b')?.storedCount === 2
    while (!(await holds())) await new Promise((resolve) => setImmediate(resolve))
    await cluster.kill('b')
    await client.admin.reconfigure('t', { members: ['a', 'c'] }).enabled
    const { status, id } = await lonely
    await apart.close()
    expect(status).toBe('dropped')
    expect(await client.topic('t').outcome(id)).toBe('dropped')
    expect((await client.topic('t', { codec: text() }).get()).messages.map((message) => message.value)).toEqual([
      'kept',
    ])
  })

  it('that was aborted before it was sent is not published, and says so', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const aborted = topic.publish('never', { signal: AbortSignal.abort() })
    const next = topic.publish('next')
    await expect(aborted).rejects.toEqual(code('EC_ABORTED'))
    await next
    expect((await topic.get()).messages.map((message) => message.value)).toEqual(['next'])
  })

  it('given up on the way leaves an id whose outcome can be asked, also by another client', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    await client.admin.createTopic('t', { mode: 'fault-recovery', members: ['a', 'b'] })
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    await cluster.kill('b')
    const caller = new AbortController()
    const givenUp = topic.publish('2', { signal: caller.signal }).catch((reason: EpochcastError) => reason)
    await stored(client, 't', 'a', 2)
    caller.abort()
    const error = await givenUp
    if (!(error instanceof EpochcastError)) throw new Error('it should have been given up')
    expect(error.code).toBe('EC_OUTCOME_UNKNOWN')
    const id = error.messageId ?? ''
    const other = (await cluster.connect()).topic('t', { codec: text() })
    expect(await other.outcome(id)).toBe('pending')
    await client.admin.reconfigure('t', { members: ['a', 'c'] }).enabled
    const outcome = await other.outcome(id)
    const values = (await other.get()).messages.map((message) => message.value)
    expect(outcome).toBe(values.includes('2') ? 'included' : 'dropped')
    // Nobody adds it again: its publisher gave up.
    expect(values.filter((value) => value === '2').length).toBeLessThanOrEqual(1)
  })

  it('refuses what is too large, what does not fit the queue, and what comes after close', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect({ messageBytesMax: 10, limits: { ...addLimits, pendingBytesMax: 25 } })
    const topic = client.topic('t', { codec: text() })
    await expect(topic.publish('x'.repeat(10))).resolves.toMatchObject({ status: 'durable' })
    await expect(topic.publish('x'.repeat(11))).rejects.toEqual(code('EC_MESSAGE_TOO_LARGE'))
    const many = await Promise.allSettled(Array.from({ length: 5 }, () => topic.publish('12345678')))
    expect(many.filter((one) => one.status === 'rejected').map((one) => one.reason)).toContainEqual(
      code('EC_QUEUE_FULL'),
    )
    await client.close()
    await expect(topic.publish('late')).rejects.toEqual(code('EC_CLOSED'))
    await expect(topic.outcome('1-0011223344556677-1')).rejects.toEqual(code('EC_CLOSED'))
  })

  it('flush waits for all that is pending, drain closes behind it', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    const settled: string[] = []
    for (const value of ['a', 'b']) void topic.publish(value).then(() => settled.push(value))
    await client.flush()
    expect(settled).toEqual(['a', 'b'])
    void topic.publish('c').then(() => settled.push('c'))
    await client.drain()
    expect(settled).toEqual(['a', 'b', 'c'])
  })

  it('closing rejects what was sent with an unknown outcome, and withdraws the rest', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    for (const id of ['a', 'b']) await cluster.kill(id)
    const sent = expect(topic.publish('2')).rejects.toEqual(code('EC_OUTCOME_UNKNOWN'))
    await stored(client, 't', 'c', 2)
    await cluster.kill('c')
    await client.flush({ timeoutMs: 20 }).catch(() => {})
    const waiting = expect(topic.publish('3')).rejects.toEqual(code('EC_CLOSED'))
    await client.flush({ timeoutMs: 20 }).catch(() => {})
    await client.close()
    await Promise.all([sent, waiting])
  })
})
