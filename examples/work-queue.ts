/**
 * A work queue: jobs are messages, workers are a group. Each job is held by one worker until it says that the job is done; what a
 * worker held when it died goes to the others, and what fails again and again is put aside.
 */
import { pathToFileURL } from 'node:url'
import { type Client, connect, type GroupMessage, json } from '../client-sdk/index.ts'

interface Job {
  readonly task: string
}

/** What one worker did, and what became of all jobs. */
export interface Work {
  readonly lines: readonly string[]
  /** Jobs in the order in which they were done first. */
  readonly done: readonly string[]
  readonly putAside: readonly string[]
}

const limits = { from: 'start', ack: 'explicit', maxPending: 4, leaseMs: 1_000, deliveriesMax: 3 } as const

/** @param open a connection for each worker: each is a process of its own in real life */
export async function workQueue(open: () => Promise<Client>, topicName = 'jobs'): Promise<Work> {
  const client = await open()
  const jobs = client.topic(topicName, { codec: json<Job>() })
  const lines: string[] = []
  const done = new Set<string>()
  const deadLetter = `${topicName}.failed`

  const handle = async (name: string, job: GroupMessage<Job>) => {
    const { task } = job.value
    const isBad = task === 'impossible' || (task === 'flaky' && job.deliveries === 1)
    lines.push(`${name}: ${task}${job.deliveries > 1 ? ` (delivery ${job.deliveries})` : ''}${isBad ? ' failed' : ''}`)
    if (isBad) return job.nak(50)
    await job.ack()
    done.add(task)
  }
  const work = async (name: string, workers: Client) => {
    const group = workers.topic(topicName, { codec: json<Job>() }).group('workers', { ...limits, deadLetter })
    for await (const job of group) await handle(name, job)
  }

  // The first worker takes jobs and dies with them.
  const unlucky = await open()
  const group = unlucky.topic(topicName, { codec: json<Job>() }).group('workers', { ...limits, deadLetter })
  await group.joined()
  const tasks = [...Array.from({ length: 12 }, (_, at) => `task ${at + 1}`), 'flaky', 'impossible']
  for (const task of tasks) await jobs.publish({ task }, { key: task })
  const taken = await group.next()
  if (taken.done !== true) lines.push(`unlucky: ${taken.value.value.task}, and dies`)
  await unlucky.close()

  const workers = [await open(), await open()]
  const working = workers.map((one, at) => work(`worker ${at + 1}`, one))
  const putAside: string[] = []
  for await (const failed of client.topic(deadLetter, { codec: json<Job>() }).subscribe({ from: 'start' })) {
    putAside.push(`${failed.value.task} after ${failed.headers['dead-letter-deliveries']} deliveries`)
    break
  }
  while (done.size < tasks.length - 1) await new Promise((resolve) => setTimeout(resolve, 10))
  for (const one of workers) await one.close()
  await Promise.all(working)
  await client.close()
  return { lines, done: [...done], putAside }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { lines, putAside } = await workQueue(() => connect())
  for (const line of lines) console.log(line)
  for (const job of putAside) console.log(`put aside: ${job}`)
}
