// Goal: each filter gives what it promises, whatever comes when: nothing that is not durable, causes first, one sequence for all,
// everything of the closing set. Method: generated epochs (who knew what when he published, what the sequencer wrote, how the epoch
// ended), and for each several readers whose bodies, reports and starts come in different orders.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CausalFilter } from '../../../client-sdk/orders/causal-filter.ts'
import { History } from '../../../client-sdk/orders/history.ts'
import {
  alone,
  type Judgement,
  type OrderFilter,
  type Release,
  type Run,
} from '../../../client-sdk/orders/order-filter.ts'
import { TotalFilter } from '../../../client-sdk/orders/total-filter.ts'
import { epoch, type PublisherId, sequencerPublisher, topicName } from '../../../proto/ids.ts'
import { emptySet, endOf, type MessageSet } from '../../../proto/message-set.ts'
import type { Batch, End } from '../../../proto/wire/messages.ts'
import { seededRandom } from '../../../sim/seeded-random.ts'

type Random = ReturnType<typeof seededRandom>

interface Sent {
  readonly batch: Batch
  /** Everything before it, by publisher. */
  readonly past: ReadonlyMap<PublisherId, number>
}

/** One epoch as it happened. */
interface Story {
  readonly sent: readonly Sent[]
  readonly records: readonly Batch[]
  readonly closing: MessageSet
  /** What becomes durable while the epoch is open: part of the closing set. */
  readonly durable: MessageSet
}

const [topic, at] = [topicName('t'), epoch(1)]
const body = new Uint8Array([1, 0])
const base = 100

function batchOf(publisher: PublisherId, first: number, last: number, time: number, stamp: Partial<Batch>): Batch {
  return { kind: 'batch', topic, epoch: at, publisher, first, last, time, check: 0, body, ...stamp }
}

/** Publishers are given what is durable for them, publish, and stamp what is new: as clients do. */
function storyOf(seed: number): Story {
  const random = seededRandom(seed)
  const publishers = Array.from({ length: 2 + random.below(3) }, (_, who) => `000000000000000${who}` as PublisherId)
  const ends = new Map<PublisherId, number>()
  const known = new Map(publishers.map((one) => [one, new Map<PublisherId, number>()]))
  const stamped = new Map(publishers.map((one) => [one, new Map<PublisherId, number>()]))
  const sent: Sent[] = []
  for (let step = 0; step < 4 + random.below(20); step++) {
    const publisher = publishers[random.below(publishers.length)] as PublisherId
    const knows = known.get(publisher) as Map<PublisherId, number>
    const hasSaid = stamped.get(publisher) as Map<PublisherId, number>
    // It is given some of what was sent, each with all of its past: the order that it reads in keeps causes first.
    for (const one of sent) {
      if (random.below(3) > 0 || one.batch.publisher === publisher) continue
      for (const [of, end] of [...one.past, [one.batch.publisher, one.batch.last] as const])
        knows.set(of, Math.max(end, knows.get(of) ?? 0))
    }
    const own: End[] = []
    for (const [of, end] of knows)
      if (of !== publisher && end > (hasSaid.get(of) ?? 0)) own.push({ publisher: of, end })
    for (const { publisher: of, end } of own) hasSaid.set(of, end)
    const first = (ends.get(publisher) ?? 0) + 1
    const last = first + random.below(3)
    const stamp = own.length > 0 ? { after: { own, others: [] } } : {}
    sent.push({ batch: batchOf(publisher, first, last, 1000 + random.below(4), stamp), past: new Map(knows) })
    ends.set(publisher, last)
    knows.set(publisher, last)
  }
  const closing = new Map<PublisherId, { end: number; digest: number }>()
  for (const { batch } of sent) {
    // Some of the last ones vanish.
    const isNext = endOf(closing, batch.publisher) === batch.first - 1
    if (isNext && random.below(12) > 0) closing.set(batch.publisher, { end: batch.last, digest: 0 })
  }
  const records = recordsOf(sent, random)
  const recordsEnd = random.below(records.length + 1)
  if (recordsEnd > 0) closing.set(sequencerPublisher, { end: recordsEnd, digest: 0 })
  return { sent, records, closing, durable: durableOf(sent, closing, random) }
}

