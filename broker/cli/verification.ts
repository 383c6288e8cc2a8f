/** Whether the servers of a topic agree: on how each epoch ended, and on what they hold. */
import type { Client, Configuration, Decision, HeldEpoch, Member, ServerCondition } from '../../client-sdk/index.ts'
import { enabledQuorum } from '../../proto/configuration.ts'
import { type Epoch, epoch, previousEpoch, serverIdOf } from '../../proto/ids.ts'
import { contains, countOf, endOf, fingerprint, type MessageSet, missingCount, union } from '../../proto/message-set.ts'
import { list } from './describe.ts'
import { pause } from './pause.ts'

export interface Difference {
  readonly what: 'decision' | 'chain' | 'digest' | 'closing-set' | 'bytes' | 'missing'
  readonly epoch: number
  readonly servers: readonly string[]
  readonly text: string
}

export interface VerifiedServer {
  readonly server: string
  readonly phase: string
  readonly stored: number
  readonly digest: string
  /** Messages that another member holds and this one does not (yet): fine as long as it shrinks. */
  readonly behind: number
}

export interface VerifiedEpoch {
  readonly epoch: Epoch
  readonly change: string
  readonly closingCount: number
  readonly closingDigest: string
  /** Members of the newest epoch that know this end, and that hold every byte of it, where they were asked for them. */
  readonly agreed: readonly string[]
  readonly complete: readonly string[] | null
}

export interface Verification {
  readonly topic: string
  readonly epoch: number
  readonly mode: string
  readonly servers: readonly VerifiedServer[]
  readonly silent: readonly string[]
  readonly epochs: readonly VerifiedEpoch[]
  /** Messages whose bytes were read, all servers together; null where they were not. */
  readonly read: number | null
  /** What two looks found alike, while no epoch of the topic ended. */
  readonly differences: readonly Difference[]
  /** Why the servers could not be compared: their epochs changed while they were asked, or they had not caught up. */
  readonly unsettled: string | null
}

/** One look at all servers, which answered one after the other. */
interface Look {
  readonly found: Verification
  /** An epoch ended, began or was not open everywhere while the servers were asked: differences may be of the moment. */
  readonly isMoving: boolean
}

export interface VerifyLimits {
  readonly signal: AbortSignal
  readonly timeoutMs?: number
}

export interface VerifyOptions {
  readonly limits: VerifyLimits
  /** Reads every message of every epoch from every server, and computes its digest again. */
  readonly isDeep: boolean
  progress(text: () => string): void
}

interface Known {
  readonly member: Member
  readonly id: string
  readonly condition: ServerCondition | null
  readonly decisions: readonly Decision[]
}

/** Pauses between two looks, in milliseconds: what repair and catching up take on a busy machine. */
const pausesMs = [250, 500, 1_000, 2_000]
/** Looks in a row that an epoch ended in: more of them would not find out more. */
const movingMax = 3

/**
 * Looks again where servers differ: they are asked one after the other, so a difference counts only when two looks in a row
 * find it, and, unless it is one of decisions or bytes, no epoch of the topic ended from the first question to the last.
 */
export async function verifyTopic(
  client: Client,
  newest: Configuration,
  options: VerifyOptions,
): Promise<Verification> {
  let before = await lookAt(client, newest, options, null)
  let moving = 0
  for (const pauseMs of pausesMs) {
    if (before.found.differences.length === 0) return before.found
    moving = before.isMoving ? moving + 1 : 0
    if (moving === movingMax) break
    options.progress(() => `${newest.topic}: looking again`)
    await pause(pauseMs, options.limits.signal)
    const again = await lookAt(client, await client.admin.topic(newest.topic, options.limits), options, before)
    const isSameEpoch = again.found.epoch === before.found.epoch && !again.isMoving && !before.isMoving
    const known = new Set(before.found.differences.map(keyOf))
    const repeated = again.found.differences.filter((one) => known.has(keyOf(one)))
    const confirmed = repeated.filter((one) => isSameEpoch || isLasting(one))
    if (confirmed.length > 0) return { ...again.found, differences: confirmed }
    before = again
  }
  const { found, isMoving } = before
  if (found.differences.length === 0) return found
  const why = isMoving
    ? 'its epochs change faster than its servers can be asked'
    : 'what its servers hold is still changing: they may be catching up'
  return { ...found, differences: [], unsettled: why }
}

/** Whether a difference cannot come from asking at two moments: decisions and batches never change. */
function isLasting({ what }: Difference): boolean {
  return what === 'decision' || what === 'bytes'
}

function keyOf({ what, epoch: of, text }: Difference): string {
  return `${what} ${of} ${text}`
}

