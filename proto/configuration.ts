/**
 * Configurations and their quorums. What distinguishes the modes is here and nowhere else: how many confirmations complete
 * an operation, how many wedged reports close the epoch, when the next one is enabled, and who decides.
 *
 * Source: Birman, Malkhi, van Renesse, "Virtually Synchronous Methodology ...", section 3 (single server), Figure 4
 * (fault-recovery), Figures 5 and 6 (fault-masking).
 */
import type { Decider } from './decider.ts'
import { EpochcastError } from './errors.ts'
import type { Address, Epoch, ServerName, TopicName } from './ids.ts'
import type { MessageSet } from './message-set.ts'

export type { Decider } from './decider.ts'

export const modes = ['single', 'fault-recovery', 'fault-masking'] as const
export type Mode = (typeof modes)[number]

export const services = ['multicast'] as const
export type Service = (typeof services)[number]

/** What publishers stamp and what subscriptions may ask for, each with everything before it. */
export const orders = ['none', 'fifo', 'causal', 'total'] as const
export type Order = (typeof orders)[number]

/** Whether a topic of this order can be read in that one: the same, or a weaker one. */
export function offers(order: Order, wanted: Order): boolean {
  return orders.indexOf(wanted) <= orders.indexOf(order)
}

/** Whether publishers say what their messages depend on. */
export function isStamped(order: Order): boolean {
  return offers(order, 'causal')
}

export interface Member {
  readonly name: ServerName
  /** Where it was when the configuration was decided; a server that moved is found through the directory. */
  readonly address: Address
}

/** Everything that an epoch is. It changes only through the decision that ends the epoch. */
export interface Configuration {
  readonly topic: TopicName
  readonly epoch: Epoch
  readonly service: Service
  readonly mode: Mode
  readonly decider: Decider
  readonly members: readonly Member[]
  /** A change that finds too few live servers waits rather than go below this number. */
  readonly membersMin: number
  readonly order: Order
  /** First epoch whose messages are still kept. */
  readonly floor: Epoch
  /** Messages of all epochs before this one. */
  readonly base: number
  /** Who orders the messages, in an epoch of order `total`: one of the members that had staged. */
  readonly sequencer?: ServerName
}

/** What a change asks for, carried by every wedge so that any server can finish it. */
export interface Intent {
  readonly changeId: string
  readonly members: readonly Member[]
  readonly mode: Mode
  readonly decider: Decider
  readonly membersMin: number
  readonly order: Order
}

/** What ends an epoch: the next configuration together with the closing set. One per epoch, for ever. */
export interface Decision {
  readonly changeId: string
  readonly next: Configuration
  readonly closing: MessageSet
  /** How long the change took until it was proposed, in microseconds: for people. */
  readonly times?: ProposalTimes
}

export interface ProposalTimes {
  readonly planUs: number
  readonly wedgeUs: number
  readonly stageUs: number
}

export function majority(of: number): number {
  return Math.floor(of / 2) + 1
}

/** Members that must confirm until an Add or a Get is complete. */
export function operationQuorum(configuration: Configuration): number {
  const size = configuration.members.length
  return configuration.mode === 'fault-masking' ? majority(size) : size
}

/** Wedged members whose reports together hold every completed operation. */
export function reportsNeeded(configuration: Configuration): number {
  return configuration.mode === 'fault-masking' ? majority(configuration.members.length) : 1
}

/** Members that must have staged before the proposal, and have started before the epoch is enabled. */
export function enabledQuorum(next: { readonly mode: Mode; readonly members: readonly unknown[] }): number {
  return next.mode === 'fault-masking' ? majority(next.members.length) : next.members.length
}

/** Old members whose accepts make a decision, with stakes. */
export function acceptQuorum(configuration: Configuration): number {
  return majority(configuration.members.length)
}

/** Failures that lose nothing. */
export function toleratedFailures(mode: Mode, size: number): number {
  return mode === 'fault-masking' ? Math.floor((size - 1) / 2) : size - 1
}

export function isMember(configuration: Configuration, name: ServerName): boolean {
  return configuration.members.some((member) => member.name === name)
}

/**
 * Fault-masking epochs are decided by their members unless asked otherwise; the others cannot decide alone.
 * @param engine the cluster's own choice of an engine: the one that decides about new topics
 */
export function defaultDecider(mode: Mode, engine: Decider = 'engine'): Decider {
  return mode === 'fault-masking' ? 'stakes' : engine
}

