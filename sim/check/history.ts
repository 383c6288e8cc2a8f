/**
 * The history format: one totally ordered list of what clients saw, what servers kept and said, and which faults came. The
 * simulator and runs of real processes write the same events, one JSON object a line, and the same checkers judge both.
 *
 * - `i` counts the events of one history; `at` is in milliseconds of one monotonic clock.
 * - The first event is a `header`. With order `total` the list is the real order (a simulation). With `merged`, client events
 *   have the order of one recording process, and a server's events only the order of its own log (`lsn`): rules that compare
 *   servers with each other then ask only whether something is there, not when.
 * - Ids are `EPOCH-PUBLISHER-SEQUENCE`, as users see them. A set is the last sequence per publisher.
 * - `value` names a message for good: a run gives every `add` another value.
 * - An operation is one `inv` and at most one of `ok`, `fail` (it has no effect and never will) and `info` (unknown).
 * - Optional events make rules sharper; a rule without the events that it needs finds nothing.
 */
export const historyFormat = 1

interface Stamp {
  readonly i: number
  readonly at: number
}

export type EndsByPublisher = Readonly<Record<string, number>>

export interface Header extends Stamp {
  readonly kind: 'header'
  readonly format: typeof historyFormat
  readonly order: 'total' | 'merged'
  /** Where it comes from: a seed, a test. */
  readonly source: string
  /** Servers whose registers decide what members do not decide by stakes; none when another engine does. */
  readonly arbiters: readonly string[]
}

// What clients did and were told.

export type OperationName = 'create' | 'add' | 'get' | 'outcome' | 'reconf' | 'subscribe'

/** `epoch` is that of the client's latest notification (Definition 2): 0 before the first. */
export interface Invocation extends Stamp {
  readonly kind: 'inv'
  readonly op: number
  readonly f: OperationName
  readonly client: string
  readonly topic: string
  readonly epoch: number
  /** Of an add: what is published. */
  readonly value?: string
  readonly level?: 'linearizable' | 'durable' | 'early'
  /** Of a get: what it leaves out, everything of earlier epochs and this much of that one. */
  readonly since?: { readonly epoch: number; readonly seen: EndsByPublisher }
  /** Of an outcome: whose. */
  readonly id?: string
  /** Of a reconf: the id of the change. */
  readonly change?: string
  /** Of a subscribe: `start` is given all messages above the floor; everything else begins somewhere. */
  readonly from?: 'start' | 'new' | 'cursor'
  /** Of a subscribe: `early` messages are shown before they are durable; see `confirmed` and `retracted`. */
  readonly early?: boolean
  readonly order?: 'none' | 'fifo' | 'causal' | 'total'
}

export type Ok = Stamp & { readonly kind: 'ok'; readonly op: number } & (
    | { readonly f: 'add'; readonly id: string; readonly status: 'durable' | 'included' }
    | {
        readonly f: 'get'
        readonly epoch: number
        readonly floor: number
        readonly ids: readonly string[]
        /** Values of the same messages, in the same order. */
        readonly values: readonly string[]
      }
    | { readonly f: 'outcome'; readonly outcome: 'durable' | 'included' | 'dropped' | 'pending' | 'expired' }
    /** `superseded`: the epoch was ended by another change. `epoch` is the one that follows. */
    | { readonly f: 'reconf'; readonly epoch: number; readonly superseded: boolean; readonly rc?: string }
    | { readonly f: 'create' | 'subscribe' }
  )

/** `dropped`: the closing set does not hold `id`. `refused`: nothing was done. */
export interface Fail extends Stamp {
  readonly kind: 'fail'
  readonly op: number
  readonly f: OperationName
  readonly id?: string
  readonly code: string
}

export interface Info extends Stamp {
  readonly kind: 'info'
  readonly op: number
  readonly f: OperationName
  readonly id?: string
  readonly code: string
}

/** A client sent these messages of its own for the first time: the Add of Definition 3, sealed into `epoch`. */
export interface Sent extends Stamp {
  readonly kind: 'sent'
  readonly client: string
  readonly topic: string
  readonly epoch: number
  readonly pub: string
  readonly first: number
  readonly last: number
  readonly values: readonly string[]
}

/** A client was notified of a configuration. */
export interface View extends Stamp {
  readonly kind: 'view'
  readonly client: string
  readonly topic: string
  readonly epoch: number
  readonly rc?: string
}

