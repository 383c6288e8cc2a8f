/**
 * State of one topic on its members: those of the newest epoch, and while that is not enabled those before them, which hold what it is
 * to begin with.
 */
import { type Configuration, enabledQuorum, isMember, type Member } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import { beforeFirst, type Epoch, previousEpoch, serverIdOf } from '../proto/ids.ts'
import { tickMs } from '../proto/machine/contract.ts'
import { emptySet } from '../proto/message-set.ts'
import type { MessageOf } from '../proto/wire/messages.ts'
import { printable } from './printing.ts'

/** One topic on one server. */
export interface ReplicaInfo {
  readonly server: string
  /**
   * `open`, `wedged`, `closed`: of the newest epoch that it has begun. `starting`: it is to begin the newest epoch, and fetches what it
   * lacks or waits for the decision. `absent`: nothing of the topic is there. `silent`: no answer came.
   */
  readonly phase: string
  readonly epoch: Epoch | null
  /** A member of an earlier epoch, which has to stay up until the newest one is enabled. */
  readonly isOld: boolean
  readonly storedCount: number
  readonly stored: MessageOf<'condition'>['stored']
  readonly stagedCount: number
  readonly heldEpochs: number
  /** Timers of the topic that are set there, the next one first: a topic that waits for nothing has none. */
  readonly timers: readonly TopicTimer[]
}

/** A timer of one topic on one server. */
export interface TopicTimer {
  readonly name: string
  /** Milliseconds until it rings. */
  readonly inMs: number
}

interface ReplicaQuestions {
  /** @throws EpochcastError `EC_TIMEOUT` */
  condition(member: Member, of: Epoch): Promise<MessageOf<'condition'>>
  /** The decisions that closed `from` and later epochs. @throws EpochcastError where no server tells */
  chain(from: Epoch): Promise<MessageOf<'decisions'>>
}

interface Answer {
  readonly member: Member
  readonly condition: MessageOf<'condition'> | null
}

export async function replicasOf(newest: Configuration, ask: ReplicaQuestions): Promise<readonly ReplicaInfo[]> {
  const answers = await conditionsOf(newest.members, newest.epoch, ask)
  const replicas = answers.map((answer) => replicaOf(answer, newest, false))
  const begun = answers.filter(({ condition }) => hasBegun(condition, newest.epoch)).length
  const enabled = highest(answers.map(({ condition }) => condition?.enabled ?? beforeFirst))
  if (begun >= enabledQuorum(newest) || enabled >= newest.epoch) return replicas
  const before = await membersBefore(newest, enabled, ask)
  const old = await conditionsOf(before, newest.epoch, ask)
  return [...replicas, ...old.map((answer) => replicaOf(answer, newest, true))]
}

function conditionsOf(members: readonly Member[], of: Epoch, ask: ReplicaQuestions): Promise<Answer[]> {
  const asked = members.map(async (member): Promise<Answer> => {
    try {
      return { member, condition: await ask.condition(member, of) }
    } catch (error) {
      if (!(error instanceof EpochcastError) || error.code !== 'EC_TIMEOUT') throw error
      return { member, condition: null }
    }
  })
  return Promise.all(asked)
}

function hasBegun(condition: Answer['condition'], epoch: Epoch): boolean {
  return condition !== null && condition.phase !== 'absent' && (condition.configuration?.epoch ?? 0) >= epoch
}

/** Members of the epochs that are not known to be over: the enabled one and those after it, but for members of the newest. */
async function membersBefore(newest: Configuration, known: Epoch, ask: ReplicaQuestions): Promise<Member[]> {
  if (newest.epoch <= 1) return []
  try {
    let from = previousEpoch(known > 0 ? known : previousEpoch(newest.epoch))
    let chain = await ask.chain(from)
    const enabled = highest([known, chain.enabled])
    // The epoch before the newest may not have begun either.
    const least = previousEpoch(enabled > 1 ? enabled : (1 as Epoch))
    if (least < from) {
      from = least
      chain = await ask.chain(from)
    }
    const earlier = chain.decisions
      .map(({ next }) => next)
      .filter(({ epoch }) => epoch < newest.epoch && epoch >= enabled)
    const members = earlier.flatMap((one) => one.members).filter(({ name }) => !isMember(newest, name))
    return members.filter(({ name }, at) => members.findIndex((other) => other.name === name) === at)
  } catch (error) {
    // Where nobody tells how earlier epochs ended, the newest members alone are shown.
    if (error instanceof EpochcastError && (error.code === 'EC_TIMEOUT' || error.code === 'EC_UNKNOWN_TOPIC')) return []
    throw error
  }
}

function replicaOf({ member, condition }: Answer, newest: Configuration, isOld: boolean): ReplicaInfo {
  const server = serverIdOf(member.name)
  if (condition === null) {
    const nothing = { storedCount: 0, stored: emptySet, stagedCount: 0, heldEpochs: 0, timers: [] }
    return { server, phase: 'silent', epoch: null, isOld, ...nothing }
  }
  const { stored, stagedCount, heldEpochs, upcoming = 0 } = condition
  let storedCount = 0
  for (const { end } of stored.values()) storedCount += end
  const isStarting = !isOld && !hasBegun(condition, newest.epoch) && upcoming >= newest.epoch
  const phase = isStarting ? 'starting' : condition.phase
  return {
    server,
    phase,
    epoch: condition.configuration?.epoch ?? null,
    isOld,
    storedCount,
    stored: printable(stored),
    stagedCount,
    heldEpochs,
    timers: condition.timers.map(({ name, ticks }) => ({ name, inMs: ticks * tickMs })),
  }
}

function highest(epochs: readonly Epoch[]): Epoch {
  let most = beforeFirst
  for (const epoch of epochs) if (epoch > most) most = epoch
  return most
}
