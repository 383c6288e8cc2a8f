// Goal: what became of a message is told by any client as it is: an acknowledged one is durable for everybody at once, and a member
// that is only away for a moment is waited for before anything is called pending. Method: ask by another client, at once and while a
// member is away.
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { type EpochcastError, text } from '../../client-sdk/index.ts'

const codec = text()

describe('the outcome of an acknowledged message', () => {
  it.each(['fault-masking', 'fault-recovery', 'single'] as const)(
    'is durable for another client at once, in %s',
    async (mode) => {
      await using cluster = await createCluster({ servers: 3 })
      const client = await cluster.connect()
      const other = (await cluster.connect()).topic('t')
      await client.admin.createTopic('t', { mode })
      for (let round = 0; round < 200; round++) {
        const { id } = await client.topic('t', { codec }).publish('x')
        expect(await other.outcome(id)).toBe('durable')
      }
    },
  )
})

describe('the outcome in a fault-recovery topic of two, one of which is away', () => {
  it('waits for it a moment, and is pending where only it could tell', async () => {
    await using cluster = await createCluster({ servers: 2 })
    const client = await cluster.connect()
    const other = (await cluster.connect()).topic('t')
    await client.admin.createTopic('t', { mode: 'fault-recovery', members: ['a', 'b'] })
    const topic = client.topic('t', { codec })
    const { id } = await topic.publish('acknowledged')
    await cluster.kill('b')
    const error: EpochcastError = await topic.publish('given up', { timeoutMs: 100 }).catch((reason) => reason)
    expect(error).toMatchObject({ code: 'EC_OUTCOME_UNKNOWN', messageId: expect.any(String) })
    // Its own publisher knows; for others the member that is away is half of what makes it durable.
    expect(await client.topic('t').outcome(id)).toBe('durable')
    expect(await other.outcome(error.messageId ?? '')).toBe('pending')
    // What the member that answers does not hold is on no quorum, whatever the other one says: no patience is needed.
    const never = id.replace(/\d+$/, '100')
    expect(await other.outcome(never, { timeoutMs: 1_500 })).toBe('pending')
    const asked = other.outcome(id)
    await new Promise((resolve) => setTimeout(resolve, 300))
    await cluster.restart('b')
    expect(await asked).toBe('durable')
  })
})
