/**
 * Headers of a message that is put aside: the reason, and the topics that it was put aside from before. A message that would come
 * round to a topic again stays where it is, so every ring of dead letter topics has an end.
 */
import { EpochcastError } from '../../proto/errors.ts'
import { type TopicName, topicName } from '../../proto/ids.ts'
import { isCompanion } from '../companion.ts'
import { noHeader, withHeaders } from '../properties.ts'
import type { Job } from './inbox.ts'

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

/** @returns the header of a message that is put aside from `topic`; null when it was in `deadLetter` before, or in too many */
export function deadLetterHeader(job: Job, topic: TopicName, deadLetter: string): Uint8Array | null {
  const before = (job.properties.headers?.[`${prefix}path`] ?? '').split(',').filter((name) => name !== '')
  const path = [...before, topic]
  if (path.includes(deadLetter) || before.length >= hopsMax || !before.every(isTopicName)) return null
  return withHeaders(job.header ?? noHeader, prefix, {
    [`${prefix}of`]: job.id,
    [`${prefix}topic`]: topic,
    [`${prefix}deliveries`]: String(job.deliveries),
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
