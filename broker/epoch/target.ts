import { type Configuration, enabledQuorum, type Member, maySucceed } from '../../proto/configuration.ts'

/**
 * Next members when some of the intended ones are dead and nothing was proposed yet: the live ones, filled up from the live
 * old ones to the intended size. Where the mode masks a dead minority, dead intended members keep their places; elsewhere the epoch
 * begins with fewer.
 * @returns null where those could not begin an epoch of this mode, or are no other than before: the change waits
 */
export function replaceDead(
  next: Configuration,
  live: (member: Member) => boolean,
  reporting: readonly Member[],
): readonly Member[] | null {
  const size = next.members.length
  const members = next.members.filter(live)
  fill(members, reporting, size)
  const alive = members.length
  if (next.mode === 'fault-masking') fill(members, next.members, size)
  const isUnchanged = members.every(({ name }) => next.members.some((one) => one.name === name))
  if ((isUnchanged && members.length === size) || !maySucceed(next, members)) return null
  return alive < enabledQuorum({ mode: next.mode, members }) ? null : members
}

function fill(members: Member[], from: readonly Member[], size: number): void {
  for (const member of from) {
    if (members.length >= size) return
    if (!members.some((known) => known.name === member.name)) members.push(member)
  }
}
