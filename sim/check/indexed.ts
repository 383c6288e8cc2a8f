/** A history, read once for all rules: operations with their ends, decisions by name, and who was given what. */
import type { Fail, Header, History, Info, Invocation, Ok, ReconfigurationEvent } from './history.ts'
import { type EndsByPublisher, epochOf, partsOf } from './history.ts'

export type GetEnd = Extract<Ok, { f: 'get' }>

export interface Indexed {
  readonly history: History
  readonly header: Header | null
  /** The order of the list is the real one, also between servers. */
  readonly isTotal: boolean
  readonly invocations: ReadonlyMap<number, Invocation>
  readonly ends: ReadonlyMap<number, Ok | Fail | Info>
  readonly decisions: ReadonlyMap<string, ReconfigurationEvent>
  /** What somebody saw of decisions that took effect: by topic and closed epoch, the first that was seen. */
  readonly closings: ReadonlyMap<string, ReconfigurationEvent>
  readonly hasSent: boolean
}

export type Broken = (rule: string, i: number, text: string) => void

export function indexHistory(history: History): Indexed {
  const invocations = new Map<number, Invocation>()
  const ends = new Map<number, Ok | Fail | Info>()
  const decisions = new Map<string, ReconfigurationEvent>()
  const closings = new Map<string, ReconfigurationEvent>()
  let header: Header | null = null
  let hasSent = false
  for (const event of history) {
    switch (event.kind) {
      case 'header':
        header = event
        break
      case 'inv':
        invocations.set(event.op, event)
        break
      case 'ok':
      case 'fail':
      case 'info':
        if (!ends.has(event.op)) ends.set(event.op, event)
        break
      case 'rc':
        decisions.set(event.rc, event)
        break
      case 'sent':
        hasSent = true
        break
      default:
    }
    const rc = 'rc' in event && event.kind !== 'rc' && tellsDecision(event.kind) ? event.rc : undefined
    const decision = rc === undefined ? undefined : decisions.get(rc)
    if (decision !== undefined) {
      const key = epochKey(decision.topic, decision.epoch)
      if (!closings.has(key)) closings.set(key, decision)
    }
  }
  return { history, header, isTotal: header?.order !== 'merged', invocations, ends, decisions, closings, hasSent }
}

function tellsDecision(kind: History[number]['kind']): boolean {
  return kind === 'started' || kind === 'closed' || kind === 'ok' || kind === 'view' || kind === 'decided'
}

export function epochKey(topic: string, epoch: number): string {
  return `${topic} ${epoch}`
}

export function isIn(set: EndsByPublisher, id: string): boolean {
  const { pub, seq } = partsOf(id)
  return seq <= (set[pub] ?? 0)
}

export function countOfSet(set: EndsByPublisher): number {
  let count = 0
  for (const pub in set) count += set[pub] ?? 0
  return count
}

/** Ids of a Get that are there for good: early ones of the open epoch may still be dropped. */
export function lastingIds(get: GetEnd, invocation: Invocation | undefined): readonly string[] {
  if (invocation?.level !== 'early') return get.ids
  return get.ids.filter((id) => epochOf(id) < get.epoch)
}

/** Whether a Get was to leave this message out, because its caller has it. */
export function isLeftOut(invocation: Invocation | undefined, id: string): boolean {
  const since = invocation?.since
  if (since === undefined) return false
  const { epoch, pub, seq } = partsOf(id)
  return epoch < since.epoch || (epoch === since.epoch && seq <= (since.seen[pub] ?? 0))
}

/** Calls `told` for everything that a client was given to keep, in the order of the history. */
export function eachGiven(
  { history, invocations }: Indexed,
  told: (topic: string, id: string, value: string | undefined, i: number, who: string) => void,
): void {
  for (const event of history) {
    if (event.kind === 'dlv' && event.early !== true) {
      told(event.topic, event.id, event.value, event.i, `subscription ${event.sub}`)
    } else if (event.kind === 'confirmed') told(event.topic, event.id, undefined, event.i, `subscription ${event.sub}`)
    else if (event.kind === 'ok' && event.f === 'get') {
      const invocation = invocations.get(event.op)
      const topic = invocation?.topic ?? ''
      for (const [at, id] of event.ids.entries()) {
        if (invocation?.level === 'early' && epochOf(id) >= event.epoch) continue
        told(topic, id, event.values[at], event.i, `Get ${event.op}`)
      }
    }
  }
}
