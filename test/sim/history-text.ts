/**
 * Histories by hand, a few words a line. Clients and servers are letters, values words, ids `EPOCH-PUBLISHER-SEQUENCE`, sets
 * `p2,q1`. Every line is one event, one millisecond after the one before, unless it begins with a time (`@400 ...`).
 *
 *     order merged                       the list is not one order
 *     inv 1 add x m1 [e2]                an operation begins, its client in epoch 1, or 2
 *     ok 1 1-p-1 [included]              an add ended
 *     ok 2 {1-p-1=m1} [e2 floor=1]       a get ended in epoch 1, or 2
 *     fail 1 1-p-1 dropped / info 1 code
 */
import type { HistoryEvent, NewEvent } from '../../sim/check/history.ts'

const topic = 't'

export function historyOf(text: string): HistoryEvent[] {
  const lines = text
    .split('\n')
    .map((line) => line.replace(/#.*$/, '').trim())
    .filter((line) => line !== '')
  const isMerged = lines[0] === 'order merged'
  const events: NewEvent[] = [
    {
      kind: 'header',
      at: 0,
      format: 1,
      order: isMerged ? 'merged' : 'total',
      source: 'by hand',
      arbiters: ['A', 'B', 'C'],
    },
  ]
  const names = new Map<string, string>()
  let at = 0
  for (const line of isMerged ? lines.slice(1) : lines) {
    const timed = /^@(\d+) (.*)$/.exec(line)
    at = timed === null ? at + 1 : Number(timed[1])
    events.push(eventOf(timed?.[2] ?? line, at, names))
  }
  return events.map((event, i) => ({ i, ...event }) as HistoryEvent)
}

function eventOf(line: string, at: number, names: Map<string, string>): NewEvent {
  const words = line.split(/\s+/)
  const [kind = '', first = '', second = '', third = '', fourth = ''] = words
  const named = new Map(words.flatMap((word) => (word.includes('=') && !word.startsWith('{') ? [split(word)] : [])))
  const epoch = Number(words.find((word) => /^e\d+$/.test(word))?.slice(1) ?? 1)
  const lsn = Number(named.get('lsn') ?? at)
  switch (kind) {
    case 'inv': {
      names.set(first, second)
      const f = second as Extract<NewEvent, { kind: 'inv' }>['f']
      return {
        kind: 'inv',
        at,
        op: Number(first),
        f,
        client: third,
        topic,
        epoch,
        ...(f === 'add' && { value: fourth }),
        ...(f === 'get' && { level: (fourth === '' || /^e\d/.test(fourth) ? 'linearizable' : fourth) as 'durable' }),
        ...(f === 'outcome' && { id: fourth }),
        ...(f === 'reconf' && { change: fourth }),
        ...(f === 'subscribe' && { from: (fourth === 'new' ? 'new' : 'start') as 'start' }),
        ...(named.has('since') && { since: sinceOf(named.get('since') ?? '') }),
      }
    }
    case 'ok':
      return okOf(Number(first), names.get(first) ?? '', words.slice(2), at, epoch, named)
    case 'fail':
      return {
        kind,
        at,
        op: Number(first),
        f: names.get(first) as 'add',
        ...(third !== '' && { id: second }),
        code: third === '' ? second : third,
      }
    case 'info':
      return { kind, at, op: Number(first), f: names.get(first) as 'add', code: second }
    case 'sent': {
      const range = rangeOf(second)
      return { kind, at, client: first, topic, ...range, values: third.split(',') }
    }
    case 'view':
      return { kind, at, client: first, topic, epoch: Number(second) }
    case 'dlv': {
      const [id = '', value = ''] = second.split('=')
      return { kind, at, sub: Number(first), topic, id, value, ...(third === 'early' && { early: true }) }
    }
    case 'retracted':
    case 'confirmed':
      return { kind, at, sub: Number(first), topic, id: second }
    case 'closed':
      return {
        kind,
        at,
        sub: Number(first),
        topic,
        epoch: Number(second),
        count: Number(third),
        ...(fourth !== '' && { rc: fourth }),
      }
    case 'gap':
      return { kind, at, sub: Number(first), topic, from: Number(second), to: Number(third) }
    case 'gone':
      return { kind, at, client: first }
    case 'rc':
      // rc NAME ends EPOCH members a,b,c {set} [mode=] [decider=]
      return {
        kind,
        at,
        rc: first,
        topic,
        epoch: Number(second),
        change: named.get('change') ?? first,
        members: third.split(','),
        mode: named.get('mode') ?? 'fault-masking',
        decider: named.get('decider') ?? 'stakes',
        floor: Number(named.get('floor') ?? 1),
        closing: setOf(fourth),
      }
    case 'stored':
    case 'staged': {
      const { epoch: of, pub, first: from, last } = rangeOf(second)
      return { kind, at, srv: first, topic, epoch: of, lsn, pub, first: from, last }
    }
    case 'wedged':
    case 'promised':
      return { kind, at, srv: first, topic, epoch: Number(second), lsn, stake: third }
    case 'accepted': {
      const by = fourth.length > 0 && named.get('by') === 'arbiter' ? 'arbiter' : 'member'
      return { kind, at, srv: first, topic, epoch: Number(second), lsn, by, stake: third, rc: fourth }
    }
    case 'started':
      return { kind, at, srv: first, topic, epoch: Number(second), lsn, rc: third }
    case 'ack': {
      const { epoch: of, pub, last } = rangeOf(second)
      return { kind: 'ackSent', at, srv: first, topic, epoch: of, pub, end: last }
    }
    case 'served':
      return { kind, at, srv: first, topic, epoch: Number(second), f: 'collect', set: setOf(third) }
    case 'susp':
      return { kind: 'suspSent', at, srv: first, topic, epoch: Number(second), stake: third, set: setOf(fourth) }
    case 'proposed': {
      const to = named.get('to') === 'arbiter' ? 'arbiter' : 'member'
      return { kind, at, srv: first, topic, epoch: Number(second), to, stake: third, rc: fourth }
    }
    case 'acceptSent': {
      const by = named.get('by') === 'arbiter' ? 'arbiter' : 'member'
      return { kind, at, srv: first, topic, epoch: Number(second), by, stake: third }
    }
    case 'startSent':
      return { kind, at, srv: first, topic, epoch: Number(second), stake: third, rc: fourth }
    case 'decided':
      return { kind, at, topic, epoch: Number(first), rc: second }
    case 'boot':
      return { kind, at, srv: first, lsn: Number(second) }
    case 'crash':
      return { kind, at, srv: first }
    case 'healed':
      return {
        kind,
        at,
        operationMs: 100,
        changeMs: 200,
        ...(named.has('rate') && { epochsPerMinute: Number(named.get('rate')) }),
      }
    case 'space':
    case 'overload':
    case 'calm':
      return { kind, at, boundMs: 100 }
    case 'end':
      return { kind, at, quiescent: first !== 'busy', ...(second === 'hopeless' && { hopeless: true }) }
    default:
      throw new Error(`no event is ${line}`)
  }
}

function okOf(
  op: number,
  f: string,
  words: readonly string[],
  at: number,
  epoch: number,
  named: ReadonlyMap<string, string>,
): NewEvent {
  const [first = '', second = ''] = words
  switch (f) {
    case 'add':
      return { kind: 'ok', at, op, f, id: first, status: second === 'included' ? 'included' : 'durable' }
    case 'get': {
      const pairs = first.slice(1, -1) === '' ? [] : first.slice(1, -1).split(',').map(split)
      const ids = pairs.map(([id]) => id)
      const values = pairs.map(([, value]) => value)
      return { kind: 'ok', at, op, f, epoch, floor: Number(named.get('floor') ?? 1), ids, values }
    }
    case 'outcome':
      return { kind: 'ok', at, op, f, outcome: first as 'durable' }
    case 'reconf':
      return {
        kind: 'ok',
        at,
        op,
        f,
        epoch,
        superseded: words.includes('superseded'),
        ...(named.has('rc') && { rc: named.get('rc') ?? '' }),
      }
    default:
      return { kind: 'ok', at, op, f: 'create' }
  }
}

function split(text: string): [string, string] {
  const at = text.indexOf('=')
  return [text.slice(0, at), text.slice(at + 1)]
}

/** `2-p-3` or `2-p-3..5`. */
function rangeOf(text: string): { epoch: number; pub: string; first: number; last: number } {
  const [epoch = '', pub = '', range = ''] = text.split('-')
  const [first = '', last = first] = range.split('..')
  return { epoch: Number(epoch), pub, first: Number(first), last: Number(last) }
}

/** `{p2,q1}`. */
function setOf(text: string): Record<string, number> {
  const set: Record<string, number> = {}
  for (const one of text.replace(/[{}]/g, '').split(',')) {
    const match = /^([a-z]+)(\d+)$/.exec(one)
    if (match !== null) set[match[1] ?? ''] = Number(match[2])
  }
  return set
}

/** `2/p1,q3`. */
function sinceOf(text: string): { epoch: number; seen: Record<string, number> } {
  const [epoch = '', set = ''] = text.split('/')
  return { epoch: Number(epoch), seen: setOf(set) }
}
