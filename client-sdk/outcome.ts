/** What became of a publish: asked of the servers' frontiers while its epoch is open, of the epoch's decision afterwards. */
import type { Configuration, Decision } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import type { Epoch, MessageId, TopicName } from '../proto/ids.ts'
import { endOf } from '../proto/message-set.ts'
import { Get, type GetResult } from './operations/get.ts'
import type { TopicContext } from './topic-context.ts'
import { type WaitOptions, waitFor } from './waiting.ts'

/**
 * - durable: on the disks of the quorum of an open epoch
 * - included, dropped: the epoch ended with it, without it
 * - pending: the epoch is open, and no quorum held it when it was asked about, as far as members answered within two seconds:
 *   where one is away without which nobody can tell, only the end of the epoch tells
 */
export type Outcome = 'durable' | 'included' | 'dropped' | 'pending'

export interface OutcomeOptions extends WaitOptions {
  /** Ends the epoch when the answer would be `pending`, so that there is one. */
  readonly settle?: boolean
}

/** How long members may take to tell how a message of the open epoch stands. */
const answerMs = 2_000

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
    const standing = await standingOf(context, topic, { epoch, publisher, sequence }, options)
    if (standing === 'durable') return 'durable'
    if (standing === 'pending' && options.settle !== true) return 'pending'
    if (standing !== 'ended') await context.roll(topic, epoch, options)
  }
  const decision = await decisionOf(context, topic, epoch, options)
  if (decision === null) {
    throw new EpochcastError('EC_OUTCOME_EXPIRED', `nobody knows any more how epoch ${epoch} of ${topic} ended`)
  }
  return endOf(decision.closing, publisher) >= sequence ? 'included' : 'dropped'
}

/** A Get of numbers: what is durable now, without any message. */
export function durableNow(context: Numbers, topic: TopicName, options: WaitOptions): Promise<GetResult> {
  return numbersNow(context, topic, null, options)
}

type Numbers = Pick<TopicContext, 'loop' | 'machine' | 'waits'>

/** @param id null for what is known to be durable; else linearizable, as far as it takes to know about this message */
function numbersNow(
  { machine, loop, waits }: Numbers,
  topic: TopicName,
  id: MessageId | null,
  options: WaitOptions,
): Promise<GetResult> {
  return waitFor<GetResult>(waits, options, `outcome in ${topic}`, (resolve, reject) => {
    const done = (outcome: GetResult | EpochcastError) =>
      outcome instanceof Error ? reject(outcome) : resolve(outcome)
    const { servers, requests } = machine
    const get = new Get(
      id === null ? 'durable' : 'linearizable',
      'numbers',
      machine.follower(topic),
      servers,
      requests,
      done,
      id,
    )
    loop.call((out) => machine.addGet(get, topic, out))
    return () => loop.call((out) => get.failed(new EpochcastError('EC_ABORTED', 'given up'), out))
  })
}

/**
 * How a message of the open epoch stands. What is known to be durable may be behind, so before it is called pending the members
 * are asked in a linearizable way.
 */
async function standingOf(
  context: Asking,
  topic: TopicName,
  id: MessageId,
  options: WaitOptions,
): Promise<'durable' | 'pending' | 'ended'> {
  const isShort = (options.timeoutMs ?? answerMs + 1) <= answerMs
  const limits = isShort ? options : { ...options, timeoutMs: answerMs }
  const asks = [() => durableNow(context, topic, options), () => numbersNow(context, topic, id, limits)]
  try {
    for (const ask of asks) {
      const { position } = await ask()
      if (position.epoch !== id.epoch || context.machine.follower(topic).epoch !== id.epoch) return 'ended'
      if (endOf(position.seen, id.publisher) >= id.sequence) return 'durable'
    }
    return 'pending'
  } catch (error) {
    const isLate = error instanceof EpochcastError && error.code === 'EC_TIMEOUT' && (options.timeoutMs ?? 1) > 0
    if (!isLate || isShort) throw error
    return 'pending'
  }
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
