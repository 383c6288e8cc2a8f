/**
 * I3: an id has one outcome, told truthfully by everybody, and a dropped message never appears; nor does one of which its caller
 * was told, when it gave up, that it was never sent.
 */
import { epochOf } from './history.ts'
import { type Broken, eachGiven, epochKey, type Indexed, isIn } from './indexed.ts'

interface Told {
  readonly isIn: boolean
  readonly i: number
  readonly who: string
}

export function checkOutcomes(indexed: Indexed, broken: Broken): void {
  const { history, invocations, closings } = indexed
  const told = new Map<string, Told>()
  /** Values whose callers gave up: they are not sent anew. */
  const givenUp = new Set<string>()
  /** Those of them that never left their clients. */
  const withdrawn = new Set<string>()
  /** When messages were told to be durable in the open epoch. */
  const durable = new Map<string, number>()
  const say = (topic: string, id: string, included: boolean, i: number, who: string) => {
    const key = `${topic} ${id}`
    const before = told.get(key)
    if (before === undefined) told.set(key, { isIn: included, i, who })
    else if (before.isIn !== included)
      broken(
        'I3',
        Math.max(i, before.i),
        `${id}: ${textOf(before.isIn)} for ${before.who}, ${textOf(included)} for ${who}`,
      )
    const closing = closings.get(epochKey(topic, epochOf(id)))
    if (closing !== undefined && isIn(closing.closing, id) !== included)
      broken('I3', i, `${who} was told that ${id} is ${textOf(included)}, and the closing set says otherwise`)
  }
  // Elsewhere members that could tell may be away for longer than a caller waits.
  const [header] = history
  const isTotal = header?.kind === 'header' && header.order === 'total'
  let healed = false
  for (const event of history) {
    if (event.kind === 'healed') healed = true
    if (event.kind === 'sent') {
      const back = event.values.find((value) => givenUp.has(`${event.topic} ${value}`))
      if (back !== undefined) broken('I3', event.i, `${back} is sent anew, and its caller has given up`)
    }
    if (event.kind === 'retracted') say(event.topic, event.id, false, event.i, `subscription ${event.sub}`)
    if (event.kind !== 'ok' && event.kind !== 'fail' && event.kind !== 'info') continue
    const invocation = invocations.get(event.op)
    if (invocation === undefined) continue
    const { topic, client } = invocation
    if (event.kind === 'info') {
      if (event.code === 'EC_OUTCOME_UNKNOWN') givenUp.add(`${topic} ${invocation.value}`)
      continue
    }
    if (event.kind === 'fail') {
      if (event.f === 'add' && event.id !== undefined) say(topic, event.id, false, event.i, client)
      else if (event.f === 'add') {
        givenUp.add(`${topic} ${invocation.value}`)
        withdrawn.add(`${topic} ${invocation.value}`)
      }
      continue
    }
    if (event.f === 'add') say(topic, event.id, true, event.i, client)
    if (event.f === 'add' && event.status === 'durable') durable.set(`${topic} ${event.id}`, event.i)
    if (isTotal && event.f === 'outcome' && event.outcome === 'pending') {
      const since = durable.get(`${topic} ${invocation.id}`) ?? Number.POSITIVE_INFINITY
      if (since < invocation.i)
        broken('I3', event.i, `${invocation.id} is pending, and was durable before it was asked about`)
    }
    if (event.f !== 'outcome' || invocation.id === undefined) continue
    if (event.outcome === 'dropped') say(topic, invocation.id, false, event.i, client)
    if (event.outcome === 'durable' || event.outcome === 'included') say(topic, invocation.id, true, event.i, client)
    const isOver = healed && epochOf(invocation.id) < invocation.epoch
    if (event.outcome === 'pending' && isOver)
      broken('I3', event.i, `${invocation.id} is still pending, and its epoch is over`)
  }
  eachGiven(indexed, (topic, id, value, i, who) => {
    if (withdrawn.has(`${topic} ${value}`)) broken('I3', i, `${who} was given ${value}, which was withdrawn`)
    if (told.get(`${topic} ${id}`)?.isIn === false) broken('I3', i, `${who} was given ${id}, which was dropped`)
  })
}

function textOf(included: boolean): string {
  return included ? 'kept' : 'dropped'
}
