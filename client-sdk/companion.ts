/** Topics that belong to another one: they have its members and its mode, so they survive what it survives. */
import { type Configuration, isMember } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import { serverIdOf, type TopicName, topicName } from '../proto/ids.ts'
import { shown } from '../proto/shown.ts'
import type { TopicOptions } from './reconfigure.ts'

const groupRoot = '$group'
const replyRoot = '$reply'
const groupPattern = /^[A-Za-z0-9_-]{1,64}$/

/**
 * The topic in which a group keeps what is agreed about it.
 * @throws EpochcastError `EC_BAD_ARGUMENT` for a name that is not 1 to 64 letters, digits, `_` or `-`, or too long with its topic
 */
export function groupLogName(topic: TopicName, group: string): TopicName {
  if (typeof group !== 'string' || !groupPattern.test(group)) {
    throw new EpochcastError('EC_BAD_ARGUMENT', `group ${shown(group)} is not a name`, {
      hint: '1 to 64 letters, digits, "-" or "_"',
    })
  }
  return topicName(`${groupRoot}.${topic}.${group}`)
}

/** The topic in which replies to requests in a topic are given. */
export function replyTopicName(topic: TopicName): TopicName {
  return topicName(`${replyRoot}.${topic}`)
}

export function isCompanion(topic: TopicName): boolean {
  return topic.startsWith(`${groupRoot}.`) || isReplyTopic(topic)
}

export function isReplyTopic(topic: TopicName): boolean {
  return topic.startsWith(`${replyRoot}.`)
}

/** What the topics that belong to one come behind, in the order of names. */
export function companionPrefixes(topic: TopicName): readonly string[] {
  // The name itself comes behind everything that is shorter.
  return [`${groupRoot}.${topic}.`, replyTopicName(topic).slice(0, -1)]
}

export function isCompanionOf(topic: TopicName, name: TopicName): boolean {
  const prefix = `${groupRoot}.${topic}.`
  // Behind a topic's name a group's is one token; more are a topic below it and its group.
  return name === `${replyRoot}.${topic}` || (name.startsWith(prefix) && groupPattern.test(name.slice(prefix.length)))
}

/** Who makes topics and finds them. */
interface Topics {
  topic(name: string, options: { readonly signal: AbortSignal }): Promise<Configuration>
  createTopic(name: string, options: TopicOptions & { readonly signal: AbortSignal }): Promise<Configuration>
}

export function likeTopic({ mode, decider, members, membersMin }: Configuration): TopicOptions {
  // Whatever order the topic has: what is beside it is ordered by who writes it.
  return { mode, decider, membersMin, order: 'fifo', members: members.map((member) => serverIdOf(member.name)) }
}

export function isLike(one: Configuration, topic: Configuration): boolean {
  if (one.mode !== topic.mode || one.members.length !== topic.members.length) return false
  return topic.members.every((member) => isMember(one, member.name))
}

/** The topic of that name, made as `topic` is where there is none yet. */
export async function madeBeside(
  topics: Topics,
  name: TopicName,
  topic: Configuration,
  signal: AbortSignal,
): Promise<Configuration> {
  for (;;) {
    try {
      return await topics.topic(name, { signal })
    } catch (error) {
      if (!(error instanceof EpochcastError) || error.code !== 'EC_UNKNOWN_TOPIC') throw error
    }
    try {
      return await topics.createTopic(name, { ...likeTopic(topic), signal })
    } catch (error) {
      // Somebody else made it at the same time.
      if (!(error instanceof EpochcastError) || error.code !== 'EC_TOPIC_EXISTS') throw error
    }
  }
}