/** A subscription was given a message. `sub` is the `op` of its `subscribe`. */
export interface Delivered extends Stamp {
  readonly kind: 'dlv'
  readonly sub: number
  readonly topic: string
  readonly id: string
  readonly value: string
  /** Place in the total order, where there is one. */
  readonly pos?: number
  /** Shown before it is durable. */
  readonly early?: boolean
}

/** What an early subscription says later of messages that it showed. */
export interface Judged extends Stamp {
  readonly kind: 'confirmed' | 'retracted'
  readonly sub: number
  readonly topic: string
  readonly id: string
}

/** A subscription was told that `epoch` ended with so many messages, and by which decision. */
export interface Closed extends Stamp {
  readonly kind: 'closed'
  readonly sub: number
  readonly topic: string
  readonly epoch: number
  readonly count: number
  readonly rc?: string
}

/** A subscription was told that messages of the epochs from `from` to before `to` are not given. */
export interface Gap extends Stamp {
  readonly kind: 'gap'
  readonly sub: number
  readonly topic: string
  readonly from: number
  readonly to: number
}

/** The process of a client is gone; what it waited for stays open. */
export interface ClientGone extends Stamp {
  readonly kind: 'gone'
  readonly client: string
}

// What servers kept and said. `srv` is `serverId@storageUUID`; `lsn` is the position in that server's log.

/** A decision or proposal, written down before anything refers to it by `rc`. */
export interface ReconfigurationEvent extends Stamp {
  readonly kind: 'rc'
  readonly rc: string
  readonly topic: string
  /** The epoch that it ends; 0 makes the topic. */
  readonly epoch: number
  readonly change: string
  readonly members: readonly string[]
  readonly mode: string
  readonly decider: string
  readonly floor: number
  readonly closing: EndsByPublisher
}

interface AtServer extends Stamp {
  readonly srv: string
}

interface Kept extends AtServer {
  readonly topic: string
  readonly epoch: number
  readonly lsn: number
}

/** On disk. `staged`: apart, for the next epoch. */
export interface Stored extends Kept {
  readonly kind: 'stored' | 'staged'
  readonly pub: string
  readonly first: number
  readonly last: number
}

/** Wedge and promise in one record. Stakes are `ROUND/COORDINATOR/INCARNATION`, the last in hexadecimal. */
export interface Wedged extends Kept {
  readonly kind: 'wedged'
  readonly stake: string
}

/** At an arbiter: a promise without a wedge. */
export interface Promised extends Kept {
  readonly kind: 'promised'
  readonly stake: string
}

/** `by`: the members' own vote (an accept wedges too), or an arbiter's. */
export interface Accepted extends Kept {
  readonly kind: 'accepted'
  readonly by: 'member' | 'arbiter'
  readonly stake: string
  readonly rc: string
}

/** This server opened `epoch`, the one after the decision `rc`. */
export interface Started extends Kept {
  readonly kind: 'started'
  readonly rc: string
}

interface Said extends AtServer {
  readonly topic: string
  readonly epoch: number
}

export interface AckSent extends Said {
  readonly kind: 'ackSent'
  readonly pub: string
  readonly end: number
}

/** A report to clients or peers of what is on disk; refused once wedged. */
export interface Served extends Said {
  readonly kind: 'served'
  readonly f: 'collect' | 'report'
  readonly set: EndsByPublisher
}

export interface SuspSent extends Said {
  readonly kind: 'suspSent'
  readonly stake: string
  readonly set: EndsByPublisher
}

/** An accept left a coordinator: its proposal for this stake. */
export interface Proposed extends Said {
  readonly kind: 'proposed'
  readonly to: 'member' | 'arbiter'
  readonly stake: string
  readonly rc: string
}

export interface AcceptSent extends Said {
  readonly kind: 'acceptSent'
  readonly by: 'member' | 'arbiter'
  readonly stake: string
}

/** A vote for a decision to a next member. */
export interface StartSent extends Said {
  readonly kind: 'startSent'
  readonly stake: string
  readonly rc: string
}

/** An engine that is no part of the cluster decided. */
export interface EngineDecided extends Stamp {
  readonly kind: 'decided'
  readonly topic: string
  readonly epoch: number
  readonly rc: string
}

/** A process begins; `lsn` is the end of what it found on its disk. */
export interface Boot extends AtServer {
  readonly kind: 'boot'
  readonly lsn: number
}