/** The sequencer orders what it has, causes first; what it has it may have alone. */
function recordsOf(sent: readonly Sent[], random: Random): Batch[] {
  const records: Batch[] = []
  const done = new Map<PublisherId, number>()
  const rest = [...sent].filter(() => random.below(10) > 0)
  for (let tries = 0; tries < 200 && rest.length > 0; tries++) {
    const ends: End[] = []
    for (let count = random.below(3); count >= 0; count--) {
      const index = random.below(rest.length)
      const one = rest[index]
      if (one === undefined || (done.get(one.batch.publisher) ?? 0) !== one.batch.first - 1) continue
      if ([...one.past].some(([of, end]) => (done.get(of) ?? 0) < end)) continue
      rest.splice(index, 1)
      done.set(one.batch.publisher, one.batch.last)
      ends.push({ publisher: one.batch.publisher, end: one.batch.last })
    }
    if (ends.length === 0) continue
    const number = records.length + 1
    records.push(batchOf(sequencerPublisher, number, number, 0, { ranks: { ends } }))
  }
  return records
}

function durableOf(sent: readonly Sent[], closing: MessageSet, random: Random): MessageSet {
  const durable = new Map<PublisherId, { end: number; digest: number }>()
  for (const { batch } of sent) {
    const isNext = endOf(durable, batch.publisher) === batch.first - 1
    if (isNext && batch.last <= endOf(closing, batch.publisher) && random.below(4) > 0)
      durable.set(batch.publisher, { end: batch.last, digest: 0 })
  }
  const records = random.below(endOf(closing, sequencerPublisher) + 1)
  if (records > 0) durable.set(sequencerPublisher, { end: records, digest: 0 })
  return durable
}

class Reader {
  readonly given: Release[] = []
  readonly confirmedRuns: Run[] = []
  readonly retractedRuns: Run[] = []
  readonly durable = new Map<PublisherId, number>()
  isClosed = false

  give(release: Release): void {
    const { batch, early } = release
    const isDurable = this.isClosed || batch.last <= (this.durable.get(batch.publisher) ?? 0)
    expect(early).toBe(!isDurable && early)
    if (!early) expect(isDurable).toBe(true)
    this.given.push(release)
  }

  judged(kind: Judgement, run: Run): void {
    if (kind === 'confirmed') this.confirmedRuns.push(run)
    else this.retractedRuns.push(run)
  }

  get ids(): string[] {
    return this.given.map(({ batch }) => `${batch.publisher} ${batch.last}`)
  }
}

/** Plays the epoch to one reader: what comes when is its own. */
function play(story: Story, reader: Reader, filter: OrderFilter, seen: MessageSet, withRecords: boolean, seed: number) {
  const random = seededRandom(seed)
  const { sent, records, closing, durable } = story
  const queues = new Map<PublisherId, Batch[]>()
  const all = [...sent.map(({ batch }) => batch), ...(withRecords ? records : [])]
  for (const batch of all) {
    if (batch.last <= endOf(seen, batch.publisher)) continue
    queues.set(batch.publisher, [...(queues.get(batch.publisher) ?? []), batch])
  }
  const publishers = [...new Set(all.map(({ publisher }) => publisher))]
  for (let step = random.below(80); step > 0; step--) {
    const publisher = publishers[random.below(publishers.length)] as PublisherId
    if (random.below(2) === 0) {
      const batch = queues.get(publisher)?.shift()
      if (batch !== undefined) filter.take(batch, 0)
      continue
    }
    const next = all.find((one) => one.publisher === publisher && one.last > (reader.durable.get(publisher) ?? 0))
    if (next === undefined || next.last > endOf(durable, publisher)) continue
    reader.durable.set(publisher, next.last)
    filter.durable(publisher, next.last)
  }
  reader.isClosed = true
  filter.close(closing)
  for (const [publisher, queue] of queues)
    for (const batch of queue) if (batch.last <= endOf(closing, publisher)) filter.take(batch, 0)
  expect(filter.finish()).toBe(true)
}

function expectCausesFirst({ sent }: Story, ids: readonly string[]): void {
  for (const { batch, past } of sent) {
    const place = ids.indexOf(`${batch.publisher} ${batch.last}`)
    if (place < 0) continue
    for (const other of sent) {
      if (other.batch.last > (past.get(other.batch.publisher) ?? 0)) continue
      const cause = ids.indexOf(`${other.batch.publisher} ${other.batch.last}`)
      expect(cause, `${batch.publisher} ${batch.last}`).toBeLessThan(place)
    }
  }
}

/** What readers of one epoch must have been given in the end. */
function expected({ sent, closing }: Story, seen: MessageSet): string[] {
  const wanted = sent.filter(
    ({ batch }) => batch.last <= endOf(closing, batch.publisher) && batch.last > endOf(seen, batch.publisher),
  )
  return wanted.map(({ batch }) => `${batch.publisher} ${batch.last}`).sort()
}

