/**
 * Field types of the wire schema: each writes and reads one protobuf field and checks it in both directions, so that no value is
 * sent as another one. The tables in `messages.ts` are made of these; their TypeScript types follow from them.
 */
import type protobuf from 'protobufjs/minimal.js'
import { EpochcastError } from '../errors.ts'
import { shown } from '../shown.ts'

type Writer = protobuf.Writer
type Reader = protobuf.Reader

/** One protobuf type: wire 0 is a varint, wire 2 is length-delimited. */
export interface FieldType<T> {
  readonly wire: 0 | 2
  /** Its name in a .proto file. */
  readonly proto: string
  /** Its fields, where it is a message of its own. */
  readonly fields?: Readonly<Record<string, Field<unknown>>>
  /** Its values, where it is one of a few words. */
  readonly words?: readonly string[]
  write(writer: Writer, value: T): void
  read(reader: Reader): T
}

export interface Field<T> {
  readonly tag: number
  readonly type: FieldType<T>
  readonly arity: 'one' | 'optional' | 'many'
}

export type Fields = Readonly<Record<string, Field<unknown>>>
type Flatten<T> = { [K in keyof T]: T[K] }
type Value<F> = F extends { arity: 'many'; type: FieldType<infer T> }
  ? readonly T[]
  : F extends Field<infer T>
    ? T
    : never
type OptionalKeys<S> = { [K in keyof S]: S[K] extends { arity: 'optional' } ? K : never }[keyof S]

/** The object that a table of fields describes. */
export type ValueOf<S> = Flatten<
  { readonly [K in Exclude<keyof S, OptionalKeys<S>>]: Value<S[K]> } & {
    readonly [K in OptionalKeys<S>]?: S[K] extends Field<infer T> ? T : never
  }
>

export function one<T>(tag: number, type: FieldType<T>): { tag: number; type: FieldType<T>; arity: 'one' } {
  return { tag, type, arity: 'one' }
}

export function optional<T>(tag: number, type: FieldType<T>): { tag: number; type: FieldType<T>; arity: 'optional' } {
  return { tag, type, arity: 'optional' }
}

export function many<T>(tag: number, type: FieldType<T>): { tag: number; type: FieldType<T>; arity: 'many' } {
  return { tag, type, arity: 'many' }
}

export function badMessage(reason: string): EpochcastError {
  return new EpochcastError('EC_BAD_MESSAGE', reason)
}

/** The longest varint of a number that is not larger than 2^53 - 1. */
const varintBytesMax = 8

/** Read here: the reader's own way makes two objects for every number of more than 32 bits. */
function readUint(reader: Reader): number {
  const { buf, len } = reader
  let value = 0
  let factor = 1
  for (let at = reader.pos, last = at + varintBytesMax; at < last && at < len; at++) {
    const byte = buf[at] as number
    value += (byte & 0x7f) * factor
    if (byte >= 0x80) {
      factor *= 0x80
      continue
    }
    if (value > Number.MAX_SAFE_INTEGER) break
    reader.pos = at + 1
    return value
  }
  throw badMessage('an integer is cut off, or not safe')
}

/** A natural number up to 2^53 - 1, given a type of its own by `check`. */
export function uint<T extends number = number>(check?: (value: number) => T): FieldType<T> {
  return {
    wire: 0,
    proto: 'uint64',
    write: (writer, value) => {
      // The writer itself wraps what is negative, cuts off fractions and takes text for a number.
      if (value >>> 0 === (value as number)) writer.uint32(value)
      else if (Number.isSafeInteger(value) && value >= 0) writer.uint64(value)
      else throw badMessage(`${shown(value)} is not a natural number up to 2^53 - 1`)
    },
    read: (reader) => (check === undefined ? (readUint(reader) as T) : check(readUint(reader))),
  }
}

export const flag: FieldType<boolean> = {
  wire: 0,
  proto: 'bool',
  write: (writer, value) => {
    if (typeof value !== 'boolean') throw badMessage(`${shown(value)} is neither true nor false`)
    writer.bool(value)
  },
  read: (reader) => reader.bool(),
}

/** UTF-8 text of at most `bytesMax` bytes, given a type of its own by `check`. */
export function text<T extends string = string>(bytesMax: number, check?: (value: string) => T): FieldType<T> {
  return {
    wire: 2,
    proto: 'string',
    write: (writer, value) => {
      if (typeof value !== 'string') throw badMessage(`${shown(value)} is no text`)
      writer.string(within(value, bytesMax))
    },
    read: (reader) => {
      const value = within(reader.string(), bytesMax)
      return check === undefined ? (value as T) : check(value)
    },
  }
}

/** Text for people alone, of which nothing but its first `bytesMax` characters is sent. */
export function prose(bytesMax: number): FieldType<string> {
  const type = text(bytesMax)
  return { ...type, write: (writer, value) => type.write(writer, clipped(value, bytesMax)) }
}

/** The end of a clipped text is never half a character. */
function clipped(value: string, lengthMax: number): string {
  if (typeof value !== 'string' || value.length <= lengthMax) return value
  return value.slice(0, lengthMax).replace(/[\uD800-\uDBFF]$/, '')
}