export interface ServerGone extends AtServer {
  /** `diskOld`: it will come back with its disk as it was some time ago, and may not speak. */
  readonly kind: 'crash' | 'diskLost' | 'diskOld'
}

/** Everything below `floor` was deleted. */
export interface Trimmed extends Said {
  readonly kind: 'trimmed'
  readonly floor: number
}

// What the run did.

export interface FaultEvent extends Stamp {
  readonly kind: 'fault'
  readonly id: string
  readonly detail: string
}

/** From here on a core that satisfies the liveness condition is there, and stays; bounds in milliseconds. */
export interface Healed extends Stamp {
  readonly kind: 'healed'
  readonly operationMs: number
  readonly changeMs: number
  /** Epochs that the policy may begin in a minute, where one is configured. */
  readonly epochsPerMinute?: number
}

/** Space returned to a disk (L4); more load than can be taken begins and ends (L5). */
export interface Pressure extends Stamp {
  readonly kind: 'space' | 'overload' | 'calm'
  readonly boundMs: number
}

/** `quiescent`: nothing was under way any more, so what is missing now is missing for good. */
export interface End extends Stamp {
  readonly kind: 'end'
  readonly quiescent: boolean
  /** More was lost for good than the liveness condition allows: nothing has to end, and nobody has to be given anything. */
  readonly hopeless?: boolean
}

export type HistoryEvent =
  | Header
  | Invocation
  | Ok
  | Fail
  | Info
  | Sent
  | View
  | Delivered
  | Judged
  | Closed
  | Gap
  | ClientGone
  | ReconfigurationEvent
  | Stored
  | Wedged
  | Promised
  | Accepted
  | Started
  | AckSent
  | Served
  | SuspSent
  | Proposed
  | AcceptSent
  | StartSent
  | EngineDecided
  | Boot
  | ServerGone
  | Trimmed
  | FaultEvent
  | Healed
  | Pressure
  | End

type WithoutIndex<E> = E extends HistoryEvent ? Omit<E, 'i'> : never
/** An event before it has its place. */
export type NewEvent = WithoutIndex<HistoryEvent>

export type History = readonly HistoryEvent[]

/** One broken rule of one history. */
export interface Violation {
  /** `I1`, `F4`, `L2` … */
  readonly rule: string
  readonly text: string
  /** Index of the event at which it showed. */
  readonly i: number
}

export function formatHistory(history: History): string {
  return history.map((event) => `${JSON.stringify(event)}\n`).join('')
}

/** @throws Error that names the line, for what is not a history of this format */
export function parseHistory(text: string): HistoryEvent[] {
  const events: HistoryEvent[] = []
  for (const [at, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    events.push(parseLine(line, at + 1))
  }
  const header = events[0]
  if (header?.kind !== 'header') throw new Error('line 1: a history begins with its header')
  if (header.format !== historyFormat) throw new Error(`line 1: format ${header.format} is not ${historyFormat}`)
  return events
}

function parseLine(line: string, number: number): HistoryEvent {
  let event: unknown
  try {
    event = JSON.parse(line)
  } catch {
    throw new Error(`line ${number}: no JSON object`)
  }
  if (typeof event !== 'object' || event === null || !('kind' in event) || !('i' in event) || !('at' in event))
    throw new Error(`line ${number}: no event with kind, i and at`)
  return event as HistoryEvent
}

/** Epoch of an id. */
export function epochOf(id: string): number {
  return Number.parseInt(id, 10)
}

export interface IdParts {
  readonly epoch: number
  readonly pub: string
  readonly seq: number
}

export function partsOf(id: string): IdParts {
  const first = id.indexOf('-')
  const last = id.lastIndexOf('-')
  return { epoch: Number(id.slice(0, first)), pub: id.slice(first + 1, last), seq: Number(id.slice(last + 1)) }
}

/** `ROUND/COORDINATOR/INCARNATION` as `formatStake` writes it, ordered in that order. */
export function compareStakeTexts(one: string, other: string): number {
  const [a, b] = [stakeParts(one), stakeParts(other)]
  if (a.round !== b.round) return a.round - b.round
  if (a.coordinator !== b.coordinator) return a.coordinator < b.coordinator ? -1 : 1
  return a.incarnation - b.incarnation
}

function stakeParts(text: string): { round: number; coordinator: string; incarnation: number } {
  const [round = '', coordinator = '', incarnation = ''] = text.split('/')
  return { round: Number(round), coordinator, incarnation: Number.parseInt(incarnation, 16) }
}
