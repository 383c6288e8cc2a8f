/**
 * A run of real processes in the history format that simulated runs write too (format 1, order `merged`): one JSON object a line,
 * client events on one clock. Kept as evidence, and read by whatever judges that format.
 */
import { parseMessageId } from '../../proto/ids.ts'
import type { HistoryRecord } from './history.ts'

type Event = Readonly<Record<string, unknown>> & { readonly kind: string; readonly at: number }

/** @param isQuiet nothing was under way any more at the end, so what is missing then is missing for good */
export function sharedHistory(records: readonly HistoryRecord[], source: string, isQuiet: boolean): readonly Event[] {
  const events: Event[] = []
  const subscriptions = new Map<string, number>()
  let op = 0
  for (const record of records) {
    switch (record.what) {
      case 'add':
        events.push(...addEvents(record, ++op))
        break
      case 'get':
        events.push(...getEvents(record, ++op))
        break
      case 'outcome': {
        const { topic, client, at, id, outcome } = record
        const of = { op: ++op, f: 'outcome' } as const
        events.push({ kind: 'inv', at, ...of, client, topic, epoch: 0, id }, { kind: 'ok', at, ...of, outcome })
        break
      }
      case 'delivery':
      case 'epoch': {
        const { topic, client } = record
        let sub = subscriptions.get(client)
        if (sub === undefined) {
          sub = ++op
          subscriptions.set(client, sub)
          events.push({
            kind: 'inv',
            at: 0,
            op: sub,
            f: 'subscribe',
            client,
            topic,
            epoch: 0,
            from: 'start',
            order: 'fifo',
          })
        }
        if (record.what === 'delivery') {
          const { at, id, value } = record
          events.push({ kind: 'dlv', at, sub, topic, id, value })
        } else {
          const { at, ended, closingCount: count } = record
          events.push({ kind: 'closed', at, sub, topic, epoch: ended, count })
        }
        break
      }
      case 'fault':
        events.push({ kind: 'fault', at: record.at, id: 'real', detail: record.text })
        break
    }
  }
  // Sorting keeps the order of what happened at the same moment.
  const sorted = events.sort((one, other) => one.at - other.at)
  const last = sorted.at(-1)?.at ?? 0
  const header: Event = { kind: 'header', at: 0, format: 1, order: 'merged', source, arbiters: [] }
  return [header, ...sorted, { kind: 'end', at: last, quiescent: isQuiet }].map((event, i) => ({ i, ...event }))
}

/** One line for each event. */
export function formatShared(events: readonly Event[]): string {
  return events.map((event) => `${JSON.stringify(event)}\n`).join('')
}

function addEvents(
  { topic, client, value, start, end, id, status }: Extract<HistoryRecord, { what: 'add' }>,
  op: number,
) {
  const of = { op, f: 'add' } as const
  const begin: Event = { kind: 'inv', at: start, ...of, client, topic, epoch: 0, value }
  if (status === 'open') return [begin]
  const ended = { at: end, ...of, ...(id !== null && { id }) }
  if (status === 'durable' || status === 'included') return [begin, { kind: 'ok', ...ended, status }]
  const code = status === 'unknown' ? 'EC_OUTCOME_UNKNOWN' : status
  // One that was given up before it was sent has no id and no effect; one with an id may have one.
  return [
    begin,
    { kind: status === 'unknown' || (status === 'refused' && id !== null) ? 'info' : 'fail', ...ended, code },
  ]
}

function getEvents({ topic, client, start, end, given }: Extract<HistoryRecord, { what: 'get' }>, op: number): Event[] {
  const of = { op, f: 'get' } as const
  const begin: Event = { kind: 'inv', at: start, ...of, client, topic, epoch: 0, level: 'linearizable' }
  if (given === null) return [begin]
  const ids = given.map(([id]) => id)
  const epoch = ids.reduce((newest, id) => Math.max(newest, parseMessageId(id).epoch), 0)
  return [begin, { kind: 'ok', at: end, ...of, epoch, floor: 1, ids, values: given.map(([, value]) => value) }]
}
