/**
 * Headers of a message that is put aside: the reason, and the topics that it was put aside from before. A message that would come
 * round to a topic again stays where it is, so every ring of dead letter topics has an end.
 */
import { EpochcastError } from '../../proto/errors.ts'
import { type TopicName, topicName } from '../../proto/ids.ts'
import { isCompanion } from '../companion.ts'
import { type AllProperties, noHeader, withHeaders } from '../properties.ts'
import type { PlainTopic } from './ports.ts'

const prefix = 'dead-letter-'
/** Topics that one message may be put aside from, one after the other. */
const hopsMax = 8

/** @throws EpochcastError `EC_BAD_ARGUMENT` for a topic where the dead letters of `topic` cannot go */
export function checkDeadLetter(topic: TopicName, deadLetter: string): void {
  const name = topicName(deadLetter)
  if (name === topic) {
    throw new EpochcastError('EC_BAD_ARGUMENT', `dead letters of ${topic} cannot go to ${topic} itself`, {
      hint: 'name another topic: the group would be given them again and again',
    })
  }
  if (isCompanion(name)) {
    throw new EpochcastError('EC_BAD_ARGUMENT', `${name} belongs to another topic and takes no dead letters`)
  }
}

/** A message that is put aside, as it was published. */
export interface DeadLetter {
  readonly id: string
  readonly payload: Uint8Array
  readonly header: Uint8Array | undefined
  readonly properties: AllProperties
}

/**
 * Publishes a message of `topic` to its dead letter topic; of one that is too large with these headers its name alone.
 * @param why headers that say why, without the prefix that all have
 * @returns whether it is there; false where it was in `deadLetter` before, or in too many
 */
export async function putAside(
  letter: DeadLetter,
  topic: TopicName,
  deadLetter: string,
  to: Pick<PlainTopic, 'send'>,
  why: Readonly<Record<string, string>>,
): Promise<boolean> {
  const header = deadLetterHeader(letter, topic, deadLetter, why)
  if (header === null) return false
  try {
    await to.send(letter.payload, header)
  } catch (error) {
    if (!(error instanceof EpochcastError) || error.code !== 'EC_MESSAGE_TOO_LARGE') throw error
    // Larger than what a client publishes: its name has to do.
    const name = deadLetterHeader({ ...letter, header: undefined }, topic, deadLetter, why)
    await to.send(new Uint8Array(0), name ?? noHeader)
  }
  return true
}

/** @returns the header of a message that is put aside; null when it was in `deadLetter` before, or in too many */
export function deadLetterHeader(
  { id, header, properties }: DeadLetter,
  topic: TopicName,
  deadLetter: string,
  why: Readonly<Record<string, string>>,
): Uint8Array | null {
  const before = (properties.headers?.[`${prefix}path`] ?? '').split(',').filter((name) => name !== '')
  const path = [...before, topic]
  if (path.includes(deadLetter) || before.length >= hopsMax || !before.every(isTopicName)) return null
  const reasons = Object.entries(why).map(([name, value]) => [`${prefix}${name}`, value] as const)
  return withHeaders(header ?? noHeader, prefix, {
    [`${prefix}of`]: id,
    [`${prefix}topic`]: topic,
    ...Object.fromEntries(reasons),
    [`${prefix}path`]: path.join(','),
  })
}

function isTopicName(name: string): boolean {
  try {
    topicName(name)
    return true
  } catch {
    return false
  }
}
