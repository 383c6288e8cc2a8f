// Goal: a `new` subscription is about what comes, in what it is sent and in what its cursor says. Method: clusters in this process;
// messages are published until the stream has begun, and frames to the reader are counted.
import { describe, expect, it } from 'vitest'
import { type MessageStream, text } from '../../client-sdk/index.ts'
import { take } from '../client-sdk/collect.ts'
import { settled } from '../until.ts'
import { createFilteredCluster, isClient } from './filtered-cluster.ts'

/** Publishes until the stream has given something. @returns what it gave first, and how many were published */
async function firstOf(stream: MessageStream<string>, publish: (value: string) => Promise<unknown>) {
  let first: string | null = null
  const reading = stream.next().then(({ value }) => {
    first = value.value
  })
  let count = 0
  while (first === null && count < 5_000) await publish(`new ${++count}`)
  await settled(reading, 'something new')
  return { first: String(first), count }
}

describe('a subscription from `new`', () => {
  it('has a cursor behind everything that came before it began', async () => {
    await using cluster = await createFilteredCluster()
    const one = (await cluster.connect()).topic('t', { codec: text() })
    const other = (await cluster.connect()).topic('t', { codec: text() })
    const reader = (await cluster.connect()).topic('t', { codec: text() })
    await one.publish('old of one')
    await other.publish('old of other')
    const stream = reader.subscribe({ from: 'new' })
    const { first, count } = await firstOf(stream, (value) => other.publish(value))
    await other.publish('end')
    const begun = Number(first.slice('new '.length))
    const rest = Array.from({ length: count - begun }, (_, index) => `new ${begun + 1 + index}`)
    expect(await settled(take(reader.subscribe({ from: stream.cursor }), rest.length + 1), 'the end')).toEqual([
      ...rest,
      'end',
    ])
  })

  it('is not sent the history of its epoch', async () => {
    await using cluster = await createFilteredCluster()
    const topic = (await cluster.connect()).topic('t', { codec: text() })
    const reader = (await cluster.connect()).topic('t', { codec: text() })
    const old = 'x'.repeat(100_000)
    await Promise.all(Array.from({ length: 20 }, () => topic.publish(old)))
    let sentBytes = 0
    cluster.watch(({ to, message }) => {
      if (isClient(to) && message.kind === 'batch') sentBytes += message.body.length
    })
    const { first } = await firstOf(reader.subscribe({ from: 'new' }), (value) => topic.publish(value))
    expect(first).toMatch(/^new /)
    expect(sentBytes).toBeLessThan(old.length)
  })
})