/** @param before an earlier look: only the epochs that it found to differ, and those that it did not read, are read again */
async function lookAt(
  client: Client,
  newest: Configuration,
  options: VerifyOptions,
  before: Look | null,
): Promise<Look> {
  const { topic } = newest
  const { limits } = options
  options.progress(() => `asking ${newest.members.length} servers of ${topic}`)
  const known = await Promise.all(newest.members.map((member) => ask(client, newest, member, limits)))
  const answered = known.filter((one) => one.condition !== null)
  const chain = chainOf(answered)
  const differences = [...compareDecisions(answered), ...checkChain(chain), ...compareVectors(newest, answered)]
  const complete = new Map<Epoch, string[]>()
  for (const [of, holders] of readBefore(before, answered)) complete.set(of, [...holders])
  const read = options.isDeep ? await readAll(client, newest, answered, chain, complete, differences, options) : null
  const found: Verification = {
    topic,
    epoch: newest.epoch,
    mode: newest.mode,
    servers: serversOf(newest, answered),
    silent: known.filter((one) => one.condition === null).map(({ id }) => id),
    epochs: chain.map((decision) => epochOf(decision, answered, complete)),
    read: read === null ? null : read + (before?.found.read ?? 0),
    differences,
    unsettled: null,
  }
  const isMoving = differences.length > 0 && !(await isStill(client, newest, answered, options))
  return { found, isMoving }
}

/** Closed epochs that an earlier look read on the same servers, and in which it found no difference. */
function readBefore(before: Look | null, answered: readonly Known[]): (readonly [Epoch, readonly string[]])[] {
  if (before === null) return []
  const { servers, epochs, differences } = before.found
  const isSame = answered.every(({ id }) => servers.some(({ server }) => server === id))
  return epochs.flatMap(({ epoch: of, complete }) => {
    const isSettled = isSame && complete !== null && !differences.some((one) => one.epoch === of)
    return isSettled ? [[of, complete] as const] : []
  })
}

/** Whether every server that answered had opened the newest epoch before it was compared, and has it open still. */
async function isStill(
  client: Client,
  newest: Configuration,
  answered: readonly Known[],
  { limits }: VerifyOptions,
): Promise<boolean> {
  const isOpen = (one: ServerCondition | null) => one?.phase === 'open' && one.epoch === newest.epoch
  if (!answered.every(({ condition }) => isOpen(condition))) return false
  const { inspection } = client.admin
  const asked = answered.map(({ member }) => inspection.condition(newest.topic, newest.epoch, member, limits))
  return (await Promise.all(asked)).every(isOpen)
}

async function ask(client: Client, newest: Configuration, member: Member, limits: VerifyLimits): Promise<Known> {
  const { inspection } = client.admin
  const id = serverIdOf(member.name)
  const condition = await inspection.condition(newest.topic, newest.epoch, member, limits)
  if (condition === null) return { member, id, condition, decisions: [] }
  // One that came later may know the last end only.
  const decisions =
    (await inspection.decisions(newest.topic, epoch(0), member, limits)) ??
    (await inspection.decisions(newest.topic, previousEpoch(newest.epoch), member, limits)) ??
    []
  return { member, id, condition, decisions }
}

/** Every decision that somebody knows, oldest first; of two that differ, one. */
function chainOf(answered: readonly Known[]): Decision[] {
  const byEpoch = new Map<number, Decision>()
  for (const { decisions } of answered) for (const one of decisions) byEpoch.set(one.next.epoch, one)
  return [...byEpoch.values()].sort((one, other) => one.next.epoch - other.next.epoch)
}

function compareDecisions(answered: readonly Known[]): Difference[] {
  const differences: Difference[] = []
  const seen = new Map<number, { readonly text: string; readonly id: string }>()
  for (const { id, decisions } of answered) {
    for (const decision of decisions) {
      const text = textOf(decision)
      const ended = previousEpoch(decision.next.epoch)
      const first = seen.get(ended)
      if (first === undefined) seen.set(ended, { text, id })
      else if (first.text !== text) {
        const [servers, what] = [[first.id, id], 'decision'] as const
        differences.push({ what, epoch: ended, servers, text: `${first.id} has ${first.text}; ${id} has ${text}` })
      }
    }
  }
  return differences
}

function checkChain(chain: readonly Decision[]): Difference[] {
  const differences: Difference[] = []
  for (const [at, { next }] of chain.entries()) {
    const after = chain[at + 1]
    if (after === undefined) continue
    const wrong = (text: string) => {
      differences.push({ what: 'chain', epoch: next.epoch, servers: [], text })
    }
    if (after.next.epoch !== next.epoch + 1) wrong(`nobody knows how epoch ${next.epoch} ended`)
    const most = next.base + countOf(after.closing)
    if (after.next.base < next.base || (after.next.epoch === next.epoch + 1 && after.next.base > most)) {
      wrong(
        `epoch ${after.next.epoch} begins behind ${after.next.base} messages, and epoch ${next.epoch} ended at ${most}`,
      )
    }
    if (after.next.floor < next.floor) wrong(`the floor falls from ${next.floor} to ${after.next.floor}`)
  }
  return differences
}

