// Goal: what is encoded is decoded again, and nothing else is taken for a frame. Method: generated messages of every kind, and
// bytes that were changed, cut and invented.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { EpochcastError } from '../../../proto/errors.ts'
import { clusterId, epoch, publisherId, topicName } from '../../../proto/ids.ts'
import { decodeFrame, decodeMessage, encodeEnvelope, encodeMessage, messageBytes } from '../../../proto/wire/codec.ts'
import type { Batch, Message } from '../../../proto/wire/messages.ts'
import { kinds, shapes } from '../../../proto/wire/messages.ts'
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

  it('refuses numbers that are not safe, and ids that are none', () => {
    const wrong: Message[] = [
      { ...batch, first: 2 ** 60 },
      { ...batch, topic: 'a b' as Batch['topic'] },
      { ...batch, publisher: 'abcd' as Batch['publisher'] },
    ]
    for (const message of wrong) {
      expect(() => decodeFrame(frameOf(message))).toThrowError(expect.objectContaining({ code: 'EC_BAD_MESSAGE' }))
    }
  })

  it('never uses a tag twice within a message', () => {
    for (const kind of kinds) {
      const tags = Object.values(shapes[kind]).map((field: { tag: number }) => field.tag)
      expect(new Set(tags).size, kind).toBe(tags.length)
      expect(tags, kind).not.toContain(1)
    }
  })

  it('is printed for other languages', () => {
    const file = new URL('../../../proto/wire/schema.proto', import.meta.url)
    expect(readFileSync(file, 'utf8'), 'run: npm run schema').toBe(printSchema())
  })
})

function onlyBadMessage(run: () => unknown): void {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(EpochcastError)
    expect((error as EpochcastError).code).toBe('EC_BAD_MESSAGE')
  }
}
