/** F1, F4, F5, F6: what each subscription was given, in which order, and whether all of it. */
import type { Closed, Delivered, Invocation } from './history.ts'
import { epochOf, partsOf } from './history.ts'
import { type Broken, eachGiven, epochKey, type Indexed, isIn } from './indexed.ts'

interface Reading {
  readonly invocation: Invocation
  readonly values: Set<string>
  /** What was shown early, by id, and is not judged yet. */
  readonly shown: Map<string, Delivered>
  /** Ids of the epoch being read, and of the one before the last `closed`. */
  ids: Set<string>
  /** Last sequence of each publisher in this epoch. */
  lasts: Map<string, number>
  /** Where in the history each client published what came last from it. */
  readonly order: Map<string, number>
  /** The last epoch that ended here; null before anything came. */
  ended: number | null
  /** The first epoch that it read, which one from `new` joins in the middle. */
  first: number | null
  hasGap: boolean
}

export function checkSubscriptions(indexed: Indexed, broken: Broken): void {
  const { history } = indexed
  const readings = new Map<number, Reading>()
  const published = new Map<string, Invocation>()
  const whole = new Map<string, { readonly ids: ReadonlySet<string>; readonly sub: number }>()
  const gone = new Set<string>()
  let isQuiescent = false
  let end = 0
  for (const event of history) {
    switch (event.kind) {
      case 'inv':
        if (event.f === 'add' && event.value !== undefined) published.set(event.value, event)
        if (event.f === 'subscribe') readings.set(event.op, newReading(event))
        break
      case 'dlv': {
        const reading = readings.get(event.sub)
        if (reading === undefined) break
        if (event.early === true) reading.shown.set(event.id, event)
        else deliver(reading, event, published, broken)
        break
      }
      case 'confirmed': {
        // From now on it was given.
        const reading = readings.get(event.sub)
        const shown = reading?.shown.get(event.id)
        if (reading === undefined) break
        if (shown === undefined)
          broken('F4', event.i, `subscription ${event.sub} confirms ${event.id}, not shown early`)
        else deliver(reading, { ...shown, i: event.i }, published, broken)
        reading.shown.delete(event.id)
        break
      }
      case 'retracted':
        readings.get(event.sub)?.shown.delete(event.id)
        break
      case 'closed': {
        const reading = readings.get(event.sub)
        if (reading !== undefined) close(reading, event, indexed, whole, broken)
        break
      }
      case 'gap': {
        const reading = readings.get(event.sub)
        if (reading === undefined) break
        reading.hasGap = true
        reading.ended = event.to - 1
        reading.first ??= event.to
        break
      }
      case 'gone':
        gone.add(event.client)
        break
      case 'end':
        isQuiescent = event.quiescent
        end = event.i
        break
      default:
    }
  }
  checkViews(indexed, broken)
  if (isQuiescent) checkComplete(indexed, readings, gone, end, broken)
}

function newReading(invocation: Invocation): Reading {
  return {
    invocation,
    values: new Set(),
    shown: new Map(),
    ids: new Set(),
    lasts: new Map(),
    order: new Map(),
    ended: null,
    first: null,
    hasGap: false,
  }
}

function deliver(reading: Reading, event: Delivered, published: ReadonlyMap<string, Invocation>, broken: Broken): void {
  const { id, value, sub, i } = event
  const { epoch, pub, seq } = partsOf(id)
  if (reading.values.has(value)) broken('F4', i, `subscription ${sub} was given ${value} twice`)
  reading.values.add(value)
  reading.ids.add(id)
  if (reading.ended !== null && epoch <= reading.ended)
    broken('F6', i, `subscription ${sub} was given ${id} after epoch ${reading.ended} had ended for it`)
  else if (reading.ended !== null && epoch > reading.ended + 1)
    broken('F6', i, `subscription ${sub} was given ${id} before epoch ${epoch - 1} had ended for it`)
  else if (reading.ended === null && reading.first !== null && epoch !== reading.first)
    broken('F6', i, `subscription ${sub} went from epoch ${reading.first} to ${epoch} without its end`)
  reading.first ??= epoch
  if (reading.invocation.order === 'none') return
  const last = reading.lasts.get(pub)
  const mayJoin = isJoining(reading, epoch) && last === undefined
  if (!mayJoin && seq !== (last ?? 0) + 1)
    broken('F1', i, `subscription ${sub} was given ${id} behind sequence ${last ?? 0}`)
  reading.lasts.set(pub, seq)
  const source = published.get(value)
  if (source === undefined) return
  const before = reading.order.get(source.client)
  if (before !== undefined && before > source.i)
    broken('F1', i, `subscription ${sub} was given ${value} of ${source.client} behind what was published later`)
  reading.order.set(source.client, Math.max(before ?? 0, source.i))
}

