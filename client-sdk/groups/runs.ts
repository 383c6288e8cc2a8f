import { parseMessageId } from '../../proto/ids.ts'
import type { Run } from './messages.ts'

/** Message ids as runs: what stands side by side is named once. */
export function runsOf(ids: readonly string[]): Run[] {
  const sorted = ids.map(parseMessageId).sort((a, b) => {
    if (a.epoch !== b.epoch) return a.epoch - b.epoch
    if (a.publisher !== b.publisher) return a.publisher < b.publisher ? -1 : 1
    return a.sequence - b.sequence
  })
  const runs: { -readonly [K in keyof Run]: Run[K] }[] = []
  for (const { epoch, publisher, sequence } of sorted) {
    const last = runs.at(-1)
    if (last?.epoch === epoch && last.publisher === publisher && last.last + 1 === sequence) last.last = sequence
    else runs.push({ epoch, publisher, first: sequence, last: sequence })
  }
  return runs
}
