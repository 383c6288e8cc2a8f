/** Definition 1, and what one client may expect of itself: whatever was durable when a Get began is in its answer. */
import type { Invocation } from './history.ts'
import { epochOf } from './history.ts'
import { type Broken, type GetEnd, type Indexed, isLeftOut, lastingIds } from './indexed.ts'

/** Messages in the order in which they became known, each once. */
class Growing {
  readonly ids: string[] = []
  readonly #known = new Set<string>()

  add(id: string): void {
    if (this.#known.has(id)) return
    this.#known.add(id)
    this.ids.push(id)
  }
}

/**
 * I1: everything acknowledged, delivered or returned before a linearizable Get began is in its answer. RYA and MONO: what a
 * client was acknowledged or given is in every later Get of its own, at every level but `early`.
 */
export function checkDurability(indexed: Indexed, broken: Broken): void {
  const { history, invocations } = indexed
  const durable = new Map<string, Growing>()
  const acknowledged = new Map<string, Growing>()
  const returned = new Map<string, Growing>()
  const lengths = new Map<number, readonly [number, number, number]>()
  const of = (all: Map<string, Growing>, key: string): Growing => {
    const known = all.get(key) ?? new Growing()
    all.set(key, known)
    return known
  }
  for (const event of history) {
    switch (event.kind) {
      case 'inv': {
        if (event.f !== 'get') break
        const own = `${event.client} ${event.topic}`
        lengths.set(event.op, [
          of(durable, event.topic).ids.length,
          of(acknowledged, own).ids.length,
          of(returned, own).ids.length,
        ])
        break
      }
      case 'dlv': {
        if (event.early === true) break
        of(durable, event.topic).add(event.id)
        const client = invocations.get(event.sub)?.client
        of(returned, `${client} ${event.topic}`).add(event.id)
        break
      }
      case 'confirmed':
        of(durable, event.topic).add(event.id)
        break
      case 'ok': {
        const invocation = invocations.get(event.op)
        if (invocation === undefined) break
        const { topic, client } = invocation
        const own = `${client} ${topic}`
        if (event.f === 'add') {
          of(durable, topic).add(event.id)
          of(acknowledged, own).add(event.id)
        }
        if (event.f !== 'get') break
        const [before, acks, given] = lengths.get(event.op) ?? [0, 0, 0]
        const answer = new Set(event.ids)
        const lacks = (all: Growing, count: number) => firstMissing(all.ids, count, answer, event, invocation)
        if (invocation.level === 'linearizable' || invocation.level === undefined) {
          const missing = lacks(of(durable, topic), before)
          if (missing !== null)
            broken('I1', event.i, `Get ${event.op} of ${client} lacks ${missing}, durable before it began`)
        }
        if (invocation.level !== 'early') {
          const lost = lacks(of(acknowledged, own), acks)
          if (lost !== null)
            broken('RYA', event.i, `Get ${event.op} of ${client} lacks ${lost}, acknowledged to itself`)
          const gone = lacks(of(returned, own), given)
          if (gone !== null)
            broken('MONO', event.i, `Get ${event.op} of ${client} lacks ${gone}, which it had been given`)
        }
        for (const id of lastingIds(event, invocation)) {
          of(durable, topic).add(id)
          of(returned, own).add(id)
        }
        break
      }
      default:
    }
  }
  checkFloors(indexed, broken)
}

function firstMissing(
  ids: readonly string[],
  count: number,
  answer: ReadonlySet<string>,
  get: GetEnd,
  invocation: Invocation,
): string | null {
  for (let at = 0; at < count; at++) {
    const id = ids[at] as string
    if (answer.has(id) || epochOf(id) < get.floor || isLeftOut(invocation, id)) continue
    return id
  }
  return null
}

/** A Get may leave out what is below a floor that was decided, and nothing else. */
function checkFloors({ history, decisions }: Indexed, broken: Broken): void {
  if (decisions.size === 0) return
  let highest = 1
  for (const event of history) {
    if (event.kind === 'rc') highest = Math.max(highest, event.floor)
    if (event.kind === 'ok' && event.f === 'get' && event.floor > highest)
      broken('I1', event.i, `Get ${event.op} leaves out what is below ${event.floor}, a floor that nobody decided`)
  }
}
