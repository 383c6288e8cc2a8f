// Goal: what is agreed about a group follows from its records alone, and no answer has an effect that its member may not have.
// Method: random records beside a plain account of who was given what; a state and its restored snapshot side by side; single cases.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Leading } from '../../../client-sdk/groups/leading.ts'
import { LogTime } from '../../../client-sdk/groups/log-time.ts'
import {
  decodeLogMessage,
  delayMsMax,
  type Entry,
  encodeLogMessage,
  leaseMsMax,
  type Run,
  timeStepMaxMs,
  type Wish,
} from '../../../client-sdk/groups/messages.ts'
import { runsOf } from '../../../client-sdk/groups/runs.ts'
import { GroupState } from '../../../client-sdk/groups/state.ts'
import { epoch, publisherId } from '../../../proto/ids.ts'

const one = epoch(1)
const p = publisherId('00000000000000aa')
const capacity = 3
const settings = { deliveriesMax: 3, deadLetter: 'd' }
const join: Wish = { kind: 'join', capacity, leaseMs: 1_000, settings, start: { epoch: one, seen: [] } }
const run = (first: number, last = first): Run => ({ epoch: one, publisher: p, first, last })
const done = (...runs: Run[]): Wish => ({ kind: 'work', done: runs, begun: [] })
const begun = (...runs: Run[]): Wish => ({ kind: 'work', done: [], begun: runs })
const id = (number: number) => `1-${p}-${number}`

/** Numbers each member's wishes as they go. */
class Records {
  readonly state = new GroupState()
  readonly #numbers = new Map<string, number>()

  wish(member: string, wish: Wish): Entry {
    const number = (wish.kind === 'join' ? 0 : (this.#numbers.get(member) ?? 0)) + 1
    this.#numbers.set(member, number)
    return { kind: 'wish', member, number, wish }
  }

  apply(timeMs: number, ...entries: Entry[]) {
    return this.state.apply({ timeMs, entries })
  }
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('join' as const) }),
  fc.record({ kind: fc.constant('leave' as const), member: fc.nat({ max: 5 }) }),
  fc.record({ kind: fc.constant('expire' as const), member: fc.nat({ max: 5 }) }),
  fc.record({ kind: fc.constant('stored' as const), end: fc.integer({ min: 1, max: 40 }) }),
  fc.record({
    kind: fc.constantFrom('ack' as const, 'nak' as const),
    member: fc.nat({ max: 5 }),
    first: fc.integer({ min: 1, max: 40 }),
    length: fc.integer({ min: 0, max: 3 }),
  }),
)

