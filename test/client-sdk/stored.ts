import type { Client } from '../../client-sdk/index.ts'
import { until } from '../until.ts'

/** Resolves when a server has stored so many messages of a topic: by then they have left their publisher. */
export function stored(client: Client, topic: string, server: string, count: number): Promise<void> {
  const has = async () =>
    (await client.admin.replicas(topic)).some((one) => one.server === server && one.storedCount >= count)
  return until(has, `${count} messages of ${topic} at ${server}`)
}
