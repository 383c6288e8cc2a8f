// Goal: no stored message ends those who read it, whatever its publisher wrote. Method: batches with invented times, counts and
// bytes through everything that a reader does with a message.

import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { headersOf } from '../../broker/bridge/headers.ts'
import { messageJson, parseFormat } from '../../broker/cli/messages.ts'
import { bytes } from '../../client-sdk/codecs.ts'
import { BodyWriter } from '../../client-sdk/entries.ts'
import { json, type Message } from '../../client-sdk/index.ts'
import { SinceTime } from '../../client-sdk/replay.ts'
import { EventStream } from '../../client-sdk/stream.ts'
import { clusterId, epoch, publisherId, topicName } from '../../proto/ids.ts'
import type { Batch } from '../../proto/wire/messages.ts'

const cluster = clusterId('11111111-2222-4333-8444-555555555555')
const topic = topicName('t')
const everything = parseFormat('%v %i %e %p %s %t %b %T %n %k %h')
const plain: Batch = {
  ...{ kind: 'batch', topic, epoch: epoch(1), publisher: publisherId('00ff00ff00ff00ff'), first: 1, last: 1 },
  ...{ time: 0, check: 0, body: Buffer.of() },
}

const times = fc.constantFrom(0, 1, 8.64e15, 8.64e15 + 1, 9e15, Number.MAX_SAFE_INTEGER)
const header = fc.oneof(fc.uint8Array({ maxLength: 60 }), fieldsOf())
const body = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.tuple(fc.uint8Array({ maxLength: 20 }), header).map(([payload, properties]) => {
    const writer = new BodyWriter()
    writer.add(payload, properties)
    return writer.take()
  }),
)

/** Properties with the tags that are known, and any content. */
function fieldsOf(): fc.Arbitrary<Uint8Array> {
  const content = fc.oneof(
    fc.uint8Array({ maxLength: 12 }),
    fc
      .constantFrom('a:b', '__proto__:x', 'a\nb:c', 'a b:c', 'a: c ', 'é:é', ':', 'Nats-Msg-Id:x', 'a:\r\nb:c')
      .map(Buffer.from),
  )
  const field = fc.tuple(fc.integer({ min: 0, max: 8 }), content).map(([tag, bytes]) => [tag, bytes.length, ...bytes])
  return fc.array(field, { maxLength: 5 }).map((fields) => Uint8Array.from(fields.flat()))
}

async function read<T>(batch: Batch, codec: { encode(value: T): Uint8Array; decode(bytes: Uint8Array): T }) {
  const stream = new EventStream<T>(topic, codec, null, cluster)
  const since = new SinceTime(stream, 5, () => {})
  const delivery = { kind: 'batch', skip: 0, position: null, early: false, lost: [] } as const
  since.deliver({ ...delivery, batch: { ...batch, time: Math.max(5, batch.time) } })
  stream.deliver({ ...delivery, batch })
  stream.end()
  const messages: Message<T>[] = []
  for await (const event of stream) if (event.type === 'message') messages.push(event.message)
  expect(stream.cursor).toMatch(/^ec2\./)
  return messages
}

describe('a message with anything in it', () => {
  it('is read, printed and passed on', async () => {
    await fc.assert(
      fc.asyncProperty(times, fc.integer({ min: 1, max: 3 }), body, async (time, last, bodyBytes) => {
        const batch = { ...plain, time, last, body: bodyBytes }
        const messages = await read(batch, bytes())
        expect(messages.length).toBe(last * 2)
        for (const message of messages) {
          expect(JSON.parse(JSON.stringify(message))).toMatchObject({ id: message.id })
          expect(inspect(message)).toContain(message.id)
          expect(JSON.stringify(messageJson(message))).toContain(message.id)
          expect(everything(message).length).toBeGreaterThan(10)
          expect(headersOf(message, cluster).get('Nats-Msg-Id')).toBe(message.id)
        }
        for (const message of await read(batch, json())) expect(JSON.stringify(message)).toContain(message.id)
      }),
      { numRuns: 500 },
    )
  })

  it('goes to NATS without what NATS cannot carry, which is named', async () => {
    const writer = new BodyWriter()
    const fields = ['a:one\ntwo', 'b: spaced ', 'c:fine'].flatMap((text) => [3, text.length, ...Buffer.from(text)])
    writer.add(Buffer.from('x'), Uint8Array.from(fields))
    const [message] = await read({ ...plain, body: writer.take() }, bytes())
    const about = headersOf(message as Message<Uint8Array>, cluster)
    expect([about.get('a'), about.get('b'), about.get('c')]).toEqual(['', '', 'fine'])
    expect(about.get('Epochcast-Left-Out')).toBe('a b')
  })
})

describe('a message that is printed', () => {
  const writer = new BodyWriter()
  writer.add(Buffer.from('{"item":"oolong"}'), Uint8Array.from([1, 5, ...Buffer.from('shelf')]))
  const batch = { ...plain, time: 1_700_000_000_000, body: writer.take() }

  it('shows its value and its key', async () => {
    const [message] = await read(batch, json())
    const shown = {
      id: '1-00ff00ff00ff00ff-1',
      time: '2023-11-14T22:13:20.000Z',
      key: 'shelf',
      value: { item: 'oolong' },
    }
    expect(JSON.parse(JSON.stringify(message))).toMatchObject(shown)
    expect(inspect(message)).toMatch(/^Message \{.*key: 'shelf',.*value: \{ item: 'oolong' \}/s)
  })

  it('shows what JSON cannot carry as text, and what cannot be decoded as its bytes', async () => {
    const decoders: (() => unknown)[] = [() => ({ size: 5n }), () => new Map([['a', 1]]), () => undefined]
    const written = []
    for (const decode of decoders) {
      const [message] = await read<unknown>(batch, { encode: () => Buffer.of(), decode })
      written.push(JSON.parse(JSON.stringify(message)).value)
    }
    expect(written).toEqual([{ size: '5' }, { a: 1 }, 'undefined'])
    const [message] = await read(batch, {
      encode: () => Buffer.of(),
      decode: () => {
        throw new Error('no')
      },
    })
    expect(JSON.parse(JSON.stringify(message))).toMatchObject({ value: '{"item":"oolong"}' })
    expect(inspect(message)).toContain('payload: <Buffer')
    expect(() => message?.value).toThrow(expect.objectContaining({ code: 'EC_BAD_MESSAGE' }))
  })
})