describe('the state of a group', () => {
  it('gives each message one holder within capacity, and forgets none, whatever is recorded', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const records = new Records()
        const { state } = records
        const holders = new Map<string, string>()
        const finished = new Set<string>()
        const ids: string[] = []
        let end = 0
        for (const [at, what] of steps.entries()) {
          const names = 'member' in what ? (ids[ids.length - 1 - what.member] ?? 'nobody') : ''
          const held = [...holders].filter(([, holder]) => holder === names).map(([message]) => message)
          let entry: Entry
          if (what.kind === 'join') {
            ids.push(`m${ids.length}`)
            entry = records.wish(ids.at(-1) ?? '', join)
          } else if (what.kind === 'leave') entry = records.wish(names, { kind: 'leave', unread: [] })
          else if (what.kind === 'expire') entry = { kind: 'expire', member: names }
          else if (what.kind === 'stored') {
            if (state.isStarted) end = Math.max(end, what.end)
            entry = { kind: 'stored', epoch: one, ends: [[p, what.end]], closed: false }
          } else {
            const runs = [run(what.first, what.first + what.length)]
            entry = records.wish(names, what.kind === 'ack' ? done(...runs) : { kind: 'nak', runs, delayMs: 0 })
            const isMember = state.appliedOf(names) !== null
            for (let number = what.first; number <= what.first + what.length; number++) {
              if (!isMember || !held.includes(id(number))) continue
              holders.delete(id(number))
              if (what.kind === 'ack') finished.add(id(number))
            }
          }
          if (what.kind === 'leave' || what.kind === 'expire') for (const message of held) holders.delete(message)
          const copy = GroupState.restore(JSON.parse(JSON.stringify(state.snapshot())))
          const { granted } = records.apply(at, entry)
          for (const item of granted) {
            expect(holders.has(item.id) || finished.has(item.id)).toBe(false)
            holders.set(item.id, item.holder ?? '')
          }
          // Nothing counts but what was agreed before.
          copy.apply({ timeMs: at, entries: [entry] })
          expect(copy.snapshot()).toEqual(state.snapshot())
          for (const member of state.memberIds()) {
            const count = [...holders.values()].filter((holder) => holder === member).length
            expect(count).toBeLessThanOrEqual(capacity)
          }
          for (const [message, item] of state.items) expect(item.holder).toBe(holders.get(message) ?? null)
          expect(state.pendingCount()).toBe(end - finished.size - holders.size)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('refuses answers about what another member holds, and applies a wish once', () => {
    const records = new Records()
    records.apply(0, records.wish('a', join), records.wish('b', join))
    records.apply(0, { kind: 'stored', epoch: one, ends: [[p, 4]], closed: false })
    expect([...records.state.items.values()].map((item) => item.holder)).toEqual(['a', 'a', 'b', 'b'])
    const ack = records.wish('b', done(run(1, 3)))
    expect(records.apply(1, ack).refused).toEqual([{ member: 'b', number: 2, ids: [id(1), id(2)] }])
    expect(records.apply(1, ack).refused).toEqual([])
    expect([...records.state.items.keys()]).toEqual([id(1), id(2), id(4)])
  })

  it('gives again after the delay, and marks what was delivered too often', () => {
    const records = new Records()
    records.apply(0, records.wish('a', join))
    records.apply(0, { kind: 'stored', epoch: one, ends: [[p, 1]], closed: false })
    const nak = () => records.wish('a', { kind: 'nak', runs: [run(1)], delayMs: 100 })
    expect(records.apply(10, nak()).granted).toEqual([])
    expect([records.state.isDue(109), records.state.isDue(110)]).toEqual([false, true])
    expect(records.apply(109).granted).toEqual([])
    expect(records.apply(110).granted).toMatchObject([{ deliveries: 1, isDead: false }])
    records.apply(110, nak())
    expect(records.apply(300).granted).toMatchObject([{ deliveries: 2, isDead: false }])
    records.apply(300, nak())
    expect(records.apply(400).granted).toMatchObject([{ deliveries: 3, isDead: true }])
  })

  it('counts as delivered what a member handed to its reader, once, and nothing that waited in its buffer', () => {
    const records = new Records()
    const counts = () => [...records.state.items.values()].map((item) => [item.deliveries, item.isDead])
    for (let round = 1; round <= 3; round++) {
      const member = `m${round}`
      records.apply(0, records.wish(member, join))
      if (round === 1) records.apply(0, { kind: 'stored', epoch: one, ends: [[p, 3]], closed: false })
      records.apply(0, records.wish(member, begun(run(1))), records.wish(member, begun(run(1))))
      records.apply(0, { kind: 'expire', member })
      expect(counts()).toEqual([
        [round, round === 3],
        [0, false],
        [0, false],
      ])
    }
    // It says that it puts the dead one aside, and leaves before its reader has the second.
    records.apply(0, records.wish('m4', join), records.wish('m4', begun(run(1, 2))))
    records.apply(0, records.wish('m4', { kind: 'leave', unread: [run(2, 3)] }))
    expect(counts()).toEqual([
      [3, true],
      [0, false],
      [0, false],
    ])
  })

  it('hands out an epoch whole before the next, and forgets it when it is done', () => {
    const records = new Records()
    const two = epoch(2)
    records.apply(0, records.wish('a', join))
    records.apply(0, { kind: 'stored', epoch: one, ends: [[p, 2]], closed: true })
    records.apply(0, { kind: 'stored', epoch: two, ends: [[p, 1]], closed: false })
    expect([...records.state.items.keys()]).toEqual([id(1), id(2), `2-${p}-1`])
    expect([records.state.firstEpoch, records.state.feedingEpoch]).toEqual([1, 2])
    records.apply(0, records.wish('a', done(run(1, 2))))
    expect(records.state.firstEpoch).toBe(2)
    records.apply(0, { kind: 'gap', to: epoch(5) })
    expect([records.state.firstEpoch, records.state.items.size]).toEqual([5, 0])
  })
})

describe('a leader', () => {
  const leaseMs = 1_000

  /** A group of the leader `a` and of `b`. */
  class Led {
    readonly records = new Records()
    readonly time = new LogTime(0)
    readonly leading = new Leading('group-x', 'a')
    nowMs = 0

    constructor() {
      this.records.apply(0, this.records.wish('a', join), this.records.wish('b', join))
    }

    /** @returns ids of members that are taken for dead */
    tick(toMs: number, isRead = true): string[] {
      this.nowMs = toMs
      const { state } = this.records
      this.leading.tick(state, toMs, this.time.advance(toMs, state))
      const written = this.leading.records(state, toMs, this.time.advance(toMs, state))
      for (const record of isRead ? written : []) {
        this.time.read(record.timeMs, true, toMs)
        state.apply(record)
      }
      return written.flatMap(({ entries }) =>
        entries.flatMap((entry) => (entry.kind === 'expire' ? [entry.member] : [])),
      )
    }
  }

  it('takes the silent for dead after their lease', () => {
    const led = new Led()
    for (let nowMs = 50; nowMs <= leaseMs; nowMs += 50) expect(led.tick(nowMs)).toEqual([])
    expect(led.tick(leaseMs + 50)).toEqual(['b'])
    expect(led.tick(leaseMs + 100)).toEqual([])
  })

  it('does not count while it stands still, nor while the log does not answer', () => {
    const led = new Led()
    led.tick(50)
    expect(led.tick(60_000)).toEqual([])
    for (let nowMs = 60_050; nowMs < 120_000; nowMs += 50) expect(led.tick(nowMs, false)).toEqual([])
    // The other one is heard at last, and has its whole lease again.
    led.leading.wish(
      { kind: 'wish', member: 'b', number: 2, wish: { kind: 'alive' } },
      led.records.state,
      led.time.advance(120_000, led.records.state),
    )
    for (let nowMs = 120_050; nowMs <= 121_000; nowMs += 50) expect(led.tick(nowMs)).toEqual([])
  })

  it('goes on counting where the one before stopped', () => {
    const led = new Led()
    for (let nowMs = 50; nowMs <= 600; nowMs += 50) led.tick(nowMs)
    const { state } = led.records
    const next = new LogTime(5_000)
    next.read(state.timeMs, false, 5_000)
    expect(next.advance(5_100, state)).toBe(state.timeMs + 100)
    // No further than a quarter of the shortest lease past what stands in the log.
    expect(next.advance(9_000, state)).toBe(state.timeMs + leaseMs / 4)
  })
})

describe('a member whose numbers make no sense', () => {
  const after = (state: GroupState) =>
    encodeLogMessage({
      kind: 'record',
      claim: 'group-y',
      by: 'b',
      index: 0,
      timeMs: state.timeMs,
      entries: [],
      snapshot: state.snapshot(),
    })

  it('moves log time by no more than a record may, and the group goes on', () => {
    const records = new Records()
    const { state } = records
    records.apply(0, records.wish('a', join), { kind: 'stored', epoch: one, ends: [[p, 1]], closed: false })
    for (const timeMs of [Number.MAX_SAFE_INTEGER, 2 ** 52, Number.MAX_SAFE_INTEGER]) records.apply(timeMs)
    records.apply(Number.MAX_SAFE_INTEGER, records.wish('a', { kind: 'nak', runs: [run(1)], delayMs: delayMsMax }))
    expect(state.timeMs).toBeLessThanOrEqual(4 * timeStepMaxMs)
    expect(decodeLogMessage(after(state))).not.toBeNull()
    const time = new LogTime(0)
    time.read(state.timeMs, false, 0)
    const nextMs = time.advance(200, state)
    expect(nextMs).toBe(state.timeMs + 200)
    records.apply(nextMs)
    expect(state.timeMs).toBe(nextMs)
  })

  it('is passed over where what it says leaves no room to count on', () => {
    const most = Number.MAX_SAFE_INTEGER
    const wishes: unknown[] = [
      { ...join, leaseMs: leaseMsMax + 1 },
      { ...join, start: { epoch: one, seen: [[p, most]] } },
      { ...join, start: { epoch: most, seen: [] } },
    ]
    const entries: unknown[] = [
      { kind: 'stored', epoch: one, ends: [[p, most]], closed: true },
      { kind: 'stored', epoch: most, ends: [], closed: true },
      { kind: 'gap', to: most },
    ]
    const record = { kind: 'record', claim: 'group-y', by: 'b', index: 1, timeMs: 0 }
    const messages = [
      ...wishes.map((wish) => ({ kind: 'wish', member: 'a', number: 1, wish })),
      ...entries.map((entry) => ({ ...record, entries: [entry] })),
    ]
    for (const message of messages) expect(decodeLogMessage(Buffer.from(JSON.stringify(message)))).toBeNull()
  })
})

describe('messages of the log', () => {
  it('come back as they were written; anything else is passed over', () => {
    const message = { kind: 'wish', member: 'a', number: 1, wish: join } as const
    expect(decodeLogMessage(encodeLogMessage(message))).toEqual(message)
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(decodeLogMessage(Buffer.from(JSON.stringify(value)))).toBeNull()
      }),
    )
    const bad = [{ ...message, number: 0 }, { ...message, wish: { ...join, capacity: -1 } }, { kind: 'record' }]
    for (const one of bad) expect(decodeLogMessage(Buffer.from(JSON.stringify(one)))).toBeNull()
    expect(decodeLogMessage(Uint8Array.of(0xff))).toBeNull()
  })

  it('name neighbours as runs', () => {
    expect(runsOf([id(3), id(1), id(2), id(5)])).toEqual([run(1, 3), run(5)])
  })
})
