/** What servers cost while nothing happens: each topic has a subscriber that waits and a publisher that has published once. */
import { setTimeout as sleep } from 'node:timers/promises'
import { bytes, connect } from '../../client-sdk/index.ts'
import type { Cluster } from '../cluster/cluster.ts'
import type { Session } from '../session.ts'
import { cpuSeconds } from './processes.ts'

export interface Idle {
  /** CPU of the busiest server, in percent of a core. */
  readonly idleCpuPercent: number
  /** The same of those that are left, beside one that was killed. */
  readonly idleCpuPercentOneDead: number
}

/** Until everybody has everything, and until a dead server is taken for dead. */
const restMs = 5_000
const atOnce = 50

/** Kills one server of the cluster: it is of no use afterwards. */
export async function measureIdle(
  session: Session,
  cluster: Cluster,
  topics: readonly string[],
  seconds: number,
): Promise<Idle> {
  const { signal } = session
  const client = await connect(cluster.url, { timeoutMs: 20_000, signal })
  const publisher = await connect(cluster.url, { timeoutMs: 20_000, signal })
  try {
    for (let at = 0; at < topics.length; at += atOnce) {
      const some = topics.slice(at, at + atOnce)
      await Promise.all(
        some.map(async (name) => {
          const messages = client.topic(name, { codec: bytes() }).subscribe({ from: 'start' })[Symbol.asyncIterator]()
          await publisher.topic(name, { codec: bytes() }).publish(new Uint8Array(1))
          await messages.next()
          // It waits until the client is closed.
          messages.next().catch(() => {})
        }),
      )
    }
    await sleep(restMs, undefined, { signal })
    const idleCpuPercent = await busiest(cluster.pids, seconds, signal)
    await Promise.all(cluster.ids.slice(-1).map((id) => cluster.kill(id)))
    await sleep(restMs, undefined, { signal })
    return { idleCpuPercent, idleCpuPercentOneDead: await busiest(cluster.pids, seconds, signal) }
  } finally {
    await Promise.all([client.close(), publisher.close()])
  }
}

async function busiest(pids: readonly number[], seconds: number, signal: AbortSignal): Promise<number> {
  const before = pids.map(cpuSeconds)
  await sleep(seconds * 1_000, undefined, { signal })
  const used = pids.map((pid, at) => cpuSeconds(pid) - (before[at] ?? 0))
  return Math.round((Math.max(0, ...used) * 10_000) / seconds) / 100
}
