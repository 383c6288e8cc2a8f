/** When a client must know that there is space for what it publishes, after full disks. */
import type { Healed, Invocation } from './history.ts'
import type { Indexed } from './indexed.ts'

/** Milliseconds until a client knows of space that came back. */
const spaceMs = 2_000

/**
 * The moment from which an Add may not be refused any more for want of space. Space is back when the faults end, on every disk that
 * comes back; an epoch with a member that does not has space again only with the start of the one after it.
 */
export function spaceIsKnownAt(indexed: Indexed, healed: Healed, { topic, epoch }: Invocation): number {
  const { history, decisions } = indexed
  const isThere = new Map<string, boolean>()
  const members = new Set<string>()
  let successorAt = healed.at
  let hasSuccessor = false
  for (const event of history) {
    if (event.kind === 'boot') isThere.set(event.srv, true)
    if (event.kind === 'crash' || event.kind === 'diskLost' || event.kind === 'diskOld') isThere.set(event.srv, false)
    if (event.kind !== 'started' || event.topic !== topic || hasSuccessor) continue
    if (event.epoch === epoch) for (const one of decisions.get(event.rc)?.members ?? []) members.add(one)
    if (event.epoch <= epoch) continue
    hasSuccessor = true
    successorAt = Math.max(successorAt, event.at)
  }
  const lacksMember = [...members].some((one) => isThere.get(one) === false)
  return (lacksMember ? successorAt : healed.at) + spaceMs
}
