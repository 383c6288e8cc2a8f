/**
 * Every message: its number, who sends it, who receives it, what each phase of a topic does with it, and its fields. The tables stand
 * in `messages/`, one for each protocol; types, codec, admission, routing, permission, `schema.proto` and `docs/messages.md`
 * follow from them. Numbers and tags are never used again for something else.
 */
import type { Destination, Entry } from './entry.ts'
import type { ValueOf } from './fields.ts'
import { change } from './messages/change.ts'
import { decide } from './messages/decide.ts'
import { find } from './messages/find.ts'
import { publish } from './messages/publish.ts'
import { read } from './messages/read.ts'
import { servers } from './messages/servers.ts'
import { transfer } from './messages/transfer.ts'

export { type GetLevel, getLevels, type Refusal, refusals } from './messages/shared.ts'

/** The tables by their protocols, as they are printed. */
export const protocols = { publish, read, transfer, change, decide, find, servers } as const

const tables = { ...publish, ...read, ...transfer, ...change, ...decide, ...find, ...servers } as const

type Tables = typeof tables
export type MessageKind = keyof Tables
export type MessageOf<K extends MessageKind> = K extends MessageKind
  ? { readonly kind: K } & ValueOf<Tables[K]['fields']>
  : never
export type Message = { [K in MessageKind]: MessageOf<K> }[MessageKind]

/** The whole table, for looking an entry up by its kind. */
export const table: Readonly<Record<MessageKind, Entry>> = tables

type Others<E> = E extends { readonly and: readonly (infer D)[] } ? D : never
type KindsTo<D extends Destination> = {
  [K in MessageKind]: D extends Tables[K]['to'] | Others<Tables[K]> ? K : never
}[MessageKind]
/** The messages that a destination receives. */
export type MessageTo<D extends Destination> = MessageOf<KindsTo<D>>

type EpochBoundKind = {
  [K in MessageKind]: Tables[K] extends { readonly epoch: 'opened' } ? K : never
}[MessageKind]
/** The messages of a replica that belong to the epoch that is opened there. */
export type EpochBound = MessageOf<EpochBoundKind>

export type Batch = MessageOf<'batch'>
export type Dependencies = NonNullable<Batch['after']>
/** Up to where of one publisher. */
export type End = Dependencies['own'][number]
export type Template = Pick<MessageOf<'locate'>, 'mode' | 'decider' | 'size' | 'members' | 'membersMin' | 'order'>
export type PhaseTimes = MessageOf<'changed'>['times']
export type Source = MessageOf<'stage'>['sources'][number]
export type ClusterRecord = MessageOf<'join'>['cluster']
export type EngineState = MessageOf<'engines'>['engines'][number]
/** One thing that was found about an engine, and what to do about it. */
export type Finding = EngineState['findings'][number]

export const kinds = Object.keys(tables) as readonly MessageKind[]

const byNumber: (MessageKind | undefined)[] = []
for (const kind of kinds) byNumber[table[kind].number] = kind

export function kindOfNumber(number: number): MessageKind | undefined {
  return byNumber[number]
}

/** Whether a message or record belongs to one epoch of one topic. */
export function isTopical<M extends object>(message: M): message is Extract<M, { topic: unknown }> {
  return 'topic' in message
}
