// Goal: the rules over what clients of real processes saw can fail, and do not fail for nothing. Method: a small history that
// holds, and for each rule the same history with one thing wrong.
import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../../sim/check/check.ts'
import { parseHistory } from '../../../sim/check/history.ts'
import { type HistoryRecord, judge } from '../../../sim/real/history.ts'
import { formatShared, sharedHistory } from '../../../sim/real/shared-history.ts'

const publisher = '00112233aabbccdd'
const id = (epoch: number, sequence: number) => `${epoch}-${publisher}-${sequence}`

type Add = Extract<HistoryRecord, { what: 'add' }>

function add(value: string, start: number, given: string, status: Add['status'] = 'durable'): HistoryRecord {
  return { what: 'add', topic: 't', client: 'p', value, start, end: start + 5, id: given, status }
}

function get(start: number, values: readonly (readonly [string, string])[]): HistoryRecord {
  return { what: 'get', topic: 't', client: 'g', start, end: start + 5, given: values }
}

function delivery(at: number, given: string, value: string, client = 's1'): HistoryRecord {
  return { what: 'delivery', topic: 't', client, at, id: given, value }
}

function epoch(at: number, ended: number, closingCount: number, client = 's1', digest = 'd'): HistoryRecord {
  return { what: 'epoch', topic: 't', client, at, ended, closingCount, closingDigest: digest }
}

const one = [id(1, 1), 'one'] as const
const two = [id(1, 2), 'two'] as const

const sound: readonly HistoryRecord[] = [
  add('one', 0, id(1, 1)),
  add('two', 10, id(1, 2), 'included'),
  add('three', 20, id(1, 3), 'dropped'),
  delivery(30, ...one),
  delivery(31, ...two),
  epoch(40, 1, 2),
  delivery(32, ...one, 's2'),
  delivery(33, ...two, 's2'),
  epoch(41, 1, 2, 's2'),
  get(50, [one, two]),
  add('four', 60, id(2, 1)),
  get(70, [one, two, [id(2, 1), 'four']]),
  { what: 'outcome', topic: 't', client: 'o', at: 80, id: id(1, 3), outcome: 'dropped' },
]

/** What the rules of simulated runs say of the same. */
const shared = (history: readonly HistoryRecord[]) =>
  checkHistory(parseHistory(formatShared(sharedHistory(history, 'test', false))))

/** The same without what stands at `at`, and with others in its place. */
const instead = (at: number, ...others: HistoryRecord[]) => [...sound.slice(0, at), ...others, ...sound.slice(at + 1)]

describe('the rules over real runs', () => {
  it('find nothing in a sound history, nor in one that is not over', () => {
    expect(judge(sound)).toEqual([])
    expect(shared(sound)).toEqual([])
    expect(judge([...sound, add('five', 90, id(2, 2), 'open'), add('six', 91, id(2, 3), 'unknown')])).toEqual([])
    // A message that was not durable yet when the Get began may be in it or not.
    expect(judge(instead(9, get(12, [one])))).toEqual([])
    expect(judge(instead(9, get(12, [one, two])))).toEqual([])
  })

  /** Of these the other rules need more than clients see, or they are judged at the end of a quiet history. */
  const onlyHere = new Set(['an epoch ends in two ways'])
  const broken: readonly (readonly [rule: string, what: string, history: readonly HistoryRecord[]])[] = [
    ['I1', 'a Get lacks what was acknowledged', instead(9, get(50, [one]))],
    ['I1', 'a Get lacks what another Get gave', [...sound, get(90, [one, two])]],
    [
      'I1',
      'a Get lacks what was delivered',
      [...sound, delivery(75, id(2, 2), 'four'), get(90, [one, two, [id(2, 1), 'four']])],
    ],
    ['I3', 'what was dropped is delivered', instead(4, delivery(31, ...two), delivery(32, id(1, 3), 'three'))],
    [
      'I3',
      'an outcome changes',
      [...sound, { what: 'outcome', topic: 't', client: 'o', at: 90, id: id(1, 1), outcome: 'dropped' }],
    ],
    ['I4', 'an epoch ends in two ways', instead(8, epoch(41, 1, 2, 's2', 'e'))],
    ['I11', 'a message was changed', instead(3, delivery(30, id(1, 1), 'two'))],
    ['I11', 'a message was sent by nobody', [...sound, delivery(90, id(2, 2), 'strange')]],
    ['I11', 'a message was given before it was sent', instead(0, add('one', 100, id(1, 1)))],
    ['I11', 'a Get gives something twice', instead(9, get(50, [one, one, two]))],
    ['I11', 'a Get gives one message under two ids', instead(9, get(50, [one, two, [id(1, 4), 'two']]))],
    ['F1', 'a subscriber is given the second before the first', instead(3)],
    ['F4', 'a subscriber is given something twice', instead(4, delivery(31, ...two), delivery(32, ...two))],
    ['F5', 'a subscriber was never given something durable', [...instead(4), epoch(95, 2, 1)]],
    ['F6', 'a subscriber has less than the closing set', instead(5, epoch(40, 1, 3))],
    ['F6', 'a subscriber is given something after its epoch', [...sound, delivery(90, id(1, 3), 'three')]],
  ]
  for (const [rule, what, history] of broken) {
    it(`${rule}: ${what}`, () => {
      expect(judge(history).map((text) => text.slice(0, text.indexOf(':')))).toContain(rule)
      if (!onlyHere.has(what)) expect(shared(history)).not.toEqual([])
    })
  }
})
