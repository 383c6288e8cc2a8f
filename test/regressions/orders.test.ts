// Goal: stamps and records that no client and no sequencer of ours would send stop nobody. Method: a cluster in this process and
// a stranger that says them.
import { describe, expect, it } from 'vitest'
import { text } from '../../client-sdk/index.ts'
import { type PublisherId, sequencerPublisher } from '../../proto/ids.ts'
import { readUntil } from '../client-sdk/collect.ts'
import { settled, until } from '../until.ts'
import { batchOf, bodyOf, createFilteredCluster } from './filtered-cluster.ts'

const abc = ['a', 'b', 'c']
const one = '00000000000000aa' as PublisherId
const other = '00000000000000bb' as PublisherId

async function withTotal() {
  const cluster = await createFilteredCluster()
  const client = await cluster.connect()
  await client.admin.createTopic('t', { members: abc, order: 'total' })
  return { cluster, client, topic: client.topic('t', { codec: text() }) }
}

describe('a stranger', () => {
  it('stores nothing under the id of the sequencer, and ranks of its own count for nothing', async () => {
    const { cluster, client, topic } = await withTotal()
    await using _ = cluster
    await topic.publish('1')
    const stranger = cluster.stranger()
    const ranks = { ends: [{ publisher: one, end: 5 }] }
    stranger.say(abc, { ...batchOf(sequencerPublisher, 1, 1, bodyOf(1)), ranks })
    stranger.say(abc, { ...batchOf('ffffffff00000001', 1, 1, bodyOf(1)), ranks })
    await until(() => stranger.answers.filter(({ kind }) => kind === 'refused').length === 6, 'both are refused')
    expect(stranger.answers.every((answer) => answer.kind !== 'refused' || answer.refusal === 'bad-batch')).toBe(true)
    stranger.say(abc, { ...batchOf(one, 1, 1, bodyOf(1)), ranks })
    const stream = topic.subscribe({ from: 'start', order: 'total', events: true })
    const reading = readUntil(stream, (seen) => seen.length === 3)
    await topic.publish('2')
    expect((await settled(reading, 'all three')).toSorted()).toEqual(['1', '2', 'A'])
    await client.close()
  })

  it('whose causes go round in a circle, or are nowhere, holds up nobody else, and itself until the epoch ends', async () => {
    const { cluster, client, topic } = await withTotal()
    await using _ = cluster
    const stranger = cluster.stranger()
    const causedBy = (publisher: PublisherId, end: number) => ({ after: { own: [{ publisher, end }], others: [] } })
    stranger.say(abc, { ...batchOf(one, 1, 1, bodyOf(1)), ...causedBy(other, 1) })
    stranger.say(abc, { ...batchOf(other, 1, 1, bodyOf(1)), ...causedBy(one, 1) })
    stranger.say(abc, {
      ...batchOf('00000000000000cc', 1, 1, bodyOf(1)),
      ...causedBy('00000000000000dd' as PublisherId, 9),
    })
    await until(() => stranger.answers.filter(({ kind }) => kind === 'stored').length === 9, 'all is stored')
    for (const order of ['causal', 'total'] as const) {
      const seen = readUntil(topic.subscribe({ from: 'start', order, events: true }), (all) => all.includes(order))
      await topic.publish(order)
      expect(await settled(seen, order)).toContain(order)
    }
    const ended = (order: 'causal' | 'total') =>
      readUntil(topic.subscribe({ from: 'start', order, events: true }), (all) =>
        all.some((line) => line.startsWith('end')),
      )
    const reading = [ended('causal'), ended('total'), ended('total')]
    await settled(client.admin.reconfigure('t', { expectEpoch: 'any' }).enabled, 'the change')
    const [causal = [], total = [], again = []] = await settled(Promise.all(reading), 'the end')
    expect(causal.toSorted()).toEqual(total.toSorted())
    expect(total).toEqual(again)
    expect(total.filter((value) => value === 'A')).toHaveLength(3)
  })
})
