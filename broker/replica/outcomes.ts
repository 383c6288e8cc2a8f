/**
 * What each phase of a replica does with each message of its epoch or of another: a total table, so that a new message kind
 * does not compile until every phase has an answer.
 */
import type { MessageKind, MessageOf } from '../../proto/wire/messages.ts'

/**
 * - absent: nothing of the topic is here, or only staged state
 * - open: the newest epoch opened here takes stores
 * - wedged: it does not any more, and its decision is not known
 * - closed: its decision is known
 */
export const phases = ['absent', 'open', 'wedged', 'closed'] as const
export type Phase = (typeof phases)[number]

/**
 * - handle: done
 * - wedged, moved, not-yet: refused by that name
 * - drop: not answered; the sender tries again or somebody else answers
 */
export type Outcome = 'handle' | 'wedged' | 'moved' | 'not-yet' | 'drop'

/** Messages that belong to the epoch that this server has opened; other epochs are `moved` or `not-yet`. */
export type EpochBound = Extract<
  MessageKind,
  'batch' | 'subscribe' | 'collect' | 'complete' | 'report' | 'wedge' | 'accept' | 'credit' | 'unsubscribe' | 'ask-room'
>

export const outcomes: Record<Phase, Record<EpochBound, Outcome>> = {
  absent: {
    batch: 'not-yet',
    subscribe: 'not-yet',
    collect: 'not-yet',
    complete: 'not-yet',
    report: 'drop',
    // A member that has not opened its epoch stays silent: it never reports an empty set.
    wedge: 'drop',
    accept: 'drop',
    credit: 'drop',
    unsubscribe: 'drop',
    'ask-room': 'not-yet',
  },
  open: {
    batch: 'handle',
    subscribe: 'handle',
    collect: 'handle',
    complete: 'handle',
    report: 'handle',
    wedge: 'handle',
    accept: 'handle',
    credit: 'handle',
    unsubscribe: 'handle',
    'ask-room': 'handle',
  },
  wedged: {
    batch: 'wedged',
    // Numbers and bodies inside the reported vector may still be told; the quorum is counted by the subscriber.
    subscribe: 'handle',
    collect: 'wedged',
    complete: 'wedged',
    report: 'drop',
    wedge: 'handle',
    accept: 'handle',
    credit: 'handle',
    unsubscribe: 'handle',
    'ask-room': 'wedged',
  },
  closed: {
    batch: 'moved',
    subscribe: 'moved',
    collect: 'moved',
    complete: 'moved',
    report: 'moved',
    wedge: 'moved',
    accept: 'moved',
    credit: 'drop',
    unsubscribe: 'handle',
    'ask-room': 'moved',
  },
}

/**
 * What is done with a message, whatever its epoch.
 * @param current the epoch opened here, 0 for none
 * @param newest the newest epoch known to be decided
 */
export function judge(message: MessageOf<EpochBound>, phase: Phase, current: number, newest: number): Outcome {
  const { kind, epoch } = message
  const ifClosed = outcomes.closed[kind]
  if (epoch !== current) {
    if (epoch < current || epoch < newest) return ifClosed === 'handle' ? 'drop' : ifClosed
    return ifClosed === 'moved' && kind !== 'report' ? 'not-yet' : 'drop'
  }
  // A Get that may lag is answered from the frozen set too: what is durable is in every closing set.
  if (phase === 'wedged' && kind === 'collect' && message.level !== 'linearizable') return 'handle'
  return outcomes[phase][kind]
}
