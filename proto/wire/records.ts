/**
 * Records of the log. Most are messages that a server keeps as they came or as it would say them; the others are never sent, and
 * are no messages: what is only written cannot be received.
 */
import type { RecordEntry } from './entry.ts'
import { many, one, type ValueOf } from './fields.ts'
import { topical } from './messages/shared.ts'
import { type MessageKind, type MessageOf, table } from './messages.ts'
import { decision, serverLife, shownPosition } from './types.ts'

const written = {
  opening: {
    number: 58,
    since: 1,
    means: 'This server opened `epoch`, the one after the decision.',
    fields: { ...topical, decision: one(4, decision) },
  },
  remembered: {
    number: 63,
    since: 1,
    means: 'How far other servers have shown their logs to reach.',
    fields: { servers: many(2, shownPosition) },
  },
  lives: {
    number: 68,
    since: 1,
    means: 'Servers that were forgotten, or came back after that.',
    fields: { servers: many(2, serverLife) },
  },
} as const satisfies Record<string, RecordEntry>

/** Messages that are records too. `staged`: everything is staged, and is kept until the end of that epoch is known. */
const kept = [
  'batch',
  'wedge',
  'accept',
  'decided',
  'staged',
  'arbiter-prepare',
  'arbiter-accept',
  'note',
  'join',
] as const satisfies readonly MessageKind[]

type Written = typeof written
type WrittenKind = keyof Written
type KeptKind = (typeof kept)[number]
export type RecordName = WrittenKind | KeptKind
export type LogRecordOf<K extends RecordName> = K extends WrittenKind
  ? { readonly kind: K } & ValueOf<Written[K]['fields']>
  : K extends KeptKind
    ? MessageOf<K>
    : never
export type LogRecord = { [K in RecordName]: LogRecordOf<K> }[RecordName]

/** Records of the replica of one topic. */
export type ReplicaRecord = LogRecordOf<'batch' | 'wedge' | 'accept' | 'decided' | 'staged' | 'opening'>
/** Records of an arbiter. */
export type ArbiterRecord = LogRecordOf<'arbiter-prepare' | 'arbiter-accept' | 'note'>

export const recordTable: Readonly<Record<RecordName, RecordEntry>> = {
  ...written,
  ...(Object.fromEntries(kept.map((kind) => [kind, table[kind]])) as unknown as Record<KeptKind, RecordEntry>),
}

export const writtenKinds = Object.keys(written) as readonly WrittenKind[]
