/** L1 to L5: once the faults are over, everything that was asked for comes to an end, in time. */
import type { Fail, Healed, Info, Invocation, Ok } from './history.ts'
import { type Broken, epochKey, type Indexed } from './indexed.ts'
import { spaceIsKnownAt } from './space.ts'

/** How often another coordinator outranks the one before, until an epoch has ended. */
const duelsMax = 40
/** Latencies below this are all alike. */
const idleLeastMs = 10
const samplesLeast = 5

export function checkLiveness(indexed: Indexed, broken: Broken): void {
  const healed = indexed.history.find((event): event is Healed => event.kind === 'healed')
  const isHopeless = indexed.history.some((event) => event.kind === 'end' && event.hopeless === true)
  if (healed !== undefined && !isHopeless) {
    checkEnds(indexed, healed, broken)
    checkWedges(indexed, healed, broken)
    checkRates(indexed, healed, broken)
  }
  checkPressure(indexed, broken)
}

/** L1: operations; L2: changes, also those that were pending. */
function checkEnds(indexed: Indexed, healed: Healed, broken: Broken): void {
  const { history, invocations, ends } = indexed
  const gone = new Set<string>()
  for (const event of history) if (event.kind === 'gone') gone.add(event.client)
  const last = history[history.length - 1]
  const until = last?.at ?? healed.at
  for (const invocation of invocations.values()) {
    const { op, f, client, at } = invocation
    if (f === 'subscribe' || gone.has(client)) continue
    const isChange = f === 'reconf'
    const end = ends.get(op)
    if (end !== undefined && end.at < healed.at) continue
    const bound = Math.max(at, healed.at) + (isChange ? healed.changeMs : healed.operationMs)
    const rule = isChange ? 'L2' : 'L1'
    if (end === undefined && until >= bound) broken(rule, last?.i ?? 0, `${textOf(invocation)} never ended`)
    else if (end !== undefined && end.at > bound) broken(rule, end.i, `${textOf(invocation)} ended too late`)
    else if (
      end !== undefined &&
      end.kind !== 'ok' &&
      at >= healed.at &&
      !isChange &&
      !isDropped(end) &&
      !isRefusedLate(indexed, invocation, end, healed)
    )
      broken('L1', end.i, `${textOf(invocation)} failed: ${end.code}`)
  }
}

function isDropped(end: Ok | Fail | Info): boolean {
  return end.kind === 'fail' && end.code === 'dropped'
}

/** A client finds out a moment later that there is space again; until then it refuses what has not left. */
function isRefusedLate(indexed: Indexed, invocation: Invocation, end: Ok | Fail | Info, healed: Healed): boolean {
  if (end.kind !== 'fail' || end.code !== 'EC_DISK_FULL') return false
  return end.at < spaceIsKnownAt(indexed, healed, invocation)
}

/** L2: no epoch stays wedged without a successor. */
function checkWedges({ history }: Indexed, healed: Healed, broken: Broken): void {
  const wedgedAt = new Map<string, number>()
  const newest = new Map<string, number>()
  for (const event of history) {
    if (event.kind === 'wedged') {
      const key = epochKey(event.topic, event.epoch)
      if (!wedgedAt.has(key)) wedgedAt.set(key, Math.max(event.at, healed.at))
    }
    if (event.kind === 'started') newest.set(event.topic, Math.max(newest.get(event.topic) ?? 0, event.epoch))
  }
  const last = history[history.length - 1]
  for (const [key, at] of wedgedAt) {
    const [topic = '', epoch] = [key.slice(0, key.lastIndexOf(' ')), Number(key.slice(key.lastIndexOf(' ') + 1))]
    if ((newest.get(topic) ?? 0) > epoch || (last?.at ?? 0) < at + healed.changeMs) continue
    broken('L2', last?.i ?? 0, `epoch ${epoch} of ${topic} stays wedged`)
  }
}

/** L3: coordinators do not duel for ever, and epochs do not follow each other faster than the policy may begin them. */
function checkRates({ history }: Indexed, healed: Healed, broken: Broken): void {
  const duels = new Map<string, { coordinator: string; count: number }>()
  const begun: number[] = []
  const started = new Set<string>()
  for (const event of history) {
    if (event.at < healed.at) continue
    if (event.kind === 'wedged' || event.kind === 'promised') {
      // Each server sees the stakes in its own order: one server's view is enough.
      const key = `${event.srv} ${event.kind} ${epochKey(event.topic, event.epoch)}`
      const coordinator = event.stake.slice(event.stake.indexOf('/') + 1)
      const duel = duels.get(key) ?? { coordinator, count: 0 }
      duels.set(key, duel)
      if (duel.coordinator !== coordinator && ++duel.count === duelsMax + 1)
        broken('L3', event.i, `coordinators outrank each other more than ${duelsMax} times: ${key}`)
      duel.coordinator = coordinator
    }
    if (event.kind !== 'started' || healed.epochsPerMinute === undefined) continue
    const key = epochKey(event.topic, event.epoch)
    if (started.has(key)) continue
    started.add(key)
    begun.push(event.at)
    const within = begun.filter((at) => at > event.at - 60_000).length
    if (within > healed.epochsPerMinute) broken('L3', event.i, `${within} epochs begin within a minute`)
  }
}

/** L4: when space is back, Adds work again. L5: when overload is over, what waits drains, and soon all is as before. */
function checkPressure({ history, invocations, ends }: Indexed, broken: Broken): void {
  const overload = history.find(({ kind }) => kind === 'overload')
  for (const event of history) {
    if (event.kind !== 'space' && event.kind !== 'calm') continue
    const rule = event.kind === 'space' ? 'L4' : 'L5'
    const last = history[history.length - 1]
    for (const invocation of invocations.values()) {
      const { op, at, f } = invocation
      const end = ends.get(op)
      if (f === 'subscribe' || (end !== undefined && end.at < event.at)) continue
      if (rule === 'L5' && at > event.at) continue
      const bound = Math.max(at, event.at) + event.boundMs
      const isLate = end === undefined ? (last?.at ?? 0) >= bound : end.at > bound
      if (isLate) broken(rule, end?.i ?? last?.i ?? 0, `${textOf(invocation)} did not end in time`)
      else if (rule === 'L4' && at >= event.at && end?.kind === 'fail' && !isDropped(end))
        broken(rule, end.i, `${textOf(invocation)} failed: ${end.code}`)
    }
    if (rule !== 'L5' || overload === undefined) continue
    const idle = latencies(invocations, ends, 0, overload.at)
    const after = latencies(invocations, ends, event.at + event.boundMs, Number.POSITIVE_INFINITY)
    if (idle.length < samplesLeast || after.length < samplesLeast) continue
    const [before, now] = [Math.max(idleLeastMs, p99(idle)), p99(after)]
    if (now > 2 * before) broken('L5', event.i, `p99 is ${now} ms after the overload, and was ${before} ms`)
  }
}

function latencies(
  invocations: ReadonlyMap<number, Invocation>,
  ends: ReadonlyMap<number, Ok | Fail | Info>,
  from: number,
  to: number,
): number[] {
  const all: number[] = []
  for (const { op, at, f } of invocations.values()) {
    const end = ends.get(op)
    if (f === 'add' && end?.kind === 'ok' && at >= from && at < to) all.push(end.at - at)
  }
  return all
}

function p99(of: readonly number[]): number {
  const sorted = [...of].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))] ?? 0
}

function textOf({ op, f, client, value, change }: Invocation): string {
  return `${f} ${value ?? change ?? op} of ${client}`
}
