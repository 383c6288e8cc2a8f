/**
 * Frames to bytes and back. A frame is a small envelope (who, in which cluster, in answer to what) in front of one message:
 *
 *     envelope length (u16) | envelope (protobuf) | message (protobuf)
 *
 * The message's own bytes are what the log keeps, so a server passes a batch on without touching it. A body is always the
 * last field: it is written and read as a view, never copied here.
 */
import protobuf from 'protobufjs/minimal.js'
import { EpochcastError } from '../errors.ts'
import type { ClusterId } from '../ids.ts'
import { badMessage, type Fields, one, readTable, type Table, tableOf, text, uint, writeTable } from './fields.ts'
import { kinds, type Message, table as messages } from './messages.ts'
import { type LogRecord, type RecordName, recordTable } from './records.ts'

export interface Envelope {
  readonly cluster: ClusterId | ''
  /** Server name or client name of the sender. */
  readonly from: string
  /** Which request, subscription or feed of the receiver this belongs to; 0 for none. */
  readonly token: number
}

export interface Frame<M extends Message = Message> {
  readonly envelope: Envelope
  readonly message: M
  /** The message's own encoding, a view of the frame. */
  readonly bytes: Uint8Array
}

const kindTag = 1
const envelopeTable = tableOf({ cluster: one(1, text(36)), from: one(2, text(100)), token: one(3, uint()) })

/** How one kind is written and read. */
interface Shape {
  readonly kind: string
  readonly number: number
  readonly table: Table
  /** The same without its body. */
  readonly head: Table
}

function shapeOf(kind: string, { number, fields }: { readonly number: number; readonly fields: Fields }): Shape {
  const { body: _, ...head } = fields
  return { kind, number, table: tableOf(fields, { kind }), head: tableOf(head) }
}

/** Every kind that is sent or kept, by its name, and those that are read from either place by their number. */
const shapes = new Map<string, Shape>()
const messageShapes: (Shape | undefined)[] = []
const recordShapes: (Shape | undefined)[] = []
for (const kind of kinds) {
  const shape = shapeOf(kind, messages[kind])
  shapes.set(kind, shape)
  messageShapes[shape.number] = shape
}
for (const kind of Object.keys(recordTable) as readonly RecordName[]) {
  const shape = shapes.get(kind) ?? shapeOf(kind, recordTable[kind])
  shapes.set(kind, shape)
  recordShapes[shape.number] = shape
}
/** Writes one message after the other; what was thrown in the middle of one takes its writer with it. */
let writer = protobuf.Writer.create()
const noBody = new Uint8Array(0)

/**
 * Encodes a message or a record: its fields in one part, its body, if it has one, in a second.
 * @throws EpochcastError `EC_BAD_MESSAGE` for one that could not be read again as what it is
 */
export function encodeMessage(message: Message | LogRecord): readonly Uint8Array[] {
  const shape = shapes.get(message.kind)
  if (shape === undefined) throw badMessage(`message kind ${message.kind} is unknown`)
  const { number, table, head } = shape
  const body = 'body' in message ? message.body : undefined
  if (body !== undefined && !(body instanceof Uint8Array)) throw badMessage('a body is not bytes')
  const front = written((into) => {
    into.uint32(kindTag << 3).uint32(number)
    writeTable(head, into, message)
    if (body !== undefined) into.uint32((bodyTag(table) << 3) | 2).uint32(body.length)
  })
  return body === undefined ? [front] : [front, body]
}

/** The same in one piece. */
export function messageBytes(message: Message | LogRecord): Uint8Array {
  const parts = encodeMessage(message)
  return parts.length === 1 ? (parts[0] ?? noBody) : Buffer.concat(parts)
}

/** A batch's own bytes with an empty body in place of its own: what a bare pull is answered with. */
export function withoutBody(bytes: Uint8Array): readonly Uint8Array[] {
  const message = decodeMessage(bytes)
  return message.kind === 'batch' ? encodeMessage({ ...message, body: noBody }) : [bytes]
}

/** What stands in front of the message's bytes in a frame. */
export function encodeEnvelope(envelope: Envelope): Uint8Array {
  const content = written((into) => writeTable(envelopeTable, into, envelope as unknown as Record<string, unknown>))
  const head = Buffer.allocUnsafe(2 + content.length)
  head.writeUInt16BE(content.length, 0)
  head.set(content, 2)
  return head
}

/**
 * Decodes one frame. Bodies and `bytes` are views of it.
 * @throws EpochcastError `EC_BAD_MESSAGE` for anything that is not a frame of this protocol
 */
export function decodeFrame(bytes: Uint8Array): Frame {
  if (bytes.length < 3) throw badMessage('frame is too short')
  const length = ((bytes[0] ?? 0) << 8) | (bytes[1] ?? 0)
  if (2 + length >= bytes.length) throw badMessage('envelope runs over the frame')
  try {
    const reader = protobuf.Reader.create(bytes)
    reader.pos = 2
    const envelope = readTable(envelopeTable, reader, 2 + length) as unknown as Envelope
    return { envelope, message: readMessage(reader), bytes: bytes.subarray(2 + length) }
  } catch (error) {
    throw asBadMessage(error)
  }
}

/** The same frame in memory of its own: for whoever keeps it beyond the turn in which it came. */
export function ownFrame({ envelope, bytes }: Frame): Frame {
  const own = Uint8Array.from(bytes)
  return { envelope, message: decodeMessage(own), bytes: own }
}

/** Decodes a message's own bytes. */
export function decodeMessage(bytes: Uint8Array): Message {
  try {
    return readMessage(protobuf.Reader.create(bytes))
  } catch (error) {
    throw asBadMessage(error)
  }
}

/** Decodes a record of the log. */
export function decodeRecord(bytes: Uint8Array): LogRecord {
  try {
    return readKind(protobuf.Reader.create(bytes), recordShapes, 'record') as unknown as LogRecord
  } catch (error) {
    throw asBadMessage(error)
  }
}

/** Runs `write` on the shared writer. A nested message that it did not end stays open in a writer, so a new one takes its place. */
function written(write: (into: protobuf.Writer) => void): Uint8Array {
  writer.reset()
  try {
    write(writer)
    return writer.finish()
  } catch (error) {
    writer = protobuf.Writer.create()
    throw asBadMessage(error)
  }
}

/** All the rest of it. */
function readMessage(reader: protobuf.Reader): Message {
  return readKind(reader, messageShapes, 'message') as unknown as Message
}

function readKind(reader: protobuf.Reader, of: readonly (Shape | undefined)[], noun: string): Record<string, unknown> {
  if (reader.uint32() !== kindTag << 3) throw badMessage(`${noun} does not begin with its kind`)
  const number = reader.uint32()
  const shape = of[number]
  if (shape === undefined) throw unknownKind(noun, number)
  return readTable(shape.table, reader, reader.len)
}

function unknownKind(noun: string, number: number): EpochcastError {
  if (noun === 'message') return badMessage(`message kind ${number} is unknown`)
  return new EpochcastError('EC_LOG_FORMAT', `record kind ${number} is none that this version knows`, {
    hint: 'A newer version of epochcast wrote it. Start that version, or a newer one.',
  })
}

function asBadMessage(error: unknown): EpochcastError {
  if (error instanceof EpochcastError && (error.code === 'EC_BAD_MESSAGE' || error.code === 'EC_LOG_FORMAT'))
    return error
  return new EpochcastError('EC_BAD_MESSAGE', error instanceof Error ? error.message : String(error), { cause: error })
}

function bodyTag(table: Table): number {
  return table.columns.find((column) => column.name === 'body')?.tag ?? 0
}
