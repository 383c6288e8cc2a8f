// Goal: a cluster on NATS loses nothing when NATS goes: publishing waits and goes on, subscribers go on, a change under way is
// finished. And a server that NATS cuts off alone is one that does not answer. Method: real servers with logs on disk in this
// process, real nats-servers that are killed and frozen.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it } from 'vitest'
import { bootstrap } from '../../broker/bootstrap.ts'
import { launch } from '../../broker/launch.ts'
import { type Client, connect } from '../../client-sdk/index.ts'
import { dialNats } from '../../proto/transport/nats.ts'
import { formatNatsUrl, type NatsOptions } from '../../proto/transport/nats-options.ts'
import { natsServerAddress } from '../../proto/transport/nats-subjects.ts'
import { describeNats, NatsServers } from '../peers/nats-server.ts'

describeNats('when NATS is down', () => {
  const closers: (() => Promise<unknown>)[] = []

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  const boot = async (ids: readonly string[], optionsOf: (id: string) => NatsOptions): Promise<void> => {
    const folder = await mkdtemp(join(tmpdir(), 'epochcast-nats-down-'))
    closers.push(() => rm(folder, { recursive: true, force: true }))
    const addresses = ids.map(natsServerAddress)
    for (const id of ids) {
      const seeds = addresses.filter((address) => address !== natsServerAddress(id))
      const launched = await launch({ id, data: join(folder, id), nats: optionsOf(id), seeds })
      closers.push(() => launched.stop())
    }
    const [first = ''] = ids
    await bootstrap({
      servers: addresses,
      dial: (name, handler) => dialNats({ name, nats: optionsOf(first), handler }),
    })
  }

  const connected = async (nats: NatsOptions): Promise<Client> => {
    const client = await connect(formatNatsUrl(nats), { timeoutMs: 60_000 })
    closers.push(() => client.close())
    return client
  }

  /** Publishes one after the other until told to stop; every one must be acknowledged. */
  const stream = (client: Client, topic: string) => {
    let isOver = false
    const values: string[] = []
    const acknowledged: string[] = []
    const done = (async () => {
      while (!isOver) {
        const value = `${values.length}`
        values.push(value)
        await client.topic(topic).publish(Buffer.from(value))
        acknowledged.push(value)
      }
    })()
    done.catch(() => {})
    const end = async (): Promise<string[]> => {
      isOver = true
      await done
      return values
    }
    return { acknowledged, end }
  }

  const read = async (client: Client, topic: string) => {
    const texts: string[] = []
    const reading = (async () => {
      for await (const message of client.topic(topic).subscribe({ from: 'start' }))
        texts.push(Buffer.from(message.payload).toString())
    })()
    reading.catch(() => {})
    return texts
  }

  it('publishing, reading and a change wait for it, and lose nothing', async () => {
    const servers = await NatsServers.start()
    closers.push(() => servers.close())
    const nats = { servers: servers.addresses }
    await boot(['a', 'b', 'c', 'd'], () => nats)
    const [publisher, subscriber] = [await connected(nats), await connected(nats)]
    await publisher.admin.createTopic('t', { mode: 'fault-masking', members: ['a', 'b', 'c'] })
    const texts = await read(subscriber, 't')
    const streaming = stream(publisher, 't')
    await expect.poll(() => texts.length).toBeGreaterThan(10)
    let isKilled = false
    const change = publisher.admin.reconfigure('t', {
      members: ['b', 'c', 'd'],
      onProgress: ({ phase }) => {
        // A change that is tried anew once NATS is back tells of the same phase again.
        if (phase !== 'wedge' || isKilled) return
        isKilled = true
        void servers.kill('n1')
      },
    })
    change.enabled.catch(() => {})
    await expect.poll(() => servers.pidOf('n1')).toBe(0)
    const before = streaming.acknowledged.length
    await new Promise((resolve) => setTimeout(resolve, 500))
    // One acknowledgement may have been on its way.
    expect(streaming.acknowledged.length).toBeLessThanOrEqual(before + 1)
    await servers.restart('n1')
    const { configuration } = await change.enabled
    expect(configuration.epoch).toBe(2)
    const count = streaming.acknowledged.length
    await expect.poll(() => streaming.acknowledged.length).toBeGreaterThan(count + 10)
    const values = await streaming.end()
    await expect.poll(() => texts.length).toBe(values.length)
    expect(texts).toEqual(values)
  })

  it('a cluster of NATS loses one of its servers, and nobody waits for it', async () => {
    const servers = await NatsServers.start({ count: 3 })
    closers.push(() => servers.close())
    const [one = '', two = '', three = ''] = servers.names
    const behind: Record<string, string> = { a: one, b: two, c: three }
    const optionsOf = (id: string): NatsOptions => ({ servers: [servers.addressOf(behind[id] ?? one)] })
    await boot(['a', 'b', 'c'], optionsOf)
    const client = await connected({ servers: [servers.addressOf(two)] })
    await client.admin.createTopic('t', { mode: 'fault-masking', members: ['a', 'b', 'c'] })
    const texts = await read(client, 't')
    const streaming = stream(client, 't')
    await expect.poll(() => texts.length).toBeGreaterThan(10)
    servers.freeze(one)
    // What goes through the frozen one stops; the majority that does not goes on.
    const count = streaming.acknowledged.length
    await expect.poll(() => streaming.acknowledged.length).toBeGreaterThan(count + 50)
    servers.thaw(one)
    await servers.kill(two)
    const then = streaming.acknowledged.length
    await expect.poll(() => streaming.acknowledged.length).toBeGreaterThan(then + 50)
    const values = await streaming.end()
    await expect.poll(() => texts.length).toBe(values.length)
    expect(texts).toEqual(values)
  })
})
