// Goal: nothing is lost, given twice or told differently while everything happens at once. Method: random changes of mode and
// members, kills and restarts under a publisher and two subscribers, in a cluster of this process; SEEDS=n runs more seeds.
import { describe, expect, it } from 'vitest'
import { type Cluster, createCluster } from '../../broker/dev/cluster.ts'
import { type Client, text } from '../../client-sdk/index.ts'
import type { Mode } from '../../proto/configuration.ts'
import { serverIdOf } from '../../proto/ids.ts'
import { seededRandom } from '../../sim/seeded-random.ts'
import { describeEvent } from './collect.ts'

const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g']
const changes = 10
const last = 'the last one'

/** Sizes that each mode is tried with. */
const sizes: Record<Mode, readonly number[]> = {
  single: [1],
  'fault-recovery': [2, 3],
  'fault-masking': [3, 5],
}

describe('a topic that is changed and hurt all the time', () => {
  for (let seed = 1; seed <= Number(process.env.SEEDS ?? 3); seed++) {
    it(`keeps its promises, seed ${seed}`, async () => {
      await using cluster = await createCluster({ servers: ids.length })
      const client = await cluster.connect()
      await client.admin.createTopic('t', { members: ['a', 'b', 'c'] })
      const readers = [read(await cluster.connect()), read(await cluster.connect())]
      const publishing = publishWhile(client, shake(cluster, client, seed))
      const published = await publishing
      await client.topic('t', { codec: text() }).publish(last)
      const [one, other] = await Promise.all(readers)
      const wanted = [...published, last]
      expect(one?.filter(isMessage)).toEqual(wanted)
      expect(other).toEqual(one)
      const { messages } = await client.topic('t', { codec: text() }).get()
      expect(messages.map((message) => message.value)).toEqual(wanted)
    })
  }
})

const isMessage = (seen: string) => !seen.startsWith('end of epoch')

async function read(client: Client): Promise<string[]> {
  const seen: string[] = []
  for await (const event of client.topic('t', { codec: text() }).subscribe({ from: 'start', events: true })) {
    seen.push(describeEvent(event))
    if (seen.at(-1) === last) break
  }
  return seen
}

/** Publishes a few messages each turn until `until` is over; every one must have been stored. */
async function publishWhile(client: Client, until: Promise<void>): Promise<string[]> {
  const topic = client.topic('t', { codec: text() })
  const published: string[] = []
  const results: Promise<unknown>[] = []
  let isOver = false
  const end = until.finally(() => {
    isOver = true
  })
  while (!isOver) {
    for (let at = 0; at < 3; at++) {
      const value = `m${published.length}`
      published.push(value)
      results.push(topic.publish(value))
    }
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await end
  await Promise.all(results)
  return published
}

async function shake(cluster: Cluster, client: Client, seed: number): Promise<void> {
  const random = seededRandom(seed)
  const pick = <T>(from: readonly T[]): T => from[random.below(from.length)] as T
  for (let count = 0; count < changes; count++) {
    const current = await client.admin.topic('t')
    const members = current.members.map(({ name }) => serverIdOf(name) as string)
    // The arbiters are the first five: never more than one server is down.
    const victim = random.below(2) === 0 ? pick(ids) : null
    const mayDie = victim !== null && !(current.mode === 'single' && members.includes(victim))
    if (mayDie) await cluster.kill(victim)
    const mode = pick(['fault-masking', 'fault-recovery', 'single'] as const)
    const pool = ids.filter((id) => mode === 'fault-masking' || id !== victim)
    const next: string[] = []
    for (let left = pick(sizes[mode]); left > 0; left--) next.push(...pool.splice(random.below(pool.length), 1))
    await client.admin.reconfigure('t', { mode, members: next, timeoutMs: 60_000 }).enabled
    if (mayDie) await cluster.restart(victim)
  }
}
