/** What a replica tells about its topic to whoever asks: how epochs ended, and in what state it is. */
import type { Decision } from '../../proto/configuration.ts'
import { type Epoch, nextEpoch } from '../../proto/ids.ts'
import { emptySet } from '../../proto/message-set.ts'
import type { Message, MessageOf } from '../../proto/wire/messages.ts'
import type { ReplicaPhase } from './outcomes.ts'
import type { TopicState } from './topic-state.ts'

const decisionBytesPerAnswer = 256 * 1024

/** The decisions that closed `since` and the epochs after it, as many as fit into one answer. */
export function answerChain(state: TopicState, since: Epoch): Message {
  const { topic, newest } = state
  const refused = { kind: 'refused', topic, epoch: since } as const
  if (newest === null) return { ...refused, refusal: 'unknown-topic', detail: topic }
  const decisions: Decision[] = []
  let bytes = 0
  for (let epoch = since; bytes < decisionBytesPerAnswer; epoch = nextEpoch(epoch)) {
    const decision = state.decisionOf(epoch)
    if (decision === undefined) break
    decisions.push(decision)
    bytes += decisionBytes(decision)
  }
  if (decisions.length === 0 && newest.epoch > since) {
    // It is over, but how is not known here: that is no answer, another server has one.
    return { ...refused, refusal: 'not-yet', detail: `how epoch ${since} ended is not known here` }
  }
  return { kind: 'decisions', topic, epoch: since, decisions, newest, enabled: state.enabledEpoch }
}

/** The replica's state, for people and for the plan of a change. */
export function describeCondition(
  state: TopicState,
  phase: ReplicaPhase,
  upcoming: Epoch | null,
  epoch: Epoch,
  timers: MessageOf<'condition'>['timers'],
): Message {
  const { topic, opened, newest, stagedCount, heldEpochs, enabledEpoch: enabled } = state
  const configuration = opened?.configuration ?? newest
  const promised = opened?.acceptor.promised
  return {
    kind: 'condition',
    topic,
    epoch,
    phase,
    ...(configuration && { configuration }),
    stored: opened?.holdings.snapshot() ?? emptySet,
    stagedCount,
    ...(promised && { promised }),
    heldEpochs,
    enabled,
    ...(upcoming !== null && { upcoming }),
    timers,
  }
}

/** About what a decision takes in a frame. */
function decisionBytes({ closing, next }: Decision): number {
  return 200 + 32 * closing.size + 100 * next.members.length
}
