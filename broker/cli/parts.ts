/** What a server is needed for, in words and in JSON. */
import type { ServerParts } from '../../client-sdk/index.ts'
import { count } from './describe.ts'

const topicsShown = 3

export function partsText({ isArbiter, topics, isSure }: ServerParts): string {
  const parts: string[] = []
  if (isArbiter) parts.push('it is an arbiter')
  if (topics.length > 0) parts.push(`it is needed by ${topicsText(topics)}`)
  if (!isSure) parts.push('neither it nor the arbiters say what else needs it')
  return parts.join(', and ')
}

export function partsJson({ server, isArbiter, topics, isSure }: ServerParts): object {
  return { server, arbiter: isArbiter, topics, ...(!isSure && { sure: false }) }
}

function topicsText(topics: readonly string[]): string {
  const shown = topics.slice(0, topicsShown).join(', ')
  return topics.length > topicsShown ? `${shown} and ${count(topics.length - topicsShown, 'other topic')}` : shown
}
