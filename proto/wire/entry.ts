/**
 * What the message table says of each message beside its fields: its number, who may send it, which part of which process
 * receives it, and what a member does with it in every phase of the topic. Admission and routing are read from here alone.
 */
import type { Fields } from './fields.ts'

/** Senders of a message, as its receiver checks them. */
export const senders = {
  anyone: 'any process, of any cluster or of none',
  client: 'any client or server of this cluster',
  newcomer: 'a process of this cluster that speaks of itself, under its own address; a server once it is known',
  server: 'a server of this cluster, under its address',
  member: 'a server that is a member of the epoch of the message, where the receiver knows that epoch',
  coordinator: 'the server that the stake of the message names',
  arbiter: 'a server that is one of the arbiters of this cluster',
} as const
export type Sender = keyof typeof senders

/** Receivers of a message: parts of a server, and clients. */
export const destinations = {
  client: 'a client',
  cluster: 'the identity of the cluster that a server belongs to',
  proof: 'the proof that the storage of a server is as new as it ever was',
  directory: 'the directory of servers',
  engines: 'the decision engines outside of the cluster, as a server sees them',
  parts: 'the parts that servers have in the cluster',
  finder: 'the finder of topics',
  arbiter: 'an arbiter: registers, and the newest configurations',
  proposer: 'what a server asks of the arbiters',
  coordinator: 'the changes that a server coordinates',
  sequencer: 'the sequencer of an epoch',
  audience: 'who reads at a server',
  member: 'the replica of one topic',
} as const
export type Destination = keyof typeof destinations
export type ServerDestination = Exclude<Destination, 'client'>

/**
 * Phases of a topic at a server.
 * - unknown: the server has never heard of the topic
 * - absent: nothing is opened, there may be staged state
 * - open: the newest epoch opened here takes stores
 * - wedged: it does not any more, and its decision is not known
 * - closed: its decision is known
 */
export const phases = ['unknown', 'absent', 'open', 'wedged', 'closed'] as const
export type Phase = (typeof phases)[number]

/**
 * - handle: done
 * - bring: the message brings the topic to a server that does not know it, and is handled
 * - empty: answered from a replica without anything in it, which is not kept
 * - wedged, moved, not-yet: refused by that name
 * - drop: not answered; the sender tries again or another server answers
 */
export type Outcome = 'handle' | 'bring' | 'empty' | 'wedged' | 'moved' | 'not-yet' | 'drop'

export type Phases = { readonly unknown: 'bring' | 'empty' | 'not-yet' | 'drop' } & {
  readonly [P in Exclude<Phase, 'unknown'>]: Exclude<Outcome, 'bring' | 'empty'>
}

interface Common {
  /** On the wire and in the log; never used again for something else. */
  readonly number: number
  /** First version of the protocol that has the message. */
  readonly since: number
  readonly from: Sender
  /** Sender of one that carries the number of a request of its receiver, where that is another. */
  readonly answer?: Sender
  /** Receivers beside the first one; they come before it. */
  readonly and?: readonly Destination[]
  /** Figure of the paper that has it under this or another name. */
  readonly figure?: string
  readonly means: string
  readonly fields: Fields
}

/** A message to the replica of a topic. */
export interface MemberEntry extends Common {
  readonly to: 'member'
  /** `opened`: it belongs to the epoch that is opened here, others are refused by name. `any`: it names an epoch of its own. */
  readonly epoch: 'opened' | 'any'
  readonly phases: Phases
}

export interface PlainEntry extends Common {
  readonly to: Exclude<Destination, 'member'>
}

export type Entry = MemberEntry | PlainEntry

/** A record of the log that is never sent. */
export interface RecordEntry {
  readonly number: number
  readonly since: number
  readonly means: string
  readonly fields: Fields
}

/** The phases of a message that a replica takes whenever there is one. */
export const always = { absent: 'handle', open: 'handle', wedged: 'handle', closed: 'handle' } as const
