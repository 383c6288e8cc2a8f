// Goal: the whole path works in one process. Method: a real cluster over memory, observed through the public API only.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { text } from '../../client-sdk/index.ts'

describe('a cluster in one process', () => {
  it('gives back what was published', async () => {
    await using cluster = await createCluster({ servers: 3 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    const results = await Promise.all(['a', 'b', 'c'].map((value) => topic.publish(value)))
    expect(results.map((result) => result.status)).toEqual(['durable', 'durable', 'durable'])
    const { messages } = await topic.get()
    expect(messages.map((message) => message.value)).toEqual(['a', 'b', 'c'])
  })

  it('streams across an epoch change', async () => {
    await using cluster = await createCluster({ servers: 6 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    await topic.publish('1')
    const seen: string[] = []
    const reading = (async () => {
      for await (const event of topic.subscribe({ from: 'start', events: true })) {
        seen.push(event.type === 'message' ? event.message.value : event.type)
        if (seen.includes('3')) return
      }
    })()
    await topic.publish('2')
    const change = client.admin.reconfigure('t', {
      members: ['d', 'e', 'f'],
      onProgress: (p) => console.log(p.phase, p.detail),
    })
    console.log(await change.enabled)
    await topic.publish('3')
    await reading
    expect(seen).toEqual(['1', '2', 'epoch', '3'])
  })
})
