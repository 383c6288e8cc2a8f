/** What a replica does with a message, by the phases of the message table. */
import type { MemberEntry, Outcome, Phase } from '../../proto/wire/entry.ts'
import { type EpochBound, type MessageTo, table } from '../../proto/wire/messages.ts'

/** Phases of a topic that has a replica. */
export type ReplicaPhase = Exclude<Phase, 'unknown'>
export type ReplicaOutcome = Exclude<Outcome, 'bring' | 'empty'>

export function memberEntry(kind: MessageTo<'member'>['kind']): MemberEntry {
  return table[kind] as MemberEntry
}

export function isEpochBound(message: MessageTo<'member'>): message is EpochBound {
  return memberEntry(message.kind).epoch === 'opened'
}

/**
 * What is done with a message, whatever its epoch.
 * @param current the epoch opened here, 0 for none
 * @param newest the newest epoch known to be decided
 */
export function judge(
  message: MessageTo<'member'>,
  phase: ReplicaPhase,
  current: number,
  newest: number,
): ReplicaOutcome {
  const { kind, epoch } = message
  const entry = memberEntry(kind)
  if (entry.epoch === 'any') return entry.phases[phase]
  const ifClosed = entry.phases.closed
  if (epoch !== current) {
    if (epoch < current || epoch < newest) return ifClosed === 'handle' ? 'drop' : ifClosed
    return ifClosed === 'moved' && kind !== 'report' ? 'not-yet' : 'drop'
  }
  // A Get that may lag is answered from the frozen set too: what is durable is in every closing set.
  if (phase === 'wedged' && kind === 'collect' && message.level !== 'linearizable') return 'handle'
  return entry.phases[phase]
}
