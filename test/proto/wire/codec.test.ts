// Goal: what is encoded is decoded again, and nothing else is taken for a frame. Method: generated messages of every kind, and
// bytes that were changed, cut and invented.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EpochcastError } from '../../../proto/errors.ts'
import { clusterId, epoch, publisherId, topicName } from '../../../proto/ids.ts'
import {
  decodeFrame,
  decodeMessage,
  decodeRecord,
  encodeEnvelope,
  encodeMessage,
  messageBytes,
} from '../../../proto/wire/codec.ts'
import { printMessages } from '../../../proto/wire/describe.ts'
import type { Batch, Message } from '../../../proto/wire/messages.ts'
import { kinds, table } from '../../../proto/wire/messages.ts'
import { type LogRecord, recordTable, writtenKinds } from '../../../proto/wire/records.ts'
import { printSchema } from '../../../proto/wire/schema.ts'
import { messageOf } from './generate.ts'

const cluster = clusterId('11111111-2222-4333-8444-555555555555')

function frameOf(message: Message, token = 7): Buffer {
  return Buffer.concat([encodeEnvelope({ cluster, from: 'client-x', token }), ...encodeMessage(message)])
}

const batch: Batch = {
  kind: 'batch',
  topic: topicName('orders.eu'),
  epoch: epoch(3),
  publisher: publisherId('00ff00ff00ff00ff'),
  first: 2 ** 40,
  last: 2 ** 40 + 4,
  time: Number.MAX_SAFE_INTEGER,
  check: 0xffff_ffff,
  body: Buffer.from('body'),
}

