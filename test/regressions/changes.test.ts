// Goal: whoever asked for a change is told what became of it, however long it takes and whoever carries it out, and the newest
// configuration is found also where those of an earlier one have stopped. Method: clusters in this process with a slow link, with a
// request that reaches two servers, and with members that stop.
import { describe, expect, it } from 'vitest'
import { text } from '../../client-sdk/index.ts'
import { settled, until } from '../until.ts'
import { at, createFilteredCluster, type FilteredCluster, isClient } from './filtered-cluster.ts'

/** A topic of a, b and c with as many messages, each of which goes into a page of its own. */
async function withMessages(cluster: FilteredCluster, count: number) {
  const client = await cluster.connect()
  await client.admin.createTopic('t', { members: ['a', 'b', 'c'] })
  const topic = client.topic('t', { codec: text() })
  for (let published = 0; published < count; published++) await topic.publish('x'.repeat(100))
  return client
}

/** Batches come to d later by `delayMs`, each asked for when the one before it has come. */
function slowDown(cluster: FilteredCluster, delayMs: number): void {
  cluster.lose(({ to, message, repeat }) => {
    if (to !== at('d') || message.kind !== 'batch') return false
    setTimeout(repeat, delayMs)
    return true
  })
}

describe('a change', () => {
  it('does not fail because a new member takes long to fetch what there is', async () => {
    await using cluster = await createFilteredCluster({ servers: 4, limits: { pullBytesMax: 1, planTicks: 50 } })
    const { admin } = await withMessages(cluster, 60)
    slowDown(cluster, 20)
    const change = admin.reconfigure('t', { members: ['d'], mode: 'single', timeoutMs: 60_000 })
    expect((await change.enabled).configuration.epoch).toBe(2)
  })

  it('ends while somebody publishes faster than a new member is told that it has everything', async () => {
    // One message is on its way to the new member at a time, and for each that comes another one is published.
    const limits = { pullBytes: 1, pullBytesMax: 1, planTicks: 50 }
    await using cluster = await createFilteredCluster({ servers: 4, limits })
    const client = await withMessages(cluster, 20)
    const { admin } = client
    const topic = client.topic('t', { codec: text() })
    let published = 0
    cluster.watch(({ to, message }) => {
      if (to !== at('d') || message.kind !== 'batch' || published >= 2_000) return
      published++
      topic.publish('more').catch(() => {})
    })
    const change = admin.reconfigure('t', { members: ['b', 'c', 'd'], timeoutMs: 60_000 })
    expect((await change.enabled).configuration.epoch).toBe(2)
    expect(published).toBeLessThan(2_000)
  })

  it('is left to the server that works on it, however long that takes', async () => {
    await using cluster = await createFilteredCluster({ servers: 4, limits: { pullBytesMax: 1 } })
    const { admin } = await withMessages(cluster, 60)
    slowDown(cluster, 45)
    let isBegun = false
    const askedAgain: string[] = []
    cluster.watch(({ to, message }) => {
      if (message.kind === 'progress') isBegun = true
      if (message.kind === 'reconfigure' && isBegun) askedAgain.push(to)
    })
    const change = admin.reconfigure('t', { members: ['d'], mode: 'single', timeoutMs: 60_000 })
    expect((await change.enabled).configuration.epoch).toBe(2)
    expect(askedAgain).toEqual([])
  })

  it('that another server carried out is not reported as superseded by itself', async () => {
    await using cluster = await createFilteredCluster({ servers: 4 })
    const { admin } = await withMessages(cluster, 3)
    // Both a and b are asked. What b tells the client is lost, and a learns that the epoch is over, but not how it ended.
    const hidden = ['decided', 'moved', 'decisions', 'start']
    let isRepeated = false
    let isOver = false
    cluster.lose(({ from, to, message, repeat }) => {
      if (message.kind === 'reconfigure' && !isRepeated) {
        isRepeated = true
        repeat(at('a'))
        repeat(at('b'))
        return true
      }
      if (from === at('b') && isClient(to) && message.kind === 'changed') {
        isOver = true
        return true
      }
      return to === at('a') && (hidden.includes(message.kind) || (message.kind === 'condition' && !isOver))
    })
    const change = admin.reconfigure('t', { members: ['b', 'c', 'd'], timeoutMs: 60_000 })
    const { configuration, decision } = await change.decided
    expect([configuration.epoch, decision.changeId]).toEqual([2, change.id])
  })
})

describe('the newest configuration', () => {
  it('is found when the members of the one before it have stopped', async () => {
    await using cluster = await createFilteredCluster({ servers: 9 })
    const client = await cluster.connect()
    await client.admin.createTopic('t', { members: ['a', 'b', 'c'] })
    await client.topic('t', { codec: text() }).publish('1')
    await client.admin.reconfigure('t', { members: ['d', 'e', 'f'] }).retirable
    await client.admin.reconfigure('t', { members: ['g', 'h', 'i'] }).retirable
    for (const id of ['d', 'e', 'f']) await cluster.kill(id)
    for (const other of [client, await cluster.connect()]) {
      expect((await other.admin.topic('t', { timeoutMs: 60_000 })).epoch).toBeGreaterThanOrEqual(3)
      await settled(other.admin.reconfigure('t').decided, 'another change')
      await other.topic('t', { codec: text() }).publish('2', { timeoutMs: 60_000 })
    }
    expect((await client.admin.topic('t')).epoch).toBe(5)
    await until(async () => (await client.admin.replicas('t')).every(({ phase }) => phase === 'open'), 'all serve it')
  })
})
