// Goal: a cluster on NATS bears everything that core NATS may do to frames, and more: loss, repetition, delay, another order. Method:
// real servers, clients and a real nats-server; between each endpoint and NATS stands chance, seeded; every message is accounted for.
import { randomUUID } from 'node:crypto'
import { afterEach, expect, it } from 'vitest'
import { bootstrap } from '../../broker/bootstrap.ts'
import { MemoryStore } from '../../broker/log/memory-store.ts'
import { Server } from '../../broker/server.ts'
import { type Client, connect } from '../../client-sdk/index.ts'
import type { Address } from '../../proto/ids.ts'
import type { Random } from '../../proto/machine/ports.ts'
import { dialNats, listenNats, NatsDialer } from '../../proto/transport/nats.ts'
import { natsServerAddress } from '../../proto/transport/nats-subjects.ts'
import type { Transport } from '../../proto/transport/port.ts'
import { seededRandom } from '../../sim/seeded-random.ts'
import { describeNats, NatsServers } from '../peers/nats-server.ts'

const ids = ['a', 'b', 'c', 'd', 'e']
const messages = 400

/** What happens to each frame, in percent. */
interface Faults {
  readonly lose: number
  readonly repeat: number
  readonly delay: number
}

class FaultyTransport implements Transport {
  readonly #inner: Transport
  readonly #random: Random
  readonly #faults: Faults
  readonly #timers = new Set<NodeJS.Timeout>()
  lost = 0

  constructor(inner: Transport, random: Random, faults: Faults) {
    this.#inner = inner
    this.#random = random
    this.#faults = faults
  }

  get address(): Address {
    return this.#inner.address
  }

  get framesLost(): number {
    return this.#inner.framesLost + this.lost
  }

  send(to: Address, parts: readonly Uint8Array[]): void {
    this.#perhaps(() => this.#inner.send(to, parts))
  }

  sendToAll(to: readonly Address[], parts: readonly Uint8Array[]): void {
    this.#perhaps(() => this.#inner.sendToAll?.(to, parts))
  }

  close(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer)
    return this.#inner.close()
  }

  #perhaps(send: () => void): void {
    const chance = this.#random.below(100)
    const { lose, repeat, delay } = this.#faults
    if (chance < lose) {
      this.lost++
      return
    }
    if (chance < lose + repeat) send()
    if (chance < lose + repeat || chance >= lose + repeat + delay) return send()
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      send()
    }, this.#random.below(30))
    this.#timers.add(timer)
  }
}

describeNats('a cluster on NATS, with faults on top', () => {
  const closers: (() => Promise<unknown>)[] = []

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })

  it.each([1, 2, 3])('loses nothing and repeats nothing, seed %i', async (seed) => {
    const servers = await NatsServers.start()
    closers.push(() => servers.close())
    const nats = { servers: servers.addresses }
    const random = seededRandom(seed)
    const faults = { lose: 4, repeat: 4, delay: 8 }
    const faulty: FaultyTransport[] = []
    const disturbed = (transport: Transport): Transport => {
      const one = new FaultyTransport(transport, random, faults)
      faulty.push(one)
      return one
    }
    for (const id of ids) {
      const server = await Server.start({
        id,
        storage: randomUUID(),
        store: new MemoryStore(),
        address: natsServerAddress(id),
        seeds: ids.filter((other) => other !== id).map(natsServerAddress),
        listen: async (handler) => disturbed(await listenNats({ id, nats, handler })),
        limits: { recoveryReplaceTicks: 0, maskingReplaceTicks: 0 },
      })
      closers.push(() => server.stop())
    }
    await bootstrap({
      servers: ids.map(natsServerAddress),
      dial: (name, handler) => dialNats({ name, nats, handler }),
    })
    const connected = async (): Promise<Client> => {
      const dialer = await NatsDialer.connect(nats, 60_000)
      const client = await connect(servers.url, {
        timeoutMs: 60_000,
        transport: (name, handler) => disturbed(dialer.dial(name, handler)),
      })
      closers.push(() => client.close())
      return client
    }
    const [publisher, reader] = [await connected(), await connected()]
    await publisher.admin.createTopic('t', { mode: 'fault-masking', members: ['a', 'b', 'c'], timeoutMs: 60_000 })
    const texts: string[] = []
    const reading = (async () => {
      for await (const message of reader.topic('t').subscribe({ from: 'start' }))
        texts.push(Buffer.from(message.payload).toString())
    })()
    reading.catch(() => {})
    let next = 0
    const publishing = (async () => {
      while (next < messages) await publisher.topic('t').publish(Buffer.from(`${next++}`))
    })()
    for (const change of [
      { mode: 'fault-recovery', members: ['d', 'e'] },
      { mode: 'fault-masking', members: ['a', 'c', 'e'] },
      { mode: 'single', members: ['b'] },
      { mode: 'fault-masking', members: ['b', 'c', 'd'] },
    ] as const) {
      await publisher.admin.reconfigure('t', { ...change, timeoutMs: 60_000 }).enabled
    }
    await publishing
    await expect.poll(() => texts.length).toBe(messages)
    expect(texts).toEqual(Array.from({ length: messages }, (_, at) => `${at}`))
    expect(faulty.reduce((sum, one) => sum + one.lost, 0)).toBeGreaterThan(50)
  })
})
