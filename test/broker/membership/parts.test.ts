// Goal: what is masked later is masked for the first use, too; a server that is gone is forgotten only when nothing needs it; and
// without arbiters every question ends with a reason. Method: a real cluster in this process, whose servers are killed.
import { describe, expect, it } from 'vitest'
import { type Cluster, createCluster } from '../../../broker/dev/cluster.ts'
import type { Client } from '../../../client-sdk/index.ts'
import { text } from '../../../client-sdk/index.ts'
import { until } from '../../until.ts'

/** Kills a server, and waits until the one that the client asks believes it. */
async function kill(cluster: Cluster, client: Client, id: string): Promise<void> {
  await cluster.kill(id)
  const isDead = async () => (await client.admin.servers()).some((one) => one.id === id && !one.alive)
  await until(isDead, `${id} to be missed`)
}

describe('a new topic', () => {
  it('begins without a minority of the servers that mask failures', async () => {
    await using cluster = await createCluster({ servers: 5 })
    const client = await cluster.connect()
    for (const id of ['d', 'e']) await kill(cluster, client, id)
    expect(await client.topic('used', { codec: text() }).publish('x')).toMatchObject({ status: 'durable' })
    const made = await client.admin.createTopic('made', { mode: 'fault-masking', size: 5 })
    expect(made.members).toHaveLength(5)
    await client.topic('made', { codec: text() }).publish('x')
    // What it began without takes part once it is back.
    await cluster.restart('d')
    const atD = async () => (await client.admin.replicas('made')).find(({ server }) => server === 'd')
    await until(async () => (await atD())?.storedCount === 1, 'd to take part')
  })

  it('takes living servers first', async () => {
    await using cluster = await createCluster({ servers: 5 })
    const client = await cluster.connect()
    for (const id of ['b', 'd']) await kill(cluster, client, id)
    for (const [name, size] of [
      ['three', 3],
      ['two', 2],
    ] as const) {
      const mode = size === 3 ? 'fault-masking' : 'fault-recovery'
      const { members } = await client.admin.createTopic(name, { mode, size })
      expect(members.filter((member) => /^[bd]@/.test(member.name))).toEqual([])
    }
  })

  it('names the servers that it waits for, and may be asked for again', async () => {
    await using cluster = await createCluster({ servers: 3 })
    const client = await cluster.connect()
    await kill(cluster, client, 'c')
    for (const options of [
      { mode: 'fault-recovery', size: 3 },
      { mode: 'fault-recovery', members: ['a', 'c'] },
      { mode: 'single', members: ['c'] },
    ] as const) {
      const refused = client.admin.createTopic('t', { ...options, timeoutMs: 5_000 })
      await expect(refused).rejects.toMatchObject({
        code: 'EC_UNAVAILABLE',
        retryable: true,
        message: expect.stringContaining('c does not answer'),
      })
    }
    const impossible = client.admin.createTopic('t', { mode: 'fault-masking', size: 5 })
    await expect(impossible).rejects.toMatchObject({ code: 'EC_IMPOSSIBLE_MEMBERSHIP', retryable: false })
  })
})

describe('without a majority of the arbiters', () => {
  it('every question ends soon, and names those that are missing', async () => {
    await using cluster = await createCluster({ servers: 3 })
    const client = await cluster.connect()
    for (const id of ['b', 'c']) await kill(cluster, client, id)
    const missing = { code: 'EC_NO_DECIDER', message: expect.stringMatching(/1 of 3 arbiters .*b \(.*c \(/) }
    await Promise.all([
      expect(client.admin.topics({ timeoutMs: 8_000 })).rejects.toMatchObject(missing),
      expect(client.admin.topic('t', { timeoutMs: 8_000 })).rejects.toMatchObject(missing),
      expect(client.admin.createTopic('t', { mode: 'single', timeoutMs: 8_000 })).rejects.toMatchObject(missing),
      expect(client.topic('t', { codec: text() }).publish('x', { timeoutMs: 8_000 })).rejects.toMatchObject(missing),
    ])
    expect((await client.admin.arbiters()).map(({ id, state }) => [id, state])).toEqual([
      ['a', 'answers'],
      ['b', 'silent'],
      ['c', 'silent'],
    ])
  })
})

describe('a lost arbiter', () => {
  it('is told apart from the server that came in its place', async () => {
    await using cluster = await createCluster({ servers: 3 })
    const client = await cluster.connect()
    await cluster.kill('c')
    // Another storage under the same id.
    await cluster.addServer('c')
    const atC = async () => (await client.admin.servers()).find(({ id }) => id === 'c')
    await until(async () => (await atC())?.cameAfterArbiter === true, 'the new c')
    expect((await client.admin.arbiters()).map(({ id, state }) => [id, state])).toEqual([
      ['a', 'answers'],
      ['b', 'answers'],
      ['c', 'lost'],
    ])
    expect((await client.admin.parts('c')).isArbiter).toBe(false)
  })
})

describe('forgetting a server', () => {
  it('waits until nothing needs it, and holds at every server until it is started again', async () => {
    // The arbiters are a to e; h is a spare.
    await using cluster = await createCluster({ servers: 8 })
    const client = await cluster.connect()
    await client.admin.createTopic('t', { mode: 'fault-recovery', members: ['f', 'g'] })
    const forget = (id: string) => client.admin.forgetServer(id, { timeoutMs: 8_000 })
    const needed = (why: string) => ({ code: 'EC_STILL_NEEDED', message: expect.stringContaining(why) })
    await expect(forget('h')).rejects.toMatchObject(needed('answers'))
    await expect(forget('z')).rejects.toMatchObject({ code: 'EC_UNKNOWN_SERVER' })
    await kill(cluster, client, 'h')
    for (const [id, why] of [
      ['e', 'an arbiter'],
      ['f', 'a member of t'],
    ] as const) {
      await kill(cluster, client, id)
      await expect(forget(id)).rejects.toMatchObject(needed(why))
      await cluster.restart(id)
    }
    await forget('h')
    await forget('h')
    const listed = async (id: string) => (await client.admin.servers()).some((one) => one.id === id)
    expect(await listed('h')).toBe(false)
    for (const id of ['a', 'b']) {
      await cluster.kill(id)
      await cluster.restart(id)
    }
    const living = async () => (await client.admin.servers()).filter(({ alive }) => alive).length
    await until(async () => (await living()) === 7, 'seven servers')
    expect(await listed('h')).toBe(false)
    await cluster.restart('h')
    await until(() => listed('h'), 'h to be back')
  })
})
