/** What happened, for people: the events that matter of one run, in lanes as text and as a Mermaid sequence diagram. */
import type { Violation } from '../check/history.ts'
import type { Parcel } from '../world/network.ts'
import type { WorldEvent } from '../world/world.ts'
import type { Plan } from './plan.ts'
import { type RunOptions, runPlan } from './run.ts'

/** One line: who did it, and to whom. */
interface Row {
  readonly at: number
  readonly from: string
  readonly to: string[]
  readonly kind: 'message' | 'lost' | 'crash' | 'start' | 'note'
  readonly text: string
  /** Kind of the message, or of the operation. */
  readonly label?: string
}

export interface Story {
  readonly rows: readonly Row[]
  readonly lanes: readonly string[]
  readonly violations: readonly Violation[]
}

/** Messages that a story is about; what is repeated is told once. */
const messagesTold = new Set([
  'batch',
  'stored',
  'wedge',
  'wedged',
  'stage',
  'staged',
  'accept',
  'accepted',
  'start',
  'started',
  'arbiter-accept',
  'arbiter-accepted',
  'held',
])

/** Of rules about the epoch change, messages and their deliveries are no part. */
const aboutChanges = new Set(['I4', 'I5', 'I9', 'I10', 'T6', 'L2', 'L3'])
const aboutMessages = new Set(['batch', 'stored', 'held'])

/** Runs the plan again and keeps what is worth telling. */
export async function tellStory(plan: Plan, options: RunOptions = {}): Promise<Story> {
  const rows: Row[] = []
  const known = new Set<string>()
  let began = 0
  const { violations, history } = await runPlan(plan, {
    ...options,
    keepHistory: true,
    watch: (event) => {
      if (began === 0) began = event.at
      const row = rowOf(event, event.at - began)
      if (row === null || (row.kind === 'message' && isKnown(row, known))) return
      const last = rows[rows.length - 1]
      if (last !== undefined && last.kind === row.kind && last.from === row.from && last.text === row.text)
        last.to.push(...row.to)
      else rows.push(row)
    },
  })
  const [first] = violations
  const end = (history?.[Math.min(first?.i ?? Number.POSITIVE_INFINITY, history.length - 1)]?.at ?? 0) - began
  const isTold = ({ at, label }: Row) =>
    at <= end && !(first !== undefined && aboutChanges.has(first.rule) && aboutMessages.has(label ?? ''))
  const told = first === undefined ? rows : rows.filter(isTold)
  const lanes = [...new Set(told.flatMap(({ from, to }) => [from, ...to]))].sort(byRole(plan))
  return { rows: told, lanes, violations }
}

/** One column for each process, time going down. */
export function textDiagram({ rows, lanes, violations }: Story): string {
  const width = Math.max(3, ...lanes.map(({ length }) => length)) + 1
  const head = `${' '.repeat(9)}${lanes.map((lane) => lane.padEnd(width)).join('')}`
  const lines = rows.map((row) => {
    const marks = lanes.map((lane) => markOf(row, lane).padEnd(width)).join('')
    return `${row.at.toFixed(1).padStart(8)} ${marks}${describe(row)}`
  })
  return [head, ...lines, ...violations.slice(0, 3).map(({ rule, text }) => `${rule}: ${text}`), ''].join('\n')
}