/** Who begins with what is new, or behind a cursor, joins a publisher's sequence anywhere in its first epoch. */
function isJoining({ invocation, first, ended }: Reading, epoch: number): boolean {
  return invocation.from !== 'start' && (first === null || epoch === first) && ended === null
}

function close(
  reading: Reading,
  event: Closed,
  indexed: Indexed,
  whole: Map<string, { readonly ids: ReadonlySet<string>; readonly sub: number }>,
  broken: Broken,
): void {
  const { sub, epoch, i, count, topic } = event
  if (reading.ended !== null && epoch !== reading.ended + 1)
    broken('F6', i, `subscription ${sub} is told the end of epoch ${epoch} after that of ${reading.ended}`)
  const joined = isJoining(reading, epoch)
  const decision = event.rc === undefined ? undefined : indexed.decisions.get(event.rc)
  const known = indexed.closings.get(epochKey(topic, epoch))
  if (decision !== undefined && known !== undefined && decision.rc !== known.rc)
    broken('I4', i, `subscription ${sub} is told another end of epoch ${epoch} than others`)
  const ids = new Set([...reading.ids].filter((id) => epochOf(id) === epoch))
  const open = [...reading.shown.keys()].find((id) => epochOf(id) <= epoch)
  if (open !== undefined)
    broken(
      'F6',
      i,
      `subscription ${sub} is told the end of epoch ${epoch}, and ${open} is neither confirmed nor retracted`,
    )
  if (!joined) {
    if (ids.size !== count)
      broken('F6', i, `subscription ${sub} was given ${ids.size} of ${count} messages before the end of epoch ${epoch}`)
    const other = whole.get(epochKey(topic, epoch))
    if (other === undefined) whole.set(epochKey(topic, epoch), { ids, sub })
    else {
      const missing = [...other.ids].find((id) => !ids.has(id)) ?? [...ids].find((id) => !other.ids.has(id))
      if (missing !== undefined)
        broken(
          'F6',
          i,
          `of subscriptions ${other.sub} and ${sub} only one was given ${missing} before the end of its epoch`,
        )
    }
  }
  if (decision !== undefined) {
    const stranger = [...ids].find((id) => !isIn(decision.closing, id))
    if (stranger !== undefined) broken('F6', i, `subscription ${sub} was given ${stranger}, which its epoch dropped`)
  }
  reading.first ??= epoch
  reading.ended = epoch
  reading.ids = new Set()
  reading.lasts = new Map()
}

/** Every client's epochs go up. */
function checkViews({ history }: Indexed, broken: Broken): void {
  const newest = new Map<string, number>()
  for (const event of history) {
    if (event.kind !== 'view') continue
    const key = `${event.client} ${event.topic}`
    const before = newest.get(key) ?? 0
    if (event.epoch <= before)
      broken('F6', event.i, `${event.client} is notified of epoch ${event.epoch} after ${before}`)
    newest.set(key, Math.max(before, event.epoch))
  }
}

/** F5: at rest, whoever reads from the start has been given everything durable. */
function checkComplete(
  indexed: Indexed,
  readings: ReadonlyMap<number, Reading>,
  gone: ReadonlySet<string>,
  end: number,
  broken: Broken,
): void {
  const durable = new Map<string, Map<string, string>>()
  const note = (topic: string, id: string, value: string | undefined) => {
    const values = durable.get(topic) ?? new Map<string, string>()
    durable.set(topic, values)
    if (value !== undefined) values.set(value, id)
  }
  for (const event of indexed.history) {
    if (event.kind !== 'ok' || event.f !== 'add') continue
    const invocation = indexed.invocations.get(event.op)
    note(invocation?.topic ?? '', event.id, invocation?.value)
  }
  eachGiven(indexed, (topic, id, value) => note(topic, id, value))
  for (const [op, reading] of readings) {
    const { invocation, values, hasGap } = reading
    if (hasGap || invocation.from !== 'start' || gone.has(invocation.client) || indexed.ends.has(op)) continue
    for (const [value, id] of durable.get(invocation.topic) ?? []) {
      if (values.has(value)) continue
      broken('F5', end, `subscription ${op} of ${invocation.client} was never given ${value} (${id})`)
      break
    }
  }
}
