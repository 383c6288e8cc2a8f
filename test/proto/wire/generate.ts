/** Generates messages of every kind from the tables that define them. */
import fc from 'fast-check'
import { modes, orders, services } from '../../../proto/configuration.ts'
import type { PublisherId } from '../../../proto/ids.ts'
import { shortages } from '../../../proto/shortage.ts'
import type { Field, Fields } from '../../../proto/wire/fields.ts'
import { getLevels, type Message, type MessageKind, refusals, table } from '../../../proto/wire/messages.ts'

const hex = (count: number) =>
  fc.string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: count, maxLength: count })
const name = fc.string({ unit: fc.constantFrom(...'abcXYZ019'), minLength: 1, maxLength: 8 })
const number = fc.oneof(fc.nat(), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }))
const serverName = fc.tuple(name, fc.uuid()).map(([id, storage]) => `${id}@${storage}`)
const set = fc
  .uniqueArray(fc.tuple(hex(16), fc.integer({ min: 1, max: 2 ** 50 }), number), {
    maxLength: 4,
    selector: ([id]) => id,
  })
  .map((entries) => new Map(entries.map(([id, end, digest]) => [id as PublisherId, { end, digest }])))

/** Words are told apart by the field's name: on the wire they are numbers. */
const byName: Record<string, fc.Arbitrary<unknown>> = {
  topic: fc.array(name, { minLength: 1, maxLength: 3 }).map((tokens) => tokens.join('.')),
  publisher: hex(16),
  mode: fc.constantFrom(...modes),
  decider: fc.constantFrom('stakes', 'engine', 'engine:main', 'engine:main@0123456789abcdef'),
  service: fc.constantFrom(...services),
  order: fc.constantFrom(...orders),
  level: fc.constantFrom(...getLevels),
  verdict: fc.constantFrom('ok', 'warn', 'fail'),
  refusal: fc.constantFrom(...refusals),
  shortage: fc.constantFrom(...shortages),
  shortages: fc.constantFrom(...shortages),
  id: fc.uuid(),
  name: serverName,
  coordinator: serverName,
  sequencer: serverName,
  silent: serverName,
  sync: fc.constantFrom('always', 'interval 50', 'memory'),
  old: serverName,
  full: serverName,
  retirable: serverName,
}

export function messageOf<K extends MessageKind>(kind: K): fc.Arbitrary<Message> {
  return recordOf(table[kind].fields).map((fields) => ({ kind, ...fields }) as unknown as Message)
}

function recordOf(fields: Fields): fc.Arbitrary<Record<string, unknown>> {
  const entries = Object.entries(fields).map(([key, field]) => [key, arityOf(key, field)] as const)
  return fc.record(Object.fromEntries(entries))
}

function arityOf(key: string, field: Field<unknown>): fc.Arbitrary<unknown> {
  const value = oneOf(key, field)
  if (field.arity === 'many') return fc.array(value, { maxLength: 3 })
  return field.arity === 'optional' ? fc.option(value, { nil: undefined }) : value
}

function oneOf(key: string, { type }: Field<unknown>): fc.Arbitrary<unknown> {
  const named = byName[key]
  if (type.proto === 'MessageSet') return set
  if (type.fields !== undefined) return recordOf(type.fields)
  if (named !== undefined) return named
  if (type.proto === 'bool') return fc.boolean()
  if (type.proto === 'string') return name
  if (type.proto === 'bytes') return fc.uint8Array({ maxLength: 50 }).map((bytes) => Buffer.from(bytes))
  return number
}