function within(value: string, lengthMax: number): string {
  if (value.length <= lengthMax) return value
  throw badMessage(`text of ${value.length} characters is longer than ${lengthMax}`)
}

/** Bytes as a view of the frame, never copied. */
export const bytes: FieldType<Uint8Array> = {
  wire: 2,
  proto: 'bytes',
  write: (writer, value) => {
    if (!(value instanceof Uint8Array)) throw badMessage(`${shown(value)} is not bytes`)
    writer.bytes(value)
  },
  read: (reader) => reader.bytes(),
}

/** One of a fixed list of words, by its place in it: words are only ever added at the end. */
export function word<const W extends string>(words: readonly W[]): FieldType<W> {
  return {
    wire: 0,
    proto: 'uint32',
    words,
    write: (writer, value) => {
      const at = words.indexOf(value)
      if (at < 0) throw badMessage(`${shown(value)} is none of ${words.join(', ')}`)
      writer.uint32(at + 1)
    },
    read: (reader) => {
      const value = words[reader.uint32() - 1]
      if (value === undefined) throw badMessage('unknown word')
      return value
    },
  }
}

/** A table of fields as a nested message. */
export function nested<S>(fields: S & Fields, name: string): FieldType<ValueOf<S>> {
  const table = tableOf(fields)
  return {
    wire: 2,
    proto: name,
    fields,
    write: (writer, value) => {
      if (typeof value !== 'object' || value === null) throw badMessage(`${shown(value)} is no ${name}`)
      writer.fork()
      writeTable(table, writer, value as Record<string, unknown>)
      writer.ldelim()
    },
    read: (reader) => {
      const length = reader.uint32()
      if (length > reader.len - reader.pos) throw badMessage('nested message is cut off')
      return readTable(table, reader, reader.pos + length) as ValueOf<S>
    },
  }
}

interface Column {
  readonly name: string
  readonly tag: number
  readonly arity: 'one' | 'optional' | 'many'
  readonly type: FieldType<unknown>
  /** Stands for the field in `needed`, where it may not be missing. */
  readonly bit: number
}

/** A table of fields, arranged for writing (in order) and reading (by tag). */
export interface Table {
  readonly columns: readonly Column[]
  readonly byTag: readonly (Column | undefined)[]
  /** What reading begins with: every field, so that all values have one shape; copying it is cheaper than building it. */
  readonly blank: Readonly<Record<string, unknown>>
  readonly lists: readonly string[]
  readonly needed: number
}

/** Bits of a number that can be set without a sign. */
const columnsMax = 31

/** @param first fields that are there before those of the table */
export function tableOf(fields: Fields, first: Readonly<Record<string, unknown>> = {}): Table {
  const entries = Object.entries(fields)
  if (entries.length > columnsMax) throw new Error(`a table of ${entries.length} fields`)
  const columns = entries.map(([name, field], at) => ({ name, ...field, bit: field.arity === 'one' ? 1 << at : 0 }))
  const byTag: (Column | undefined)[] = []
  for (const column of columns) byTag[column.tag] = column
  const blank: Record<string, unknown> = { ...first }
  for (const { name } of columns) blank[name] = undefined
  const lists = columns.filter(({ arity }) => arity === 'many').map(({ name }) => name)
  const needed = columns.reduce((bits, { bit }) => bits | bit, 0)
  return { columns, byTag, blank, lists, needed }
}

/**
 * Writes the fields of a table, in order. A writer that this threw for has begun what it did not end: it is used up.
 * @throws EpochcastError `EC_BAD_MESSAGE` for a field that is missing, or that its type does not take
 */
export function writeTable(table: Table, writer: Writer, value: Readonly<Record<string, unknown>>): void {
  for (const column of table.columns) {
    const field = value[column.name]
    if (field === undefined) {
      if (column.bit !== 0) throw badMessage(`field ${column.name} is missing`)
      continue
    }
    const key = (column.tag << 3) | column.type.wire
    if (column.arity !== 'many') {
      column.type.write(writer.uint32(key), field)
      continue
    }
    if (!Array.isArray(field)) throw badMessage(`field ${column.name} is no list`)
    for (const element of field as readonly unknown[]) column.type.write(writer.uint32(key), element)
  }
}

export function readTable(table: Table, reader: Reader, end: number): Record<string, unknown> {
  const into = { ...table.blank }
  for (const name of table.lists) into[name] = []
  let missing = table.needed
  while (reader.pos < end) {
    const key = reader.uint32()
    const column = table.byTag[key >>> 3]
    if (column === undefined) {
      reader.skipType(key & 7)
    } else {
      if ((key & 7) !== column.type.wire) throw badMessage(`field ${column.name} has another type`)
      if (column.arity === 'many') (into[column.name] as unknown[]).push(column.type.read(reader))
      else into[column.name] = column.type.read(reader)
      missing &= ~column.bit
    }
  }
  if (reader.pos !== end) throw badMessage('a field runs over the end')
  if (missing !== 0) {
    const field = table.columns.find(({ bit }) => (bit & missing) !== 0)
    throw badMessage(`field ${field?.name} is missing`)
  }
  return into
}
