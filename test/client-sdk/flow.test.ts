// Goal: a reader that stops slows itself only: what waits for it in its process and on its way there is bounded, and others go
// on at full speed. Method: a real cluster in this process; the bytes that reach the stopped reader's client are counted.
import { describe, expect, it } from 'vitest'
import { type Cluster, createCluster } from '../../broker/dev/cluster.ts'
import { type Client, connect } from '../../client-sdk/index.ts'
import { address } from '../../proto/ids.ts'

const messageBytes = 32 * 1024
const count = 512
const mebibyte = 1024 * 1024

/** A client, and how many bytes came in to it. */
async function counting(cluster: Cluster): Promise<{ client: Client; bytes: () => number }> {
  let bytes = 0
  const client = await connect(`epochcast://${cluster.servers.map((id) => `server-${id}:1`).join(',')}`, {
    transport: (name, handler) =>
      cluster.network.attach(address(`client:${name}`), {
        frame: (from, frame) => {
          bytes += frame.length
          handler.frame(from, frame)
        },
        peer: (of, up) => handler.peer(of, up),
      }),
  })
  return { client, bytes: () => bytes }
}

describe('a reader that stops', () => {
  it('has one window of messages in its process, while others get everything', async () => {
    await using cluster = await createCluster()
    const { client: lazy, bytes } = await counting(cluster)
    const topic = (await cluster.connect()).topic('t')
    await topic.publish(Buffer.alloc(10))
    const stopped = lazy.topic('t').subscribe({ from: 'start' })
    await stopped.next()
    const eager = (await cluster.connect()).topic('t').subscribe({ from: 'start' })
    for (let at = 0; at < count; at++) await topic.publish(Buffer.alloc(messageBytes, at))
    let given = 0
    for await (const _ of eager) if (++given === count + 1) break
    // 16 MiB were published; one MiB of room, the batch that goes beyond it, and reports.
    expect(bytes()).toBeLessThan(2 * mebibyte)
    let rest = 0
    for await (const _ of stopped) if (++rest === count) break
    expect(bytes()).toBeGreaterThan(count * messageBytes)
    await lazy.close()
  })

  it('holds back no other member of its group, and fetches no more than it has room for', async () => {
    await using cluster = await createCluster()
    const { client: lazy, bytes } = await counting(cluster)
    const topic = (await cluster.connect()).topic('t')
    for (let at = 0; at < count; at++) await topic.publish(Buffer.alloc(messageBytes, at))
    const stopped = lazy.topic('t').group('g', { from: 'start', maxPending: 200 })
    await stopped.next()
    let given = 0
    for await (const _ of (await cluster.connect()).topic('t').group('g')) if (++given === count - 200) break
    expect(bytes()).toBeLessThan(3 * mebibyte)
    await stopped.return()
    await lazy.close()
  })
})
