/** What became of a publish: asked of the servers' frontiers while its epoch is open, of the epoch's decision afterwards. */
import type { Configuration, Decision } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import type { Epoch, MessageId, TopicName } from '../proto/ids.ts'
import { endOf, type MessageSet } from '../proto/message-set.ts'
import { Get, type GetResult } from './operations/get.ts'
import type { TopicContext } from './topic-context.ts'
import { type WaitOptions, waitFor } from './waiting.ts'

/**
 * - durable: on the disks of the quorum of an open epoch
 * - included, dropped: the epoch ended with it, without it
 * - pending: the epoch is open and no quorum holds it
 */
export type Outcome = 'durable' | 'included' | 'dropped' | 'pending'

export interface OutcomeOptions extends WaitOptions {
  /** Ends the epoch when the answer would be `pending`, so that there is one. */
  readonly settle?: boolean
}

type Asking = Pick<TopicContext, 'loop' | 'machine' | 'waits' | 'roll'>

/** @throws EpochcastError `EC_OUTCOME_EXPIRED` */
export async function outcomeOf(
  context: Asking,
  { epoch, publisher, sequence }: MessageId,
  configuration: Configuration,
  options: OutcomeOptions,
): Promise<Outcome> {
  const { topic } = configuration
  if (epoch === configuration.epoch) {
    const stored = await storedIn(context, topic, epoch, options)
    if (stored !== null) {
      if (endOf(stored, publisher) >= sequence) return 'durable'
      if (options.settle !== true) return 'pending'
      await context.roll(topic, epoch)
    }
  }
  const decision = await decisionOf(context, topic, epoch, options)
  if (decision === null) {
    throw new EpochcastError('EC_OUTCOME_EXPIRED', `nobody knows any more how epoch ${epoch} of ${topic} ended`)
  }
  return endOf(decision.closing, publisher) >= sequence ? 'included' : 'dropped'
}

/** A Get of numbers: what is durable now, without any message. */
export function durableNow(
  { machine, loop, waits }: Pick<TopicContext, 'loop' | 'machine' | 'waits'>,
  topic: TopicName,
  options: WaitOptions,
): Promise<GetResult> {
  return waitFor<GetResult>(waits, options, `outcome in ${topic}`, (resolve, reject) => {
    const done = (outcome: GetResult | EpochcastError) =>
      outcome instanceof Error ? reject(outcome) : resolve(outcome)
    const get = new Get('durable', 'numbers', machine.follower(topic), machine.servers, machine.requests, done)
    loop.call((out) => machine.addGet(get, topic, out))
    return () => loop.call((out) => get.failed(new EpochcastError('EC_ABORTED', 'given up'), out))
  })
}

/** What is durable in the open epoch; null when it ended meanwhile. */
async function storedIn(
  context: Asking,
  topic: TopicName,
  epoch: Epoch,
  options: WaitOptions,
): Promise<MessageSet | null> {
  const { position } = await durableNow(context, topic, options)
  return position.epoch === epoch && context.machine.follower(topic).epoch === epoch ? position.seen : null
}

function decisionOf(
  { machine, loop, waits }: Asking,
  topic: TopicName,
  of: Epoch,
  options: WaitOptions,
): Promise<Decision | null> {
  return waitFor(waits, options, `outcome in ${topic}`, (resolve) => {
    loop.call((out) => machine.follower(topic).want(of, resolve, out))
    return undefined
  })
}
