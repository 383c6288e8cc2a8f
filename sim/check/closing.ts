/** I6 and T6: a closing set holds every completed operation, and is on enough disks before it is proposed and where it opens. */
import { epochOf } from './history.ts'
import { type Broken, eachGiven, epochKey, type Indexed, isIn } from './indexed.ts'

export function checkClosings(indexed: Indexed, broken: Broken): void {
  checkCompleted(indexed, broken)
  if (indexed.isTotal) checkHeld(indexed, broken)
}

/** Whatever was acknowledged or given at any time is in the set that closed its epoch. */
function checkCompleted(indexed: Indexed, broken: Broken): void {
  const { history, invocations, closings } = indexed
  const completed = (topic: string, id: string, i: number) => {
    const closing = closings.get(epochKey(topic, epochOf(id)))
    if (closing !== undefined && !isIn(closing.closing, id))
      broken('I6', i, `${id} completed, and the closing set of its epoch (${closing.rc}) lacks it`)
  }
  for (const event of history) {
    if (event.kind === 'ok' && event.f === 'add') completed(invocations.get(event.op)?.topic ?? '', event.id, event.i)
  }
  const seen = new Set<string>()
  eachGiven(indexed, (topic, id, _value, i) => {
    const key = `${topic} ${id}`
    if (seen.has(key)) return
    seen.add(key)
    completed(topic, id, i)
  })
}

/** Which bodies each disk holds, stored or staged, when a decision is proposed and when it opens the next epoch. */
function checkHeld({ history, decisions }: Indexed, broken: Broken): void {
  const held = new Map<string, Map<string, number>>()
  const known = new Set<string>()
  const lacks = (srv: string, topic: string, epoch: number, set: Readonly<Record<string, number>>): string | null => {
    const ends = held.get(`${srv} ${epochKey(topic, epoch)}`)
    for (const pub in set) {
      const end = set[pub] ?? 0
      if ((ends?.get(pub) ?? 0) < end) return `${epoch}-${pub}-${end}`
    }
    return null
  }
  for (const event of history) {
    if (event.kind === 'stored' || event.kind === 'staged') {
      const key = `${event.srv} ${epochKey(event.topic, event.epoch)}`
      const ends = held.get(key) ?? new Map<string, number>()
      held.set(key, ends)
      ends.set(event.pub, Math.max(ends.get(event.pub) ?? 0, event.last))
    }
    if (event.kind !== 'started' && event.kind !== 'proposed') continue
    const decision = decisions.get(event.rc)
    if (decision === undefined || decision.epoch === 0) continue
    const { topic, epoch, closing } = decision
    if (event.kind === 'started') {
      const missing = lacks(event.srv, topic, epoch, closing)
      if (missing !== null) broken('I6', event.i, `${event.srv} opens epoch ${epoch + 1} without ${missing}`)
      continue
    }
    // An adopted proposal was staged before it was first proposed.
    const slot = `${event.to} ${event.rc}`
    if (known.has(slot)) continue
    known.add(slot)
    const ready = decision.members.filter((srv) => lacks(srv, topic, epoch, closing) === null).length
    const quorum =
      decision.mode === 'fault-masking' ? Math.floor(decision.members.length / 2) + 1 : decision.members.length
    if (ready < quorum) broken('T6', event.i, `${event.rc} is proposed while ${ready} of its members hold its messages`)
  }
}
