import type { TopicName } from '../proto/ids.ts'
import type { Loop } from '../proto/machine/loop.ts'
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

/** @param topic null for all of a client's */
export function flush(
  machine: ClientMachine,
  loop: Loop<ClientCall>,
  waits: OpenWaits,
  options: WaitOptions,
  topic: TopicName | null,
): Promise<FlushResult> {
  return waitFor<FlushResult>(waits, options, 'flush', (resolve) => {
    loop.call(() => {
      const isMeant = (one: { readonly topic: TopicName }) => topic === null || one.topic === topic
      const publishers = machine.publishers().filter(isMeant)
      const readers = machine.subscriptions().filter((one) => isMeant(one) && one.whenConfirmed !== undefined)
      const tallies: FlushTally[] = []
      let waiting = publishers.length + readers.length + 1
      const told = (tally?: FlushTally) => {
        if (tally !== undefined) tallies.push(tally)
        if (--waiting > 0) return
        const durableCount = tallies.reduce((sum, one) => sum + one.durableCount, 0)
        const result = { durableCount, dropped: tallies.flatMap((one) => one.dropped) }
        // After the publishes themselves, which resolve at the end of this turn.
        loop.call(() => resolve(result))
      }
      for (const publisher of publishers) publisher.flush(told)
      for (const reader of readers) reader.whenConfirmed?.(told)
      told()
    })
    return undefined
  })
}
