/** What new topics are to be, as an option. */
import { checkDecider, checkMembership, checkSize, minimumOf, modes, orders } from '../../proto/configuration.ts'
import { type Check, decider, distinct, server, whole, word } from '../../proto/door/checks.ts'
import { requiring } from '../../proto/door/options.ts'
import type { Template } from '../../proto/wire/messages.ts'

const options = requiring<Template, 'members'>(
  'template',
  {
    mode: word(modes),
    decider,
    size: whole(1, 1_000),
    // None where the cluster chooses them.
    members: distinct(server),
    membersMin: whole(0, 1_000),
    order: word(orders),
  },
  ['members'],
)

/** @throws EpochcastError `EC_BAD_ARGUMENT`; `EC_IMPOSSIBLE_MEMBERSHIP` where no topic could be made of it */
export const template: Check<Template> = (value) => {
  const made = options(value)
  const { mode, members, membersMin } = made
  const isNamed = members.length > 0
  checkSize(made)
  const count = isNamed ? members.length : made.size
  if (count !== undefined) {
    if (mode !== undefined) checkMembership(mode, isNamed ? members : namesOf(count))
    minimumOf(membersMin, 0, count)
  }
  if (mode !== undefined && made.decider !== undefined) checkDecider(mode, made.decider)
  return made
}

/** So many servers that the cluster is to choose. */
function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, at) => String(at))
}