describe('codec', () => {
  for (const kind of kinds) {
    it(`gives back ${kind}`, () => {
      fc.assert(
        fc.property(messageOf(kind), (message) => {
          const { envelope, message: decoded } = decodeFrame(frameOf(message))
          expect(envelope).toEqual({ cluster, from: 'client-x', token: 7 })
          expect(decoded).toEqual(message)
        }),
        { numRuns: 30 },
      )
    })
  }

  it('keeps the message’s own bytes apart, as they go into the log', () => {
    const frame = decodeFrame(frameOf(batch))
    expect(Buffer.from(frame.bytes)).toEqual(Buffer.from(messageBytes(batch)))
    expect(decodeMessage(frame.bytes)).toEqual(frame.message)
  })

  it('reads a body as a view, without copying', () => {
    const bytes = frameOf(batch)
    const { message } = decodeFrame(bytes)
    expect((message as Batch).body.buffer).toBe(bytes.buffer)
  })

  it('throws only EC_BAD_MESSAGE for bytes that were changed or cut', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...kinds).chain(messageOf),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        (message, place, change, isCut) => {
          const bytes = Buffer.from(frameOf(message))
          const at = place % bytes.length
          bytes[at] = (bytes[at] ?? 0) ^ change
          onlyBadMessage(() => decodeFrame(isCut ? bytes.subarray(0, at) : bytes))
        },
      ),
      { numRuns: 3000 },
    )
  })

  it('throws only EC_BAD_MESSAGE for invented bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => onlyBadMessage(() => decodeFrame(bytes))),
      { numRuns: 3000 },
    )
  })

  it('refuses to read numbers that are not safe, and ids that are none', () => {
    const good = messageBytes({ ...batch, first: 300, topic: topicName('a-b'), body: Buffer.alloc(0) })
    const first = Buffer.from([0x28, 0xac, 0x02])
    const at = Buffer.from(good).indexOf(first)
    const unsafe = Buffer.concat([good.subarray(0, at + 1), Buffer.alloc(8, 0xff), Buffer.of(1), good.subarray(at + 3)])
    const nameless = Buffer.from(good)
    nameless[nameless.indexOf('a-b') + 1] = 0x20
    expect(decodeMessage(good)).toMatchObject({ first: 300, topic: 'a-b' })
    for (const bytes of [unsafe, nameless]) {
      expect(() => decodeMessage(bytes)).toThrowError(expect.objectContaining({ code: 'EC_BAD_MESSAGE' }))
    }
  })

  it('refuses to write what would be read as something else, or not at all', () => {
    const created: Message = {
      ...{ kind: 'reconfigure', topic: batch.topic, epoch: epoch(1), changeId: 'x' },
      ...{ members: ['a'], mode: 'single', order: 'fifo', size: 1, membersMin: 1 },
    }
    for (const number of [-3, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 5n, '5', null, {}]) {
      refuses({ ...created, size: number }, batch)
      refuses({ ...batch, time: number }, batch)
    }
    refuses({ ...created, mode: 'fault_masking' }, batch)
    refuses({ ...created, order: 'fifoo' }, batch)
    refuses({ ...created, members: [null] }, batch)
    refuses({ ...created, members: 'a' }, batch)
    refuses({ ...created, changeId: undefined }, batch)
    refuses({ ...created, changeId: 'x'.repeat(65) }, batch)
    refuses({ ...batch, topic: ['a'] }, batch)
    refuses({ ...batch, publisher: '00ff00ff00ff00fg' }, batch)
    refuses({ ...batch, body: 'text' }, batch)
    refuses({ ...batch, kind: 'nothing' }, batch)
    // Half of a nested message stands in the writer then.
    refuses({ ...batch, after: { own: [{ publisher: batch.publisher, end: -1 }], others: [] } }, batch)
    refuses({ kind: 'join', cluster: { id: cluster, arbiters: [null] } }, batch)
  })

  it('cuts off text that is for people alone, and no other', () => {
    const { topic } = batch
    const detail = `${'x'.repeat(999)}\u{1F98A} and more`
    const refused: Message = { kind: 'refused', topic, epoch: epoch(1), refusal: 'busy', detail }
    expect(decodeMessage(messageBytes(refused))).toMatchObject({ detail: 'x'.repeat(999) })
  })

  it('never uses a tag twice within a message', () => {
    for (const kind of kinds) {
      const tags = Object.values(table[kind].fields).map(({ tag }) => tag)
      expect(new Set(tags).size, kind).toBe(tags.length)
      expect(tags, kind).not.toContain(1)
    }
  })

  it('is printed for other languages, and for people', () => {
    const printed = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8')
    expect(printed('proto/wire/schema.proto'), 'run: npm run schema').toBe(printSchema())
    expect(printed('docs/messages.md'), 'run: npm run schema').toBe(printMessages())
  })

  it('never uses a number twice, and keeps records apart from messages', () => {
    const numbers = kinds.map((kind) => table[kind].number)
    const written = writtenKinds.map((kind) => recordTable[kind].number)
    expect(new Set([...numbers, ...written]).size).toBe(numbers.length + written.length)
    for (const kind of writtenKinds) {
      const record = { kind, topic: batch.topic, epoch: epoch(1), servers: [] } as const
      if (kind === 'opening') continue
      const bytes = messageBytes(record as unknown as LogRecord)
      expect(decodeRecord(bytes).kind).toBe(kind)
      expect(() => decodeMessage(bytes)).toThrowError(expect.objectContaining({ code: 'EC_BAD_MESSAGE' }))
    }
  })

  it('gives phases to what a member receives, and only to that', () => {
    for (const kind of kinds) {
      const entry = table[kind]
      expect('phases' in entry, kind).toBe(entry.to === 'member')
      expect(entry.and ?? [], kind).not.toContain('member')
      expect(entry.means, kind).toMatch(/\.$/)
    }
  })
})

/** Nothing is written, and what is written next is not touched by it. */
function refuses(message: object, next: Message): void {
  const before = Buffer.from(messageBytes(next))
  expect(() => messageBytes(message as Message)).toThrowError(expect.objectContaining({ code: 'EC_BAD_MESSAGE' }))
  expect(Buffer.from(messageBytes(next))).toEqual(before)
}

function onlyBadMessage(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(EpochcastError)
    expect((error as EpochcastError).code).toBe('EC_BAD_MESSAGE')
  }
}