/** The mode of a topic that nobody described: the one that tolerates a failure on so many servers, masked where possible. */
export function defaultMode(servers: number): Mode {
  if (servers >= defaultSizes['fault-masking']) return 'fault-masking'
  return servers >= defaultSizes['fault-recovery'] ? 'fault-recovery' : 'single'
}

export const defaultSizes: Record<Mode, number> = { single: 1, 'fault-recovery': 2, 'fault-masking': 3 }

/** Why servers cannot be the members of an epoch, and what to do about it. */
export interface MembershipFault {
  readonly reason: string
  readonly hint: string
}

/**
 * The one rule for memberships, whoever proposes them: a user's change, the replacement of dead members, a coordinator that
 * substitutes members while it stages.
 * @returns null where these servers can be the members of an epoch in this mode
 */
export function membershipFault(mode: Mode, members: readonly string[]): MembershipFault | null {
  const twice = members.find((name, at) => members.indexOf(name) !== at)
  if (twice !== undefined) return { reason: `server ${twice} is named twice`, hint: 'name each server once' }
  const size = members.length
  if (mode === 'single' && size !== 1) {
    const reason = `mode single takes exactly 1 server, not ${size}`
    return { reason, hint: 'name one server or choose another mode' }
  }
  if (mode === 'fault-recovery' && size < 2) {
    const reason = `mode fault-recovery takes F+1 servers, at least 2, not ${size}`
    return { reason, hint: 'name two or more servers' }
  }
  if (mode === 'fault-masking' && (size < 3 || size % 2 === 0)) {
    const reason = `mode fault-masking takes 2F+1 servers (3, 5, 7 …), not ${size}`
    return { reason, hint: 'an even server would tolerate no further failure: name an odd number, at least three' }
  }
  return null
}

/**
 * Checks that a requested membership makes sense before anything is stopped.
 * @throws EpochcastError `EC_IMPOSSIBLE_MEMBERSHIP`
 */
export function checkMembership(mode: Mode, members: readonly string[]): void {
  const fault = membershipFault(mode, members)
  if (fault !== null) throw impossible(fault.reason, fault.hint)
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` where a size is asked for beside members who are more, or fewer */
export function checkSize({
  members = [],
  size,
}: {
  readonly members?: readonly string[]
  readonly size?: number
}): void {
  if (members.length === 0 || size === undefined || size === members.length) return
  const text = `size is ${size}, but ${members.length} members are named`
  throw new EpochcastError('EC_BAD_ARGUMENT', text, { hint: 'leave one of them out' })
}

/** Whether members that nobody named may take over: as many as the topic's minimum, and such as a user might have named. */
export function maySucceed(
  { mode, membersMin }: Pick<Configuration, 'mode' | 'membersMin'>,
  members: readonly Member[],
) {
  const names = members.map(({ name }) => name)
  return members.length >= membersMin && membershipFault(mode, names) === null
}

/**
 * The number of members below which a change waits: what is asked for, else what is usual as far as there are so many.
 * @throws EpochcastError `EC_IMPOSSIBLE_MEMBERSHIP` where more are asked for than there are: every change would wait for ever
 */
export function minimumOf(asked: number | undefined, usual: number, size: number): number {
  if (asked === undefined) return Math.min(usual, size)
  if (asked <= size) return asked
  throw impossible(`no fewer than ${asked} servers, of ${size}`, 'the minimum is at most the number of members')
}

/** @throws EpochcastError `EC_IMPOSSIBLE_MEMBERSHIP` where the members cannot decide by themselves */
export function checkDecider(mode: Mode, decider: Decider): void {
  if (decider !== 'stakes' || mode === 'fault-masking') return
  throw impossible(`mode ${mode} cannot decide by stakes`, 'leave the decider out, or say engine')
}

/** The configuration that an intent gives the epoch after `old`, once its closing set is known. */
export function nextConfiguration(
  old: Configuration,
  intent: Intent,
  epoch: Epoch,
  closingCount: number,
): Configuration {
  return {
    topic: old.topic,
    epoch,
    service: old.service,
    mode: intent.mode,
    decider: intent.decider,
    members: intent.members,
    membersMin: intent.membersMin,
    order: intent.order,
    floor: old.floor,
    base: old.base + closingCount,
  }
}

/** What the change behind a decision asked for. */
export function intentOf(decision: Decision): Intent {
  const { members, mode, decider, membersMin, order } = decision.next
  return { changeId: decision.changeId, members, mode, decider, membersMin, order }
}

function impossible(reason: string, hint: string): EpochcastError {
  return new EpochcastError('EC_IMPOSSIBLE_MEMBERSHIP', reason, { hint })
}
