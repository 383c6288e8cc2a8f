/**
 * Whether a position exists. A cursor, a message id or the number of an epoch may be ahead of what this client knows, because it
 * has not heard the news; or of everything that was ever decided, because it is none of this topic. The first is waited for, the
 * second refused: nothing would ever come from there.
 */

import type { Configuration } from '../proto/configuration.ts'
import { refusal } from '../proto/door/refusal.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type Epoch, epoch, type TopicName } from '../proto/ids.ts'
import type { Loop } from '../proto/machine/loop.ts'
import { after } from '../proto/timer.ts'
import type { EpochFollower, Follower } from './follower.ts'
import type { ClientCall, ClientMachine } from './machine.ts'
import { limitsOf, type OpenWaits, type WaitOptions, waitFor } from './waiting.ts'

interface Asking {
  readonly loop: Loop<ClientCall>
  readonly machine: ClientMachine
  readonly waits: OpenWaits
  /** The newest configuration of a topic, as its members and those who keep the newest ones know it. */
  readonly admin: { topic(name: string, options: WaitOptions): Promise<Configuration> }
}

/** Members may not have heard yet of an epoch that was decided: how long is it looked for, in milliseconds. */
const pausesMs = [100, 300, 600]

/**
 * Waits until this client knows the epoch of a position.
 * @param ahead how many epochs behind the newest one may be named: 1 where the next one may be waited for
 * @throws EpochcastError `EC_BAD_ARGUMENT` for an epoch that has not begun
 */
export async function mustExist(
  context: Asking,
  topic: TopicName,
  of: Epoch,
  ahead: 0 | 1,
  options: WaitOptions,
): Promise<void> {
  const follower = context.machine.follower(topic)
  const isKnown = () => follower.epoch !== null && of <= follower.epoch
  if (isKnown()) return
  let newest = epoch(0)
  for (const pauseMs of [0, ...pausesMs]) {
    await pause(context, pauseMs, options)
    if (isKnown()) return
    newest = await newestOf(context, topic, options)
    if (of <= newest && newest > 0) return catchUp(context, follower, of, options)
    // The next one may be waited for, and what precedes the first is the beginning: neither needs a second look.
    if (of <= newest + ahead) return
  }
  const text = newest === 0 ? 'it has none' : `its newest is ${newest}`
  throw refusal(`epoch ${of} of ${topic} has not begun: ${text}`, 'a position of another cluster, or an epoch to come')
}

/** The newest epoch that the members, or those who keep the newest configurations, know; 0 for a topic that is not there. */
async function newestOf({ admin, machine, loop }: Asking, topic: TopicName, options: WaitOptions): Promise<Epoch> {
  try {
    const newest = await admin.topic(topic, limitsOf(options))
    loop.call((out) => machine.follower(topic).heard(newest, out))
    return newest.epoch
  } catch (error) {
    if (error instanceof EpochcastError && error.code === 'EC_UNKNOWN_TOPIC') return epoch(0)
    throw error
  }
}

/** Resolves once the follower is in that epoch or a later one. */
function catchUp({ loop, waits }: Asking, follower: Follower, of: Epoch, options: WaitOptions): Promise<void> {
  return waitFor<void>(waits, limitsOf(options), `epoch ${of} of ${follower.topic}`, (resolve, reject) => {
    const end = (settle: () => void) => {
      follower.remove(once)
      settle()
    }
    const look = (now: Epoch) => {
      if (now >= of) end(resolve)
    }
    const once: EpochFollower = {
      begun: (configuration) => look(configuration.epoch),
      moved: (decision) => look(decision.next.epoch),
      failed: (error) => end(() => reject(error)),
    }
    loop.call((out) => follower.add(once, out, false), reject)
    return () => loop.call(() => follower.remove(once))
  })
}

function pause({ waits }: Asking, pauseMs: number, options: WaitOptions): Promise<void> {
  if (pauseMs === 0) return Promise.resolve()
  return waitFor<void>(waits, limitsOf(options), 'waiting for news', (resolve) => after(pauseMs, () => resolve()))
}
