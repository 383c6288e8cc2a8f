// Goal: what stands beside a payload comes back as it was given, costs nothing where there is none, and old bodies stay readable.
// Method: properties over random input, a body written by hand, and a real cluster in this process.
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { BodyWriter, type Headers, readEntries } from '../../client-sdk/entries.ts'
import { protobuf as codecOf, text } from '../../client-sdk/index.ts'
import {
  type AllProperties,
  decodeProperties,
  encodeProperties,
  propertiesBytesMax,
  withHeaders,
} from '../../client-sdk/properties.ts'

const word = fc.string({ maxLength: 50, unit: 'grapheme' })
const name = fc.stringMatching(/^[a-zA-Z0-9-]{1,20}$/).filter((one) => one !== '__proto__')
const properties: fc.Arbitrary<AllProperties> = fc.record(
  {
    key: word,
    contentType: word,
    headers: fc.dictionary(name, word, { minKeys: 1, maxKeys: 5, noNullPrototype: true }),
    replyTo: word,
    request: word,
  },
  { requiredKeys: [] },
)

describe('properties', () => {
  it('come back as they were given', () => {
    fc.assert(
      fc.property(properties, (given) => {
        const read = decodeProperties(encodeProperties(given))
        expect({ ...read, ...(read.headers && { headers: { ...read.headers } }) }).toEqual(given)
      }),
    )
  })

  it('are read from any bytes without throwing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (header) => {
        decodeProperties(header)
      }),
    )
  })

  it('leave room for what the product adds, and no more for users', () => {
    const most = { headers: { a: 'x'.repeat(propertiesBytesMax - 6) } }
    const header = encodeProperties({ ...most, replyTo: '$reply.t', request: 'r', failure: 'f', responders: 'g' })
    expect(decodeProperties(header)).toMatchObject({ request: 'r', failure: 'f', responders: 'g' })
    expect(() => encodeProperties({ ...most, key: 'k' })).toThrow('more than the')
    expect(decodeProperties(encodeProperties({ failure: 'alone' }))).toEqual({ failure: 'alone' })
  })

  it('keep what was published when the product adds headers, instead of those that it added before', () => {
    fc.assert(
      fc.property(properties, fc.uint8Array({ maxLength: 20 }), (given, rest) => {
        // What stands behind it may be anything: a publisher may write what it likes.
        const first = withHeaders(Buffer.concat([encodeProperties(given), rest]), 'own-', {
          'own-a': '1',
          'own-b': '2',
        })
        const second = decodeProperties(withHeaders(first, 'own-', { 'own-a': '3' }))
        const { headers = {}, ...others } = decodeProperties(Buffer.concat([encodeProperties(given), rest]))
        expect({ ...second, headers: { ...second.headers } }).toEqual({
          ...others,
          headers: { ...headers, 'own-a': '3' },
        })
      }),
    )
  })

  it('cost nothing where there are none, and bodies of before are read', () => {
    const writer = new BodyWriter()
    writer.add(Buffer.from('abc'))
    expect([...writer.take()]).toEqual([4, 0, 0x61, 0x62, 0x63])
    const headers: Headers = new Map()
    expect(readEntries(Uint8Array.of(4, 0, 0x61, 0x62, 0x63), 1, headers)).toEqual([Uint8Array.of(0x61, 0x62, 0x63)])
    expect(headers.size).toBe(0)
  })

  it('stay with their message among others', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }))), (given) => {
        const writer = new BodyWriter()
        for (const [payload, header] of given) writer.add(payload, header)
        const headers: Headers = new Map()
        const payloads = readEntries(writer.take(), given.length, headers)
        const read = payloads.map((payload, at) => [[...payload], [...(headers.get(at) ?? [])]])
        expect(read).toEqual(given.map(([payload, header]) => [[...payload], [...header]]))
      }),
    )
  })

  it('arrive with their message, also after it was added again in another epoch, and by get', async () => {
    await using cluster = await createCluster({ servers: 4 })
    const client = await cluster.connect()
    const topic = client.topic('t', { codec: text() })
    const headers = { 'trace-id': '7', note: 'a: b' }
    await topic.publish('1', { key: 'k', contentType: 'text/plain', headers })
    await client.admin.reconfigure('t', { members: ['b', 'c', 'd'] }).enabled
    await topic.publish('2')
    const seen = []
    for await (const message of topic.subscribe({ from: 'start' })) {
      seen.push([message.value, message.key, message.contentType, { ...message.headers }])
      if (seen.length === 2) break
    }
    expect(seen).toEqual([
      ['1', 'k', 'text/plain', headers],
      ['2', undefined, undefined, {}],
    ])
    expect((await topic.get()).messages[0]?.headers.note).toBe('a: b')
  })

  it('are refused where they cannot be carried', async () => {
    await using cluster = await createCluster()
    const topic = (await cluster.connect()).topic('t')
    await expect(topic.publish(Buffer.from(''), { headers: { 'a:b': 'c' } })).rejects.toThrow('header "a:b"')
    await expect(
      topic.publish(Buffer.from(''), { key: 'x'.repeat(10_000), contentType: 'x'.repeat(7_000) }),
    ).rejects.toThrow('more than the 16384')
  })
})

describe('codec of protobuf types', () => {
  it('takes what has encode and decode', () => {
    const type = protobuf.parse('syntax = "proto3"; message Order { string item = 1; }').root.lookupType('Order')
    const codec = codecOf<protobuf.Message>(type)
    const order = codec.decode(codec.encode(type.create({ item: 'tea' })))
    expect(type.toObject(order)).toEqual({ item: 'tea' })
    expect(() => codec.decode(Uint8Array.of(0xff))).toThrow('not of the expected protobuf type')
    const plain = codecOf<string>({ encode: (value) => Buffer.from(value), decode: String })
    expect(plain.encode('a')).toEqual(Buffer.from('a'))
  })
})
