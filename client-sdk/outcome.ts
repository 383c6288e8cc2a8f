/** What became of a publish: asked of the servers' frontiers while its epoch is open, of the epoch's decision afterwards. */
import type { Configuration, Decision } from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type Epoch, type MessageId, parseMessageId, type TopicName } from '../proto/ids.ts'
import { endOf } from '../proto/message-set.ts'
import { Get, type GetResult } from './operations/get.ts'
import type { TopicContext } from './topic-context.ts'
import { type WaitOptions, waitFor } from './waiting.ts'

/**
 * - durable: on the disks of the quorum of an open epoch
 * - included, dropped: the epoch ended with it, without it
 * - pending: the epoch is open, and no quorum held it when it was asked about
 */
export type Outcome = 'durable' | 'included' | 'dropped' | 'pending'

export interface OutcomeOptions extends WaitOptions {
  /** Ends the epoch when the answer would be `pending`, so that there is one. */
  readonly settle?: boolean
}

/** How long members may take to tell before the epoch is ended instead. */
const settleMs = 2_000

type Asking = Pick<TopicContext, 'loop' | 'machine' | 'waits' | 'roll'>

/** @throws EpochcastError `EC_BAD_ARGUMENT` for no id, or an epoch that has not begun; `EC_OUTCOME_EXPIRED` */
export async function outcomeOf(
  context: Asking,
  id: string,
  configuration: Configuration,
  options: OutcomeOptions,
): Promise<Outcome> {
  const { epoch, publisher, sequence } = parseMessageId(id)
  const { topic } = configuration
  if (epoch > configuration.epoch) {
    throw new EpochcastError(
      'EC_BAD_ARGUMENT',
      `epoch ${epoch} of ${topic} has not begun; the newest is ${configuration.epoch}`,
    )
  }
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
 * are asked in a linearizable way. They may not be able to tell while one of them is away; with `settle` the end of the epoch
 * tells, and it is not waited for longer.
 */
async function standingOf(
  context: Asking,
  topic: TopicName,
  id: MessageId,
  options: OutcomeOptions,
): Promise<'durable' | 'pending' | 'unclear' | 'ended'> {
  const asks = [
    () => durableNow(context, topic, options),
    () => numbersNow(context, topic, id, options.settle === true ? within(options, settleMs) : options),
  ]
  try {
    for (const ask of asks) {
      const { position } = await ask()
      if (position.epoch !== id.epoch || context.machine.follower(topic).epoch !== id.epoch) return 'ended'
      if (endOf(position.seen, id.publisher) >= id.sequence) return 'durable'
    }
    return 'pending'
  } catch (error) {
    const isLate = error instanceof EpochcastError && error.code === 'EC_TIMEOUT'
    if (!isLate || options.settle !== true || (options.timeoutMs ?? settleMs + 1) <= settleMs) throw error
    return 'unclear'
  }
}

function within(options: WaitOptions, timeoutMs: number): WaitOptions {
  return { ...options, timeoutMs: Math.min(timeoutMs, options.timeoutMs ?? timeoutMs) }
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
