import type { Member } from '../../proto/configuration.ts'
import type { TopicName } from '../../proto/ids.ts'

/**
 * Servers for a new topic, by rendezvous hashing: every server ranks the same, topics spread evenly, and a server that comes
 * or goes moves only its own share.
 */
export function place(topic: TopicName, servers: readonly Member[], size: number): Member[] {
  const ranked = servers.map((member) => ({ member, weight: weigh(`${topic} ${member.name}`) }))
  ranked.sort((a, b) => b.weight - a.weight || (a.member.name < b.member.name ? -1 : 1))
  return ranked.slice(0, size).map(({ member }) => member)
}

function weigh(text: string): number {
  let hash = 0x811c_9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d)
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a_2d39)
  return (hash ^ (hash >>> 15)) >>> 0
}