export function mermaidDiagram({ rows, lanes, violations }: Story): string {
  const lines = ['sequenceDiagram', ...lanes.map((lane) => `  participant ${lane}`)]
  for (const { from, to, kind, text, at } of rows) {
    const clean = `${at.toFixed(0)} ms: ${text}`.replaceAll(/[;#]/g, ' ')
    if (kind === 'crash') lines.push(`  Note over ${from}: ${clean}`)
    else if (kind === 'start' || kind === 'note') lines.push(`  Note right of ${from}: ${clean}`)
    else for (const one of to) lines.push(`  ${from}${kind === 'lost' ? '--x' : '->>'}${one}: ${clean}`)
  }
  const [first] = violations
  const lane = lanes[0]
  if (first !== undefined && lane !== undefined)
    lines.push(`  Note over ${lane}: ${first.rule}  ${first.text.replaceAll(/[;#]/g, ' ')}`)
  return `${lines.join('\n')}\n`
}

function rowOf(event: WorldEvent, at: number): Row | null {
  switch (event.what) {
    case 'deliver':
    case 'drop': {
      const { parcel } = event
      if (!messagesTold.has(parcel.kind)) return null
      const kind = event.what === 'drop' ? 'lost' : 'message'
      return { at, from: parcel.from, to: [parcel.to], kind, text: textOf(parcel), label: parcel.kind }
    }
    case 'crash':
      return { at, from: idOf(event.server), to: [], kind: 'crash', text: 'dies' }
    case 'disk-lost':
      return { at, from: idOf(event.server), to: [], kind: 'note', text: 'loses its disk' }
    case 'fatal':
      return { at, from: idOf(event.server), to: [], kind: 'note', text: `stops: ${event.error}`.slice(0, 120) }
    case 'start':
      return { at, from: idOf(event.server), to: [], kind: 'start', text: 'begins' }
    case 'operation': {
      const { operation, step } = event
      const name = `${operation.kind} ${operation.label}`
      const { client: from } = operation
      switch (step.kind) {
        case 'invoked':
          return operation.kind === 'follow' ? null : { at, from, to: [], kind: 'note', text: name }
        case 'added':
          return { at, from, to: [], kind: 'note', text: `${name}: ${step.status} in epoch ${step.id.epoch}` }
        case 'got': {
          const values = step.given.map(({ value }) => value).join(',')
          return { at, from, to: [], kind: 'note', text: `${name}: {${values}} in epoch ${step.epoch}` }
        }
        case 'delivered':
          return { at, from, to: [], kind: 'note', text: `${operation.label} is given ${step.given.value}` }
        case 'outcome':
          return { at, from, to: [], kind: 'note', text: `${name}: ${step.outcome}` }
        case 'changed':
          return operation.over ? { at, from, to: [], kind: 'note', text: `${name}: ended` } : null
        case 'refused':
          return { at, from, to: [], kind: 'note', text: `${name}: ${step.message.refusal}` }
        case 'failed':
          return { at, from, to: [], kind: 'note', text: `${name}: ${step.code}` }
        default:
          return null
      }
    }
    default:
      return null
  }
}

function textOf({ kind, message }: Parcel): string {
  const epoch = 'epoch' in message ? ` epoch ${message.epoch}` : ''
  switch (message.kind) {
    case 'batch':
      return `batch ${message.publisher.slice(0, 4)} ${message.first}-${message.last}${epoch}`
    case 'stored':
      return `stored ${message.publisher.slice(0, 4)} to ${message.end}${epoch}`
    case 'wedge':
    case 'accept':
    case 'start':
    case 'wedged':
    case 'accepted':
      return `${kind}${epoch} round ${message.stake.round}`
    default:
      return `${kind}${epoch}`
  }
}

function isKnown({ from, to, text }: Row, known: Set<string>): boolean {
  const key = `${from} ${to.join()} ${text}`
  if (known.has(key)) return true
  known.add(key)
  return false
}

function markOf({ from, to, kind }: Row, lane: string): string {
  if (to.includes(lane)) return kind === 'lost' ? 'x' : '>'
  if (lane !== from) return '|'
  return { message: 'o', lost: 'o', crash: 'X', start: '^', note: '*' }[kind]
}

function describe({ from, to, kind, text }: Row): string {
  if (kind === 'message') return `${from} -> ${to.join(',')} ${text}`
  return kind === 'lost' ? `${from} -> ${to.join(',')} ${text} (lost)` : `${from} ${text}`
}

function idOf(name: string): string {
  return name.slice(0, name.indexOf('@'))
}

/** Clients left, servers right. */
function byRole({ servers }: Plan): (one: string, other: string) => number {
  return (one, other) => {
    const [a, b] = [servers.includes(one), servers.includes(other)]
    if (a !== b) return a ? 1 : -1
    return one < other ? -1 : 1
  }
}
