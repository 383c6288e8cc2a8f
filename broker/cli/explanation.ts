/** Where one message is or was, and what became of it. */
import type { Client, Configuration, Decision, HeldMessage, Member } from '../../client-sdk/index.ts'
import { majority, operationQuorum, reportsNeeded } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { type Epoch, formatMessageId, type MessageId, previousEpoch, serverIdOf } from '../../proto/ids.ts'
import { endOf, type MessageSet, union } from '../../proto/message-set.ts'
import { count, idsOf, list } from './describe.ts'
import type { VerifyLimits } from './verification.ts'
import type { Witnesses } from './witnesses.ts'

export interface Explanation {
  readonly id: string
  readonly topic: string
  readonly epoch: number
  /** `unknown`: nobody has heard of its publisher in that epoch. */
  readonly outcome: 'durable' | 'pending' | 'included' | 'dropped' | 'expired' | 'not-begun' | 'unknown'
  readonly why: string
  /** How its epoch ended. */
  readonly ended: {
    readonly change: string
    readonly publisherEnd: number
    readonly nextMembers: readonly string[]
  } | null
  readonly servers: readonly ExplainedServer[]
  readonly message: HeldMessage | null
}

export interface ExplainedServer {
  readonly server: string
  /** Whether it was a member of that epoch, is one of the newest, or both. */
  readonly member: 'then' | 'now' | 'then and now'
  readonly holds: 'yes' | 'no' | 'silent'
}

/** Outcomes that stay what they are, whatever epoch the topic is in. */
const lasting: readonly Explanation['outcome'][] = ['durable', 'included', 'dropped']
const looksMax = 5

/**
 * What is known of one message in one topic. Servers are asked one after the other: what they know counts only where no epoch
 * of the topic ended meanwhile, or where it cannot change any more.
 * @throws EpochcastError `EC_UNSETTLED` where epochs end faster than servers can be asked
 */
export async function explainIn(
  client: Client,
  newest: Configuration,
  id: MessageId,
  witnesses: Witnesses,
  limits: VerifyLimits,
): Promise<Explanation> {
  let known = newest
  for (let look = 0; look < looksMax; look++) {
    const found = await lookFor(witnesses, known, id)
    if (lasting.includes(found.outcome)) return found
    const now = await client.admin.topic(known.topic, limits)
    if (now.epoch === known.epoch) return found
    known = now
  }
  const text = `${formatMessageId(id)} could not be found out about: epochs of ${newest.topic} end faster than its servers can be asked`
  throw new EpochcastError('EC_UNSETTLED', text, { hint: 'ask again when its epochs change less often' })
}

async function lookFor(witnesses: Witnesses, newest: Configuration, id: MessageId): Promise<Explanation> {
  const known = { id: formatMessageId(id), topic: newest.topic, epoch: id.epoch }
  const nothing = { ended: null, servers: [], message: null } as const
  if (id.epoch > newest.epoch) {
    const why = `epoch ${id.epoch} of ${newest.topic} has not begun: the newest is ${newest.epoch}`
    return { ...known, ...nothing, outcome: 'not-begun', why }
  }
  // All members at once: after that it is known who is silent.
  const stored = await storedNow(witnesses, newest)
  const decisions = await decisionsAround(witnesses, newest, id.epoch)
  const ending = decisions.find(({ next }) => previousEpoch(next.epoch) === id.epoch) ?? null
  if (ending === null && id.epoch < newest.epoch) {
    const why = `nobody knows any more how epoch ${id.epoch} of ${newest.topic} ended`
    return { ...known, ...nothing, outcome: 'expired', why }
  }
  const then =
    id.epoch === newest.epoch ? newest : (decisions.find(({ next }) => next.epoch === id.epoch)?.next ?? null)
  const { servers, message } = await holdersOf(witnesses, newest, then, id, ending?.closing ?? stored.all)
  const ended = ending === null ? null : endOfEpoch(ending, id)
  const isHeard = endOf(ending?.closing ?? stored.all, id.publisher) > 0
  const judged = ending === null ? judgeOpen(newest, id, stored) : judgeClosed(ending, then, id)
  // A publisher that never reached anybody leaves no trace: it cannot be told from an id that never was.
  const outcome = isHeard || ending !== null ? judged.outcome : 'unknown'
  return { ...known, ended, servers, message, outcome, why: judged.why }
}

/** Whether the publisher of an id has ever been heard of in that epoch of a topic: how the topic of an id is found. */
export async function mentions(witnesses: Witnesses, newest: Configuration, id: MessageId): Promise<boolean> {
  if (id.epoch > newest.epoch) return false
  const { all } = await storedNow(witnesses, newest)
  if (id.epoch === newest.epoch) return all.has(id.publisher)
  const decisions = await decisionsAround(witnesses, newest, id.epoch)
  return decisions.some(({ next, closing }) => previousEpoch(next.epoch) === id.epoch && closing.has(id.publisher))
}

