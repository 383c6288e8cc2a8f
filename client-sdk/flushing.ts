import type { TopicName } from '../proto/ids.ts'
import type { Loop } from '../proto/machine/loop.ts'
import { isCompanion } from './companion.ts'
import type { ClientCall, ClientMachine } from './machine.ts'
import type { FlushTally } from './operations/flush.ts'
import { type OpenWaits, type WaitOptions, waitFor } from './waiting.ts'

/** What became of the publishes that were pending when `flush` was called. */
export interface FlushResult {
  /** Of those that somebody still waited for: durable, or in the closing set of their epoch. */
  readonly durableCount: number
  /** Ids of those that their epoch ended without, and that were not to be published again (`onEpochEnd: 'settle'`). */
  readonly dropped: readonly string[]
}

/** Topics whose publishes are waited for. */
export type Flushed = (topic: TopicName) => boolean

/** Those of users: what groups and responders write for themselves is theirs to wait for. */
export const ofUsers: Flushed = (topic) => !isCompanion(topic)

export function flush(
  machine: ClientMachine,
  loop: Loop<ClientCall>,
  waits: OpenWaits,
  options: WaitOptions,
  isMeant: Flushed,
): Promise<FlushResult> {
  return waitFor<FlushResult>(waits, options, 'flush', (resolve) => {
    // After the publishes themselves, which resolve at the end of their turn.
    loop.call(() => flushAll(machine, isMeant, (result) => loop.call(() => resolve(result))))
    return undefined
  })
}

/**
 * Calls back once every publish that is pending now has an outcome, and everything that was given early until now is confirmed
 * or retracted. Neither depends on a reader that takes what it is given: a reader may wait for this in its own loop.
 */
export function flushAll(machine: ClientMachine, isMeant: Flushed, told: (result: FlushResult) => void): void {
  const publishers = machine.publishers().filter((one) => isMeant(one.topic))
  const readers = machine.subscriptions().filter((one) => isMeant(one.topic) && one.whenConfirmed !== undefined)
  const tallies: FlushTally[] = []
  let waiting = publishers.length + readers.length + 1
  const ended = (tally?: FlushTally) => {
    if (tally !== undefined) tallies.push(tally)
    if (--waiting > 0) return
    const durableCount = tallies.reduce((sum, one) => sum + one.durableCount, 0)
    told({ durableCount, dropped: tallies.flatMap((one) => one.dropped) })
  }
  for (const publisher of publishers) publisher.flush(ended)
  for (const reader of readers) reader.whenConfirmed?.(ended)
  ended()
}
