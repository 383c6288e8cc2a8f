/** Prints the tables of `messages.ts` as a .proto file, for clients in other languages. */
import type { Field, Fields } from './fields.ts'
import { kinds, table } from './messages.ts'
import { recordTable, writtenKinds } from './records.ts'

const head = `// Printed from the tables in messages.ts; do not edit.
//
// A frame: length (4 bytes, big-endian) | envelope length (2 bytes, big-endian) | Envelope | message.
// A message begins with its kind: field 1, a varint, the number in the comment above it. A body is its last field.
syntax = "proto3";
package epochcast;

message Envelope {
  string cluster = 1;
  string from = 2;
  uint64 token = 3;
}
`

/** @returns the text of `schema.proto` */
export function printSchema(): string {
  const nested = new Map<string, string>()
  const sent = kinds.map((kind) => [kind, table[kind]] as const)
  const written = writtenKinds.map((kind) => [kind, recordTable[kind]] as const)
  const messages = [...sent, ...written]
    .sort(([, one], [, other]) => one.number - other.number)
    .map(([kind, { number, fields, means }]) => {
      const message = printMessage(nameOf(kind), fields, nested, ['  uint32 kind = 1;'])
      return `// kind ${number}${kind in recordTable && !(kind in table) ? ', in the log alone' : ''}: ${means}\n${message}`
    })
  return `${[head, ...nested.values(), ...messages].join('\n')}`
}

function printMessage(name: string, fields: Fields, nested: Map<string, string>, first: string[] = []): string {
  const others = Object.entries(fields).map(([field, { tag, type, arity }]) => {
    if (type.fields !== undefined && !nested.has(type.proto)) {
      nested.set(type.proto, '')
      nested.set(type.proto, printMessage(type.proto, type.fields, nested))
    }
    return `  ${prefix(arity)}${type.proto} ${snake(field)} = ${tag};`
  })
  const lines = [...first, ...others]
  return `message ${name} {\n${lines.join('\n')}${lines.length > 0 ? '\n' : ''}}\n`
}

function prefix(arity: Field<unknown>['arity']): string {
  return arity === 'many' ? 'repeated ' : arity === 'optional' ? 'optional ' : ''
}

function nameOf(kind: string): string {
  return kind.replace(/(^|-)([a-z])/g, (_, _dash, letter: string) => letter.toUpperCase())
}

function snake(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
}