/** The decisions that began and ended an epoch, where one of the members knows them. */
async function decisionsAround(witnesses: Witnesses, newest: Configuration, of: Epoch): Promise<readonly Decision[]> {
  let best: readonly Decision[] = []
  for (const member of newest.members) {
    const around = await witnesses.decisions(newest.topic, previousEpoch(of), member)
    const found = around.length > 0 ? around : await witnesses.decisions(newest.topic, of, member)
    if (found.length > best.length) best = found
    if (best.some(({ next }) => next.epoch === of) && best.some(({ next }) => next.epoch === of + 1)) break
  }
  return best
}

interface StoredNow {
  readonly all: MessageSet
  readonly byServer: ReadonlyMap<string, MessageSet | null>
}

async function storedNow(witnesses: Witnesses, newest: Configuration): Promise<StoredNow> {
  const byServer = new Map<string, MessageSet | null>()
  await Promise.all(
    newest.members.map(async (member) => {
      const condition = await witnesses.condition(newest.topic, newest.epoch, member)
      const isOpen = condition !== null && condition.epoch === newest.epoch
      byServer.set(serverIdOf(member.name), condition === null ? null : isOpen ? condition.stored : new Map())
    }),
  )
  return { all: union([...byServer.values()].flatMap((set) => (set === null ? [] : [set]))), byServer }
}

async function holdersOf(
  witnesses: Witnesses,
  newest: Configuration,
  then: Configuration | null,
  id: MessageId,
  others: MessageSet,
): Promise<Pick<Explanation, 'servers' | 'message'>> {
  const members = new Map<string, { member: Member; isThen: boolean; isNow: boolean }>()
  for (const member of then?.members ?? []) members.set(member.name, { member, isThen: true, isNow: false })
  for (const member of newest.members) {
    members.set(member.name, { member, isThen: members.has(member.name), isNow: true })
  }
  let message: HeldMessage | null = null
  const asked = [...members.values()].map(async ({ member, isThen, isNow }): Promise<ExplainedServer> => {
    const found = await witnesses.message(newest.topic, id, member, others)
    if (found !== null && found !== false) message ??= found
    const holds = found === null ? 'silent' : found === false ? 'no' : 'yes'
    return {
      server: serverIdOf(member.name),
      member: isThen && isNow ? 'then and now' : isThen ? 'then' : 'now',
      holds,
    }
  })
  const servers = await Promise.all(asked)
  return { servers: servers.sort((one, other) => (one.server < other.server ? -1 : 1)), message }
}

function endOfEpoch({ changeId, next, closing }: Decision, id: MessageId): NonNullable<Explanation['ended']> {
  return { change: changeId, publisherEnd: endOf(closing, id.publisher), nextMembers: idsOf(next) }
}

function judgeOpen(
  newest: Configuration,
  id: MessageId,
  { byServer }: StoredNow,
): Pick<Explanation, 'outcome' | 'why'> {
  const holders = [...byServer].flatMap(([server, set]) => {
    return set !== null && endOf(set, id.publisher) >= id.sequence ? [server] : []
  })
  const needed = operationQuorum(newest)
  if (holders.length >= needed) {
    const why = `it is on the disks of ${list(holders)}; ${needed} of ${newest.members.length} make it durable`
    return { outcome: 'durable', why }
  }
  const have =
    holders.length === 0 ? 'nobody that answers holds it' : `only ${list(holders)} of ${needed} needed hold it`
  return { outcome: 'pending', why: `epoch ${newest.epoch} is open, and ${have}; the end of the epoch will settle it` }
}

function judgeClosed(
  { changeId, closing, next }: Decision,
  then: Configuration | null,
  id: MessageId,
): Pick<Explanation, 'outcome' | 'why'> {
  const end = endOf(closing, id.publisher)
  if (end >= id.sequence) {
    const why =
      `the closing set of epoch ${id.epoch}, decided by change ${changeId}, holds messages 1 to ${end} of its publisher; ` +
      `every later reader is given it`
    return { outcome: 'included', why }
  }
  const heard =
    end === 0
      ? 'nothing of its publisher'
      : `of its publisher the first ${count(end, 'message')}, and this is ${id.sequence}`
  const reports = then === null ? '' : ` (${then.mode} takes ${needText(then)})`
  const why =
    `epoch ${id.epoch} was ended by change ${changeId}, and its closing set holds ${heard}: no server whose report made it up` +
    `${reports} had more on disk when it was wedged. It will never appear; what was published again is another message of ` +
    `epoch ${next.epoch} or later`
  return { outcome: 'dropped', why }
}

function needText(of: Configuration): string {
  const needed = reportsNeeded(of)
  return needed === 1
    ? 'the report of one server'
    : `the reports of ${majority(of.members.length)} of ${of.members.length}`
}
