/** One change of a history that a run recorded: what a wrong server, client or recorder would have left behind. */
import type { HistoryEvent } from '../../sim/check/history.ts'
import { epochOf, partsOf } from '../../sim/check/history.ts'
import { seededRandom } from '../../sim/seeded-random.ts'

export interface Mutation {
  readonly name: string
  readonly mutated: readonly HistoryEvent[]
}

const eachMax = 12

/**
 * Drops one element of a Get, swaps two deliveries of one publisher, changes an epoch in an id, gives twice, leaves a delivery
 * out, promises less. Only places where the change is wrong for certain: a Get that lacks what completed while it ran is right.
 */
export function mutationsOf(history: readonly HistoryEvent[], seed: number): Mutation[] {
  const random = seededRandom(seed)
  const durable = durableBefore(history)
  const all: Mutation[] = []
  const some = (mutations: Mutation[]) => {
    while (mutations.length > eachMax) mutations.splice(random.below(mutations.length), 1)
    all.push(...mutations)
  }
  const replaced = (at: number, event: HistoryEvent) => history.map((one, place) => (place === at ? event : one))
  some(
    history.flatMap((event, at) => {
      if (event.kind !== 'ok' || event.f !== 'get' || event.ids.length === 0) return []
      const place = event.ids.findIndex((id) => durable.get(event.op)?.has(id) === true)
      if (place < 0) return []
      const [ids, values] = [event.ids.toSpliced(place, 1), event.values.toSpliced(place, 1)]
      return [{ name: `Get ${event.op} lacks ${event.ids[place]}`, mutated: replaced(at, { ...event, ids, values }) }]
    }),
  )
  some(
    history.flatMap((event, at) => {
      if (event.kind !== 'ok' || event.f !== 'get' || event.ids.length === 0) return []
      const [id = '', value = ''] = [event.ids[0], event.values[0]]
      const wrong = idIn(id, event.epoch + 1)
      const ids = [wrong, ...event.ids.slice(1)]
      return [
        { name: `Get ${event.op} tags ${value} with another epoch`, mutated: replaced(at, { ...event, ids }) },
        {
          name: `Get ${event.op} returns ${value} twice`,
          mutated: replaced(at, { ...event, ids: [...event.ids, id], values: [...event.values, value] }),
        },
      ]
    }),
  )
  some(
    history.flatMap((event, at) => {
      if (event.kind !== 'dlv') return []
      const { epoch, pub } = partsOf(event.id)
      const next = history.findIndex(
        (other, place) =>
          place > at &&
          other.kind === 'dlv' &&
          other.sub === event.sub &&
          epochOf(other.id) === epoch &&
          partsOf(other.id).pub === pub,
      )
      const other = history[next]
      if (other?.kind !== 'dlv') return []
      const swapped = history.map((one, place) => {
        if (place === at) return { ...event, id: other.id, value: other.value }
        return place === next ? { ...other, id: event.id, value: event.value } : one
      })
      return [{ name: `subscription ${event.sub} gives ${other.id} before ${event.id}`, mutated: swapped }]
    }),
  )
  some(
    history.flatMap((event, at) => {
      if (event.kind !== 'dlv') return []
      const id = idIn(event.id, epochOf(event.id) + 1)
      const { sub } = event
      return [
        { name: `subscription ${sub} gives ${event.id} as ${id}`, mutated: replaced(at, { ...event, id }) },
        { name: `subscription ${sub} is not given ${event.id}`, mutated: history.filter((_, place) => place !== at) },
        { name: `subscription ${sub} is given ${event.id} twice`, mutated: history.toSpliced(at, 0, event) },
      ]
    }),
  )
  some(
    history.flatMap((event, at) => {
      if (event.kind !== 'ok' || event.f !== 'add') return []
      const id = idIn(event.id, epochOf(event.id) + 7)
      const { op } = event
      const failed = { kind: 'fail' as const, i: event.i, at: event.at, op, f: event.f, id: event.id, code: 'dropped' }
      return [
        { name: `add ${op} is acknowledged in another epoch`, mutated: replaced(at, { ...event, id }) },
        { name: `add ${op} is called dropped`, mutated: replaced(at, failed) },
      ]
    }),
  )
  some(
    history.flatMap((event, at) => {
      if (event.kind !== 'closed' || event.count === 0) return []
      return [
        {
          name: `subscription ${event.sub} is told another count`,
          mutated: replaced(at, { ...event, count: event.count - 1 }),
        },
      ]
    }),
  )
  some(
    history.flatMap((event, at) => {
      if (event.kind === 'ackSent') {
        const told = `${event.srv} acknowledges one more`
        return [{ name: told, mutated: replaced(at, { ...event, end: event.end + 1000 }) }]
      }
      if (event.kind === 'suspSent') {
        const [pub] = Object.keys(event.set)
        if (pub === undefined) return []
        const set = { ...event.set, [pub]: (event.set[pub] ?? 0) - 1 }
        return [{ name: `${event.srv} reports one less`, mutated: replaced(at, { ...event, set }) }]
      }
      return []
    }),
  )
  return all
}

function idIn(id: string, epoch: number): string {
  return `${epoch}${id.slice(id.indexOf('-'))}`
}

/** For every linearizable Get: what was acknowledged, given or returned before it began. */
function durableBefore(history: readonly HistoryEvent[]): ReadonlyMap<number, ReadonlySet<string>> {
  const known = new Set<string>()
  const levels = new Map<number, string | undefined>()
  const before = new Map<number, ReadonlySet<string>>()
  for (const event of history) {
    if (event.kind === 'inv' && event.f === 'get') {
      levels.set(event.op, event.level)
      if (event.level === 'linearizable') before.set(event.op, new Set(known))
    }
    if (event.kind === 'ok' && event.f === 'add') known.add(event.id)
    if (event.kind === 'dlv') known.add(event.id)
    if (event.kind === 'ok' && event.f === 'get' && levels.get(event.op) !== 'early')
      for (const id of event.ids) known.add(id)
  }
  return before
}
