// Goal: a position is read where it was written, whole, or refused: never taken for another place, never silence. Method: cursors of
// two clusters in this process, cut off and changed; epochs that have not begun.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/index.ts'
import { formatCursor, parseCursor } from '../../client-sdk/cursor.ts'
import { text } from '../../client-sdk/index.ts'
import { clusterId, epoch, publisherId, topicName } from '../../proto/ids.ts'

const cluster = clusterId('11111111-2222-4333-8444-555555555555')
const other = clusterId('11111111-2222-4333-8444-666666666666')
const topic = topicName('orders.eu')
const position = { epoch: epoch(4), seen: new Map([[publisherId('00ff00ff00ff00ff'), { end: 1234, digest: 0 }]]) }

describe('a cursor', () => {
  it('is what it was, in its topic and its cluster', () => {
    const cursor = formatCursor(cluster, topic, position)
    expect(parseCursor(cluster, topic, cursor)).toEqual(position)
    expect(() => parseCursor(cluster, topicName('orders'), cursor)).toThrow('another topic than orders')
    expect(() => parseCursor(other, topic, cursor)).toThrow(expect.objectContaining({ code: 'EC_OTHER_CLUSTER' }))
  })

  it('is none where a part of it is missing, or another one', () => {
    const cursor = formatCursor(cluster, topic, position)
    const changed = [...cursor].map((_, at) => `${cursor.slice(0, at)}${cursor.slice(at + 1)}`)
    const cut = [...cursor].map((_, at) => cursor.slice(0, at))
    for (const one of [
      ...changed,
      ...cut,
      `${cursor}.x`,
      `${cursor} `,
      cursor.replace('.', '. '),
      '',
      'ec1.b3JkZXJzIDQ',
      5,
      null,
      ['ec2.'],
    ]) {
      expect(() => parseCursor(cluster, topic, one as string), String(one)).toThrow('is not one of a topic')
    }
  })

  it('of another cluster is refused by everything that takes one', async () => {
    await using earlier = await createCluster()
    await using later = await createCluster()
    const before = await earlier.connect()
    const old = before.topic('t', { codec: text() })
    await old.publish('old')
    const { cursor } = await old.get()
    const pattern = before.subscribe('t', { from: 'start' })
    await pattern.next()
    const together = before.topic('t').subscribe({ from: 'start' })
    const client = await later.connect()
    const topicHere = client.topic('t', { codec: text() })
    await topicHere.publish('new')
    const refused = expect.objectContaining({ code: 'EC_OTHER_CLUSTER' })
    await expect(topicHere.get({ since: cursor })).rejects.toThrow(refused)
    expect(() => topicHere.subscribe({ from: cursor })).toThrow(refused)
    expect(() => topicHere.group('g', { from: cursor })).toThrow(refused)
    expect(() => client.together([topicHere], { from: { t: cursor } })).toThrow(refused)
    expect(() => client.subscribe('t', { from: pattern.cursor })).toThrow(refused)
    await together.return()
  })

  it('of a pattern is refused when one of its topics is', async () => {
    await using here = await createCluster()
    const client = await here.connect()
    await client.topic('t').publish(Buffer.from('x'))
    const stream = client.subscribe('*', { from: 'start' })
    const unread = stream.cursor
    await stream.next()
    for (const one of [stream.cursor.slice(0, -1), `${stream.cursor}x`, 'ecs1.W10', 'strat']) {
      expect(() => client.subscribe('*', { from: one })).toThrow(expect.objectContaining({ code: 'EC_BAD_ARGUMENT' }))
    }
    await stream.return()
    // Nothing was read of it: everything is still to come.
    expect((await client.subscribe('*', { from: unread }).next()).value).toMatchObject({ topic: 't' })
  })
})

describe('a position that is ahead', () => {
  it('is refused where nothing will ever come from, and read where only this client is behind', async () => {
    await using here = await createCluster()
    const [client, behind] = [await here.connect(), await here.connect()]
    const [topicHere, there] = [client.topic('t', { codec: text() }), behind.topic('t', { codec: text() })]
    await topicHere.publish('1')
    await there.get()
    for (let epochs = 0; epochs < 3; epochs++) await client.admin.reconfigure('t').enabled
    const { id } = await topicHere.publish('2')
    const { cursor } = await topicHere.get()
    // The other client has heard of epoch 1 alone.
    expect(await there.outcome(id)).toBe('durable')
    const third = await here.connect()
    await third.topic('t').get({ level: 'durable' })
    await client.admin.reconfigure('t').enabled
    await topicHere.publish('3')
    expect((await there.get({ since: cursor })).messages.map(({ value }) => value)).toEqual(['3'])
    const refused = { code: 'EC_BAD_ARGUMENT', message: expect.stringContaining('has not begun: its newest is 5') }
    await Promise.all([
      expect(there.subscribe({ from: { epoch: 99 } }).next()).rejects.toMatchObject(refused),
      expect(there.group('g', { from: { epoch: 99 } }).joined()).rejects.toMatchObject(refused),
      expect(there.outcome('99-00ff00ff00ff00ff-1')).rejects.toMatchObject(refused),
      expect(behind.admin.reconfigure('t', { expectEpoch: 99 }).decided).rejects.toMatchObject(refused),
    ])
  })
})
