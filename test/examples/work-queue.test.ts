// Goal: the work queue does what it says, also while its topic moves to other servers. Method: in a cluster of this process.
import { expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { workQueue } from '../../examples/work-queue.ts'

it('work queue does every job, whoever dies, and puts aside what cannot be done', async () => {
  await using cluster = await createCluster({ servers: 4 })
  const client = await cluster.connect()
  await client.admin.createTopic('jobs', { members: ['a', 'b', 'c'] })
  const working = workQueue(() => cluster.connect())
  const change = client.admin.reconfigure('jobs', { members: ['b', 'c', 'd'] })
  await change.retirable
  const { lines, done, putAside } = await working
  expect(done).toHaveLength(13)
  expect(lines[0]).toBe('unlucky: task 1, and dies')
  expect(lines.filter((line) => line.includes('task 1 '))).not.toHaveLength(0)
  expect(lines.some((line) => line.includes('flaky (delivery 2)'))).toBe(true)
  expect(putAside).toEqual(['impossible after 3 deliveries'])
})