/** Where two members are equally far with a publisher, they must have the same. */
function compareVectors(newest: Configuration, answered: readonly Known[]): Difference[] {
  const differences: Difference[] = []
  const open = answered.filter(({ condition }) => condition?.epoch === newest.epoch)
  const seen = new Map<string, { readonly digest: number; readonly id: string }>()
  for (const { id, condition } of open) {
    for (const [publisher, { end, digest }] of condition?.stored ?? []) {
      const key = `${publisher}-${end}`
      const first = seen.get(key)
      if (first === undefined) seen.set(key, { digest, id })
      else if (first.digest !== digest) {
        const text = `${first.id} and ${id} hold different messages of publisher ${publisher} up to ${end}`
        differences.push({ what: 'digest', epoch: newest.epoch, servers: [first.id, id], text })
      }
    }
  }
  return differences
}

/** Reads every closed epoch that is kept and not in `complete`, and the open one as far as all members hold it. */
async function readAll(
  client: Client,
  newest: Configuration,
  answered: readonly Known[],
  chain: readonly Decision[],
  complete: Map<Epoch, string[]>,
  differences: Difference[],
  options: VerifyOptions,
): Promise<number> {
  let read = 0
  const readEpoch = async (of: Epoch, { member, id }: Known, until: MessageSet): Promise<HeldEpoch | null> => {
    const onPage = (messages: number) => {
      read += messages
      options.progress(() => `epoch ${of} on ${id}, ${read.toLocaleString('en-US')} messages read`)
    }
    const held = await client.admin.inspection.held(newest.topic, of, member, until, { ...options.limits, onPage })
    for (const text of held?.damaged ?? []) differences.push({ what: 'bytes', epoch: of, servers: [id], text })
    return held
  }
  for (const { next, closing } of chain) {
    const of = previousEpoch(next.epoch)
    if (of < newest.floor || of < 1 || complete.has(of)) continue
    const holders: string[] = []
    for (const one of answered) {
      const held = await readEpoch(of, one, closing)
      if (held === null) continue
      const wrong = differenceOf(held.set, closing)
      if (wrong === null) holders.push(one.id)
      else differences.push({ what: 'closing-set', epoch: of, servers: [one.id], text: `${one.id} ${wrong}` })
    }
    complete.set(of, holders)
    const needed = enabledQuorum(newest)
    if (holders.length < needed && answered.length === newest.members.length) {
      const text = `all of it is on ${list(holders)} only; ${needed} servers should hold it`
      differences.push({ what: 'missing', epoch: of, servers: holders, text })
    }
  }
  for (const one of answered) {
    const stored = one.condition?.epoch === newest.epoch ? one.condition.stored : null
    if (stored === null || stored.size === 0) continue
    const held = await readEpoch(newest.epoch, one, stored)
    const wrong = held === null ? null : differenceOf(held.set, stored)
    if (wrong === null) continue
    differences.push({ what: 'closing-set', epoch: newest.epoch, servers: [one.id], text: `${one.id} ${wrong}` })
  }
  return read
}

/** How what was read differs from what should be there, or null. */
function differenceOf(held: MessageSet, wanted: MessageSet): string | null {
  const missing = missingCount(wanted, held)
  if (missing > 0) return `lacks ${missing} of ${countOf(wanted)} messages`
  for (const [publisher, { end, digest }] of wanted) {
    const own = held.get(publisher)
    if (own?.end !== end) return `holds ${endOf(held, publisher)} messages of publisher ${publisher}, not ${end}`
    if (own.digest !== digest) return `holds other messages of publisher ${publisher} than were decided`
  }
  return contains(wanted, held) ? null : 'holds messages that are not in it'
}

function serversOf(newest: Configuration, answered: readonly Known[]): VerifiedServer[] {
  const stored = ({ condition }: Known): MessageSet => {
    return condition?.epoch === newest.epoch ? condition.stored : new Map()
  }
  const all = union(answered.map(stored))
  return answered.map((one) => ({
    server: one.id,
    phase: one.condition?.phase ?? 'silent',
    stored: countOf(stored(one)),
    digest: fingerprint(stored(one)),
    behind: missingCount(all, stored(one)),
  }))
}

function epochOf(
  decision: Decision,
  answered: readonly Known[],
  complete: ReadonlyMap<Epoch, string[]>,
): VerifiedEpoch {
  const ended = previousEpoch(decision.next.epoch)
  const text = textOf(decision)
  const knows = ({ decisions }: Known) => decisions.some((one) => textOf(one) === text)
  return {
    epoch: ended,
    change: decision.changeId,
    closingCount: countOf(decision.closing),
    closingDigest: fingerprint(decision.closing),
    agreed: answered.filter(knows).map(({ id }) => id),
    complete: complete.get(ended) ?? null,
  }
}

function textOf({ changeId, next, closing }: Decision): string {
  const { epoch: of, mode, decider, members, membersMin, order, floor, base } = next
  const names = members.map(({ name }) => name).join(', ')
  const end = `${countOf(closing)} messages with digest ${fingerprint(closing)}`
  return `${end}, then epoch ${of} ${mode}/${decider}/${membersMin}/${order}/${floor}/${base} on ${names} by ${changeId}`
}
