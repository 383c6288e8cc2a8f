// Goal: patterns match what they say, bad ones are refused with a hint, and topics that are made later are found. Method: a slow
// and plain matcher beside the real one over random names; a real cluster in this process.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { Subject, type SubjectStream, text } from '../../client-sdk/index.ts'

/** By its definition, token by token. */
function matches(pattern: readonly string[], name: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return name.length === 0
  if (first === '>') return name.length > 0
  return name.length > 0 && (first === '*' || first === name[0]) && matches(rest, name.slice(1))
}

const word = fc.constantFrom('a', 'b', 'cc')
const name = fc.array(word, { minLength: 1, maxLength: 4 })
const pattern = fc
  .tuple(fc.array(fc.oneof(word, fc.constant('*')), { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([tokens, isOpen]) => (isOpen ? [...tokens, '>'] : tokens))

async function take(stream: SubjectStream<string>, count: number): Promise<string[]> {
  const seen: string[] = []
  for await (const event of stream) {
    if (event.type === 'message') seen.push(`${event.topic}=${event.message.value}`)
    if (seen.length === count) break
  }
  return seen.sort()
}

describe('a subject', () => {
  it('matches as its tokens say, and names that match begin with its prefix', () => {
    fc.assert(
      fc.property(pattern, name, (tokens, names) => {
        const subject = new Subject(tokens.join('.'))
        const is = subject.matches(names.join('.'))
        expect(is).toBe(matches(tokens, names))
        if (is) expect(names.join('.').startsWith(subject.prefix)).toBe(true)
      }),
    )
  })

  it('leaves topics of the system alone unless it names them', () => {
    expect(new Subject('>').matches('$group.t.g')).toBe(false)
    expect(new Subject('$group.>').matches('$group.t.g')).toBe(true)
  })

  it.each(['', 'a..b', '>.a', 'a*', 'a b', '.a', 'a.>.b'])('refuses %j with a hint', (bad) => {
    let caught: unknown
    try {
      new Subject(bad)
    } catch (error) {
      caught = error
    }
    expect(caught).toMatchObject({ code: 'EC_BAD_ARGUMENT', hint: expect.stringContaining('orders.*') })
  })
})

describe('subscribe to a pattern', () => {
  it('reads what matches, also topics made later, and goes on behind its cursor', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    const publish = (topic: string, value: string) => client.topic(topic, { codec: text() }).publish(value)
    await publish('orders.eu', '1')
    await publish('orders.us.west', '2')
    await publish('ordersx', '3')
    await publish('other', '4')
    const stream = client.subscribe('orders.*', { from: 'start', codec: text() })
    const reading = take(stream, 3)
    await publish('orders.asia', '5')
    await publish('orders.eu', '6')
    expect(await reading).toEqual(['orders.asia=5', 'orders.eu=1', 'orders.eu=6'])
    await publish('orders.asia', '7')
    await publish('orders.new', '8')
    expect(await take(client.subscribe('orders.*', { from: stream.cursor, codec: text() }), 2)).toEqual([
      'orders.asia=7',
      'orders.new=8',
    ])
    expect(await take(client.subscribe('orders.>', { from: 'start', codec: text() }), 6)).toContain('orders.us.west=2')
  })

  it('refuses bad patterns and cursors, and ends with its client', async () => {
    await using cluster = await createCluster()
    const client = await cluster.connect()
    expect(() => client.subscribe('a..b')).toThrow('empty token')
    expect(() => client.subscribe('a.*', { from: 'nonsense' })).toThrow('cursor of another pattern')
    expect(() => client.subscribe('a.*', { from: 'ecs1.nonsense' })).toThrow('not one of a pattern')
    const stream = client.subscribe('a.*')
    const next = stream.next()
    await client.close()
    expect((await next).done).toBe(true)
  })
})