/** A start in the middle as a quorum of reports shows it: of each publisher some of what is durable, causes or not. */
function startOf(story: Story, random: Random): MessageSet {
  const seen = new Map<PublisherId, { end: number; digest: number }>()
  for (const { batch } of story.sent) {
    const isNext = endOf(seen, batch.publisher) === batch.first - 1
    if (isNext && batch.last <= endOf(story.durable, batch.publisher) && random.below(3) > 0)
      seen.set(batch.publisher, { end: batch.last, digest: 0 })
  }
  return seen
}

const seeds = fc.integer({ min: 0, max: 2 ** 30 })
const runs = { numRuns: 400 }

describe('filters', () => {
  it('causal: durable only, causes first, the closing set and nothing else; also from the middle', () => {
    fc.assert(
      fc.property(seeds, seeds, fc.boolean(), (seed, order, isFromMiddle) => {
        const story = storyOf(seed)
        const seen = isFromMiddle ? startOf(story, seededRandom(order + 1)) : emptySet
        const before = story.sent.map(({ batch }) => batch).filter((one) => one.last <= endOf(seen, one.publisher))
        const history = isFromMiddle ? new History(before, seen) : null
        const reader = new Reader()
        const filter = new CausalFilter(seen, { isCausal: true, isEarly: false, gate: alone, history }, reader)
        play(story, reader, filter, seen, false, order)
        expect([...reader.ids].sort()).toEqual(expected(story, seen))
        expectCausesFirst(story, reader.ids)
      }),
      runs,
    )
  })

  it('early: causes first, and every message that was given early is confirmed or retracted, rightly', () => {
    fc.assert(
      fc.property(seeds, seeds, (seed, order) => {
        const story = storyOf(seed)
        const reader = new Reader()
        const filter = new CausalFilter(emptySet, { isCausal: true, isEarly: true, gate: alone, history: null }, reader)
        play(story, reader, filter, emptySet, false, order)
        const lost = new Set(reader.retractedRuns.map((run) => `${run.publisher} ${run.last}`))
        const early = reader.given.filter((one) => one.early).map(({ batch }) => `${batch.publisher} ${batch.last}`)
        const confirmed = reader.confirmedRuns.map((run) => `${run.publisher} ${run.last}`)
        expect([...confirmed, ...lost].sort()).toEqual(early.sort())
        expect(reader.ids.filter((id) => !lost.has(id)).sort()).toEqual(expected(story, emptySet))
        expectCausesFirst(story, reader.ids)
      }),
      runs,
    )
  })

  it('total: one sequence with positions for all, causes first, also from the middle and by who missed the epoch', () => {
    fc.assert(
      fc.property(seeds, seeds, (seed, order) => {
        const story = storyOf(seed)
        const sequences = [0, 1, 2].map((who) => {
          const reader = new Reader()
          play(story, reader, new TotalFilter(base, reader), emptySet, true, order + who)
          expect([...reader.ids].sort()).toEqual(expected(story, emptySet))
          expectCausesFirst(story, reader.ids)
          let position = base + 1
          for (const { batch, position: place } of reader.given) {
            expect(place).toBe(position)
            position += batch.last - batch.first + 1
          }
          return reader.ids
        })
        expect(sequences[1]).toEqual(sequences[0])
        expect(sequences[2]).toEqual(sequences[0])
        const whole = sequences[0] ?? []
        fromCursor(story, whole, order)
        fromNew(story, whole, order)
      }),
      runs,
    )
  })
})

/** Begins behind some of the sequence, as a cursor says. */
function fromCursor(story: Story, whole: readonly string[], seed: number): void {
  const seen = new Map<PublisherId, { end: number; digest: number }>()
  const count = seededRandom(seed + 7).below(whole.length + 1)
  for (const id of whole.slice(0, count)) {
    const [publisher, last] = id.split(' ')
    seen.set(publisher as PublisherId, { end: Number(last), digest: 0 })
  }
  const before = story.sent.map(({ batch }) => batch).filter((one) => one.last <= endOf(seen, one.publisher))
  const reader = new Reader()
  const filter = new TotalFilter(base, reader)
  filter.resume(new History(before, seen), seen)
  play(story, reader, filter, seen, true, seed)
  expect(reader.ids).toEqual(whole.slice(count))
}

/** Begins behind what has its place when a quorum has reported. */
function fromNew(story: Story, whole: readonly string[], seed: number): void {
  const reader = new Reader()
  const filter = new TotalFilter(base, reader)
  const records = story.records.filter(({ last }) => last <= endOf(story.durable, sequencerPublisher))
  const seen = new Map(filter.skipRanked(records, story.durable))
  const received = new Map([...seen, [sequencerPublisher, { end: records.length, digest: 0 }] as const])
  play(story, reader, filter, received, true, seed)
  expect(reader.ids).toEqual(whole.slice(whole.length - reader.ids.length))
  expect([...reader.ids].sort()).toEqual(expected(story, seen))
}
