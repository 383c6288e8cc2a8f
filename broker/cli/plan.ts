/** What a change is going to do, before it does it. */
import type { Client, ServerInfo, TopicOptions } from '../../client-sdk/index.ts'
import { didYouMean } from '../../proto/closest.ts'
import {
  type Configuration,
  checkMembership,
  type Decider,
  defaultDecider,
  type Mode,
  type Order,
  offers,
  toleratedFailures,
} from '../../proto/configuration.ts'
import { withoutInstance } from '../../proto/decider.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { sizeFor } from '../epoch/changes.ts'
import { checkAnswering } from '../membership/placement.ts'
import { bad } from './arguments.ts'
import type { Context } from './context.ts'
import { count, fullText, idsOf, list } from './describe.ts'
import type { Column } from './terminal/table.ts'

/** One topic before and after. */
export interface Side {
  readonly epoch: number
  readonly mode: Mode
  readonly decider: Decider
  readonly size: number
  /** Null where the cluster chooses them. */
  readonly members: readonly string[] | null
  readonly minimum: number
  readonly tolerates: number
  readonly order: Order
}

export interface ChangePlan {
  readonly topic: string
  readonly before: Side
  readonly after: Side
  /** What to keep an eye on, in whole sentences. */
  readonly cautions: readonly string[]
}

/**
 * @throws EpochcastError `EC_IMPOSSIBLE_MEMBERSHIP`, `EC_UNAVAILABLE`, `EC_UNKNOWN_SERVER`, `EC_BAD_ARGUMENT`: nothing has
 *   happened then
 */
export function planChange(current: Configuration, options: TopicOptions, servers: readonly ServerInfo[]): ChangePlan {
  const before = sideOf(current)
  const mode = options.mode ?? current.mode
  if (options.members !== undefined && options.size !== undefined && options.size !== options.members.length) {
    throw bad(`size ${options.size}, but ${options.members.length} members are named`, 'leave one of the two out')
  }
  const size = options.members?.length ?? options.size ?? sizeFor(mode, current)
  const staysAsItIs = options.members === undefined && mode === current.mode && size === before.size
  const members = options.members ?? (staysAsItIs ? before.members : null)
  const decider = options.decider ?? (mode === current.mode ? before.decider : defaultDecider(mode))
  const minimum = options.membersMin ?? Math.min(current.membersMin, size)
  checkTarget({ mode, decider, members, size, minimum }, servers)
  const tolerates = toleratedFailures(mode, size)
  const order = options.order ?? current.order
  const after: Side = { epoch: current.epoch + 1, mode, decider, size, members, minimum, tolerates, order }
  return { topic: current.topic, before, after, cautions: cautionsOf(before, after, servers) }
}

/** Everything about a membership that can be refused before anything is asked of the cluster. */
export function checkTarget(
  target: Pick<Side, 'mode' | 'decider' | 'members' | 'size' | 'minimum'>,
  servers: readonly ServerInfo[],
): void {
  const { mode, decider, members, size, minimum } = target
  const known = servers.map(({ id }) => id)
  const stranger = members?.find((id) => !known.includes(id))
  if (stranger !== undefined) {
    const text = `no server is called ${stranger}${didYouMean(stranger, known)}`
    throw new EpochcastError('EC_UNKNOWN_SERVER', text, { hint: `there are ${list(known)}` })
  }
  checkMembership(mode, members ?? Array.from({ length: size }, (_, at) => String(at)))
  if (members === null && servers.length < size) {
    const count = `there ${servers.length === 1 ? 'is only 1 server' : `are only ${servers.length} servers`}`
    throw new EpochcastError('EC_IMPOSSIBLE_MEMBERSHIP', `${mode} on ${size} servers, but ${count}`, {
      hint: 'start more servers, or choose another mode or size',
    })
  }
  if (members === null) {
    // The cluster takes servers that answer before others.
    const chosen = [...servers].sort((one, other) => Number(other.alive) - Number(one.alive)).slice(0, size)
    const isAlive = ({ alive }: ServerInfo) => alive
    checkAnswering(mode, chosen, isAlive, ({ id }) => id)
  }
  if (decider === 'stakes' && mode !== 'fault-masking') {
    throw new EpochcastError('EC_IMPOSSIBLE_MEMBERSHIP', `mode ${mode} cannot decide by stakes`, {
      hint: 'leave --decider out, or say engine',
    })
  }
  if (minimum > size) throw bad(`minimum ${minimum} is more than ${count(size, 'member')}`)
}

export function sideOf(configuration: Configuration): Side {
  const { epoch, mode, decider, members, membersMin: minimum, order } = configuration
  const tolerates = toleratedFailures(mode, members.length)
  return {
    epoch,
    mode,
    decider: withoutInstance(decider),
    size: members.length,
    members: idsOf(configuration),
    minimum,
    tolerates,
    order,
  }
}

function cautionsOf(before: Side, after: Side, servers: readonly ServerInfo[]): string[] {
  const cautions: string[] = []
  if (after.tolerates < before.tolerates) {
    const left = after.tolerates === 0 ? 'none' : String(after.tolerates)
    cautions.push(`it tolerates fewer failures than before: ${left} instead of ${before.tolerates}`)
  }
  if (!offers(after.order, before.order)) cautions.push(`whoever reads it in order ${before.order} is turned away then`)
  const dead = after.members?.filter((id) => servers.some((server) => server.id === id && !server.alive)) ?? []
  if (dead.length > 0) cautions.push(`${list(dead)} ${dead.length === 1 ? 'does' : 'do'} not answer`)
  const isFull = (id: string) => servers.some((server) => server.id === id && server.shortages.includes('space'))
  const full = after.members?.filter((id) => !before.members?.includes(id) && isFull(id)) ?? []
  if (full.length > 0) cautions.push(`${fullText(full)}: it waits for what is there already, which may not fit`)
  return cautions
}

export function membersText({ members, size }: Pick<Side, 'members' | 'size'>): string {
  return members === null ? `${count(size, 'server')}, chosen by the cluster` : list(members)
}

export function planJson({ topic, before, after, cautions }: ChangePlan): object {
  return { type: 'plan', topic, before, after, cautions }
}

interface Line {
  readonly what: string
  readonly before: string
  readonly after: string
}

/** The plan as people read it: only what changes is in full colour. */
export function planText(plan: ChangePlan): readonly [rows: readonly Line[], columns: readonly Column<Line>[]] {
  const { topic, before, after } = plan
  const rows: Line[] = [
    { what: 'mode', before: before.mode, after: after.mode },
    { what: 'members', before: membersText(before), after: membersText(after) },
    { what: 'tolerates', before: count(before.tolerates, 'failure'), after: count(after.tolerates, 'failure') },
    { what: 'decider', before: before.decider, after: after.decider },
    { what: 'order', before: before.order, after: after.order },
    { what: 'minimum', before: String(before.minimum), after: String(after.minimum) },
  ]
  const columns: Column<Line>[] = [
    { title: topic, of: (row) => row.what },
    { title: `epoch ${before.epoch}`, of: (row) => row.before },
    { title: `epoch ${after.epoch}`, of: (row) => (row.after === row.before ? 'same' : row.after) },
  ]
  return [rows, columns]
}

/** Knows which servers there are, and which answer. */
export function serversOf(context: Context, client: Client): Promise<readonly ServerInfo[]> {
  return client.admin.servers(context.limits())
}
