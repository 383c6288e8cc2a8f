/** The choice of members that nobody named, and the check that enough of the members of a new epoch answer. */
import { enabledQuorum, type Member, type Mode } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { serverIdOf, type TopicName } from '../../proto/ids.ts'

/**
 * Servers for a new topic, by rendezvous hashing: every server ranks the same, topics spread evenly, and a server that comes
 * or goes moves only its own share.
 */
export function place(topic: TopicName, servers: readonly Member[], size: number): Member[] {
  const ranked = servers.map((member) => ({ member, weight: weigh(`${topic} ${member.name}`) }))
  ranked.sort((a, b) => b.weight - a.weight || (a.member.name < b.member.name ? -1 : 1))
  return ranked.slice(0, size).map(({ member }) => member)
}

/**
 * `size` members: `kept` first, then living servers, then servers that do not answer. A mode that masks failures may begin with
 * some of the latter, which take part once they are back; `checkAnswering` refuses what cannot begin.
 * @param servers all that are known
 * @throws EpochcastError `EC_IMPOSSIBLE_MEMBERSHIP` where there are fewer servers than that
 */
export function choose(
  topic: TopicName,
  mode: Mode,
  size: number,
  kept: readonly Member[],
  servers: readonly Member[],
  isAlive: (member: Member) => boolean,
): Member[] {
  const others = servers.filter((member) => !kept.some(({ name }) => name === member.name))
  const living = place(topic, others.filter(isAlive), size - kept.length)
  const silent = others.filter((member) => !isAlive(member))
  const members = [...kept, ...living, ...place(topic, silent, size - kept.length - living.length)].slice(0, size)
  if (members.length === size) return members
  const count = `there ${members.length === 1 ? 'is only 1 server' : `are only ${members.length} servers`}`
  throw new EpochcastError('EC_IMPOSSIBLE_MEMBERSHIP', `${mode} on ${size} servers, but ${count}`, {
    hint: 'start more servers, or choose another mode or size',
  })
}

/**
 * Checks that enough of the members of an epoch that is to begin answer.
 * @throws EpochcastError `EC_UNAVAILABLE`, which names those that do not
 */
export function checkAnswering<One>(
  mode: Mode,
  members: readonly One[],
  isAlive: (member: One) => boolean,
  idOf: (member: One) => string,
): void {
  const silent = members.filter((member) => !isAlive(member))
  const needed = enabledQuorum({ mode, members })
  if (members.length - silent.length >= needed) return
  const names = silent.map(idOf).sort().join(', ')
  const who = needed === members.length ? 'each of them' : `${needed} of them`
  const text = `${mode} on ${members.length} servers takes ${who} to begin, and ${names} ${silent.length === 1 ? 'does' : 'do'} not answer`
  throw new EpochcastError('EC_UNAVAILABLE', text, {
    hint: `start ${silent.length === 1 ? 'it' : 'them'}, or choose other servers, another mode or size`,
  })
}

export function memberId({ name }: Member): string {
  return serverIdOf(name)
}

function weigh(text: string): number {
  let hash = 0x811c_9dc5
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x0100_0193)
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b_3c6d)
  hash = Math.imul(hash ^ (hash >>> 12), 0x297a_2d39)
  return (hash ^ (hash >>> 15)) >>> 0
}
