import { type Configuration, enabledQuorum, type Member } from '../../proto/configuration.ts'

/**
 * Next members when some of the intended ones are dead and nothing was proposed yet: the live ones, filled up from the live
 * old ones to the intended size.
 * @returns null while that would be fewer than the topic's minimum, or no other than before
 */
export function replaceDead(
  next: Configuration,
  live: (member: Member) => boolean,
  reporting: readonly Member[],
): readonly Member[] | null {
  const members = next.members.filter(live)
  for (const member of reporting) {
    if (members.length >= next.members.length) break
    if (!members.some((known) => known.name === member.name)) members.push(member)
  }
  if (members.length < Math.max(1, next.membersMin)) return null
  if (members.length < next.members.length && next.mode === 'single') return null
  const unchanged =
    members.length === next.members.length && members.every((one, at) => one.name === next.members[at]?.name)
  return unchanged || members.length < enabledQuorum({ mode: next.mode, members }) ? null : members
}
