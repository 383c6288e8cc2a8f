/** Definition 3: a message of an epoch that is over is in every Get of a later epoch, or in none ever. */
import { epochOf } from './history.ts'
import { type Broken, eachGiven, epochKey, type Indexed, isIn } from './indexed.ts'

export function checkSynchrony(indexed: Indexed, broken: Broken): void {
  const { history, invocations, closings } = indexed
  /** What anybody was ever given, by topic and epoch; also by those whose Gets came later. */
  const seen = new Map<string, Set<string>>()
  eachGiven(indexed, (topic, id, _value, i, who) => {
    const key = epochKey(topic, epochOf(id))
    const ids = seen.get(key) ?? new Set<string>()
    seen.set(key, ids)
    if (ids.has(id)) return
    ids.add(id)
    const closing = closings.get(key)
    if (closing !== undefined && !isIn(closing.closing, id))
      broken('I2', i, `${who} was given ${id}, which the closing set does not hold`)
  })
  for (const event of history) {
    if (event.kind !== 'ok' || event.f !== 'get') continue
    const invocation = invocations.get(event.op)
    const topic = invocation?.topic ?? ''
    const from = Math.max(event.floor, (invocation?.since?.epoch ?? 0) + 1)
    const counts = new Map<number, number>()
    for (const id of event.ids) counts.set(epochOf(id), (counts.get(epochOf(id)) ?? 0) + 1)
    for (let epoch = from; epoch < event.epoch; epoch++) {
      const expected = seen.get(epochKey(topic, epoch))
      if (expected === undefined || expected.size <= (counts.get(epoch) ?? 0)) continue
      const answer = new Set(event.ids)
      const missing = [...expected].find((id) => !answer.has(id))
      if (missing !== undefined)
        broken('I2', event.i, `Get ${event.op} in epoch ${event.epoch} lacks ${missing}, which others were given`)
    }
  }
}
