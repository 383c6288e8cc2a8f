/** Finding a topic that the user named. */
import type { Client, Configuration, WaitOptions } from '../../client-sdk/index.ts'
import { closest } from '../../proto/closest.ts'
import { EpochcastError } from '../../proto/errors.ts'

/**
 * The newest configuration of a topic that exists: looking never makes one.
 * @throws EpochcastError `EC_UNKNOWN_TOPIC`, with a topic of a similar name where there is one
 */
export async function findTopic(client: Client, name: string, limits: WaitOptions): Promise<Configuration> {
  try {
    return await client.admin.topic(name, limits)
  } catch (error) {
    if (!(error instanceof EpochcastError) || error.code !== 'EC_UNKNOWN_TOPIC') throw error
    const topics = await client.admin.topics(limits)
    const near = closest(
      name,
      topics.map(({ topic }) => topic),
    )
    const hint = near === undefined ? `make it with: epochcast topics create ${name}` : `did you mean ${near}?`
    throw new EpochcastError('EC_UNKNOWN_TOPIC', `there is no topic ${name}`, { cause: error, hint })
  }
}
