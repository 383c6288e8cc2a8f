import type { Configuration, Decision } from '../../proto/configuration.ts'
import { endOf } from '../../proto/message-set.ts'

/** One text for one decision: two that differ anywhere that matters have two texts. */
export function decisionText(decision: Decision): string {
  const closing: string[] = []
  for (const publisher of decision.closing.keys()) closing.push(`${publisher}=${endOf(decision.closing, publisher)}`)
  return `${decision.changeId} ${configurationText(decision.next)} ${closing.sort().join(',')}`
}

export function configurationText(of: Configuration | undefined): string {
  if (of === undefined) return ''
  const { topic, epoch, mode, decider, membersMin, order, floor, base } = of
  const members = of.members.map(({ name }) => name)
  return [topic, epoch, mode, decider, members.join('+'), membersMin, order, floor, base].join('/')
}
