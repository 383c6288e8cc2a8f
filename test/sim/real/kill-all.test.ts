// Goal: the judge of `npm run real -- --kill-all` sees every kind of breach, and nothing in a history without one.
// Method: hand-made histories of one topic.
import { expect, it } from 'vitest'
import type { Order } from '../../../proto/configuration.ts'
import { Calls } from '../../../sim/real/kill-all/calls.ts'
import { format, type Given, Ledger, nameOf, parse, Reading } from '../../../sim/real/kill-all/ledger.ts'
import { Verdict } from '../../../sim/real/kill-all/verdict.ts'

const value = (publisher: string, number: number, after = '') => format({ publisher, number, after })
const [p, q] = ['p', 'q'].map((name) => (number: number, after?: string) => value(name, number, after)) as [
  (number: number, after?: string) => string,
  (number: number, after?: string) => string,
]
const id = (epoch: number, publisher: string, sequence: number) => `${epoch}-${publisher.repeat(16)}-${sequence}`
const given = (text: string, of: string, position: number | null = null): Given => ({ id: of, value: text, position })

function read(order: Order, messages: readonly Given[], before: (ledger: Ledger) => void = () => {}): Verdict {
  const verdict = new Verdict()
  const ledger = new Ledger('t', verdict)
  before(ledger)
  const reading = new Reading('r', ledger, order)
  for (const message of messages) reading.give(message)
  reading.mustHaveAll(Number.POSITIVE_INFINITY)
  return verdict
}

it('takes values apart as it put them together', () => {
  const text = value('p', 7, nameOf(value('q', 3)))
  expect(parse(text)).toEqual({ publisher: 'p', number: 7, after: 'q 3' })
  expect(() => parse('something else')).toThrow()
})

it('finds nothing in a history that keeps every promise', () => {
  const messages = [given(p(1), id(1, 'a', 1), 1), given(q(2, 'p 1'), id(1, 'b', 1), 2), given(p(3), id(2, 'a', 1), 3)]
  const verdict = read('total', messages, (ledger) => ledger.acknowledge(p(1), id(1, 'a', 1)))
  expect(verdict.descriptions).toEqual([])
})

const breaches: [name: string, kind: string, order: Order, messages: Given[], before?: (ledger: Ledger) => void][] = [
  ['an acknowledged message is missing', 'lost', 'fifo', [], (l) => l.acknowledge(p(1), id(1, 'a', 1))],
  ['a message comes twice', 'duplicated', 'fifo', [given(p(1), id(1, 'a', 1)), given(p(1), id(1, 'a', 1))]],
  ['a message comes under two ids', 'duplicated', 'fifo', [given(p(1), id(1, 'a', 1)), given(p(1), id(2, 'a', 1))]],
  [
    'a message comes under an id that was not acknowledged',
    'duplicated',
    'fifo',
    [given(p(1), id(1, 'a', 1))],
    (l) => l.acknowledge(p(1), id(2, 'a', 1)),
  ],
  ['a dropped message comes', 'duplicated', 'fifo', [given(p(1), id(1, 'a', 1))], (l) => l.dropped.add(id(1, 'a', 1))],
  ['a message that never left comes', 'unsent', 'fifo', [given(p(1), id(1, 'a', 1))], (l) => l.unsent.add(p(1))],
  [
    "a publisher's messages change places",
    'outOfOrder',
    'fifo',
    [given(p(2), id(1, 'a', 2)), given(p(1), id(1, 'a', 1))],
  ],
  ['an old epoch goes on', 'outOfOrder', 'fifo', [given(p(1), id(2, 'a', 1)), given(q(2), id(1, 'b', 1))]],
  ['an effect precedes its cause', 'outOfOrder', 'causal', [given(q(2, 'p 1'), id(1, 'b', 1))]],
  ['a position is left out', 'outOfOrder', 'total', [given(p(1), id(1, 'a', 1), 2)]],
  [
    'two readers differ about a position',
    'outOfOrder',
    'total',
    [given(p(1), id(1, 'a', 1), 1)],
    (l) => l.positions.set(1, id(1, 'b', 1)),
  ],
]

it.each(breaches)('notices that %s', (_, kind, order, messages, before) => {
  const { counts } = read(order, messages, before)
  expect(counts).toMatchObject({ [kind]: 1 })
  expect(Object.values(counts).reduce((sum, count) => sum + count)).toBe(1)
})

it('knows a call without an answer from one that is waited for since the last restart only', async () => {
  const calls = new Calls()
  let answer: (value: unknown) => void = () => {}
  const made = calls.track('get', new Promise((resolve) => (answer = resolve)))
  expect(calls.overdue(0, 0).map(({ what }) => what)).toEqual(['get'])
  expect(calls.overdue(performance.now(), 1_000_000)).toEqual([])
  answer(null)
  await made
  expect(calls.open.size).toBe(0)
})
