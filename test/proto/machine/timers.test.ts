// Goal: timers ring once, at their moment, in one order, and cost nothing once they are stopped; the time of a loop's machine
// stands still with its process. Method: timers by hand, and a loop on a clock of the test.
import { expect, it } from 'vitest'
import { address, clusterId } from '../../../proto/ids.ts'
import type { Effect, Input, Machine } from '../../../proto/machine/contract.ts'
import { Loop } from '../../../proto/machine/loop.ts'
import type { Store } from '../../../proto/machine/store.ts'
import { Timers } from '../../../proto/machine/timers.ts'

function timersOf() {
  const timers = new Timers()
  const rung: string[] = []
  const timer = (name: string) => timers.timer(name, 'k', () => rung.push(`${name} at ${timers.now}`))
  const pass = (to: number) => {
    timers.pass(to)
    timers.ring([])
    return rung.splice(0)
  }
  return { timers, timer, pass }
}

it('rings each timer once, by moment and then by setting', () => {
  const { timers, timer, pass } = timersOf()
  const [a, b, c] = [timer('a'), timer('b'), timer('c')]
  a.set(5)
  b.set(3)
  c.set(5)
  a.set(5)
  expect(timers.nextDue).toBe(3)
  expect(pass(2)).toEqual([])
  expect(pass(3)).toEqual(['b at 3'])
  expect(pass(9)).toEqual(['c at 9', 'a at 9'])
  expect([timers.nextDue, a.isSet, pass(100)]).toEqual([null, false, []])
})

it('counts the last setting alone, earlier or later, and none after a stop', () => {
  const { timers, timer, pass } = timersOf()
  const [a, b] = [timer('a'), timer('b')]
  a.set(3)
  a.set(8)
  b.set(8)
  b.set(2)
  expect(timers.nextDue).toBe(2)
  expect(pass(3)).toEqual(['b at 3'])
  expect(timers.nextDue).toBe(8)
  a.stop()
  expect(timers.nextDue).toBe(null)
  a.set(20)
  a.setWithin(4)
  a.setIfStopped(1)
  a.setWithin(30)
  expect(a.ticksLeft).toBe(4)
  expect(pass(7)).toEqual(['a at 7'])
  expect(pass(200)).toEqual([])
})

it('lets a timer be set and stopped while others ring, and rings at the next tick what is set for now', () => {
  const timers = new Timers()
  const rung: string[] = []
  const again = timers.timer('again', '', () => {
    rung.push(`again at ${timers.now}`)
    other.stop()
    if (timers.now < 3) again.set(0)
  })
  const other = timers.timer('other', '', () => rung.push('other'))
  again.set(1)
  other.set(1)
  for (let now = 1; now < 10; now++) {
    timers.pass(now)
    timers.ring([])
  }
  expect(rung).toEqual(['again at 1', 'again at 2', 'again at 3'])
})

it('lists what is set, the next one first', () => {
  const { timers, timer } = timersOf()
  const [a, b, c] = [timer('a'), timer('b'), timer('c')]
  a.set(9)
  b.set(2)
  c.set(1)
  c.stop()
  b.set(4)
  timers.pass(1)
  expect(timers.list()).toEqual([
    { name: 'b', key: 'k', ticks: 3 },
    { name: 'a', key: 'k', ticks: 8 },
  ])
})

/** A loop whose time is the test's; its machine rings at the ticks that are named. */
function loopOf(rings: number[], store?: Store) {
  let nowMs = 1_000
  const woken: { at: number; run: () => void }[] = []
  const seen: string[] = []
  const timers = new Timers()
  const timer = timers.timer('t', '', () => {
    seen.push(`ring at ${timers.now}`)
    const next = rings.shift()
    if (next !== undefined) timer.set(next)
  })
  timer.set(rings.shift() ?? 1)
  const machine: Machine = {
    get nextDue() {
      return timers.nextDue
    },
    step: (input: Input, out: Effect[]) => {
      if (input.kind === 'time') timers.pass(input.now)
      else if (input.kind === 'turn') timers.ring(out)
      else {
        seen.push(input.kind)
        timer.stop()
      }
    },
  }
  const loop = new Loop({
    machine,
    name: 'x',
    ...(store && { store }),
    cluster: () => clusterId('00000000-0000-4000-8000-000000000001'),
    onFatal: (error) => seen.push(String(error)),
    timers: {
      soon: (run) => woken.push({ at: nowMs, run }),
      after: (milliseconds, run) => {
        const one = { at: nowMs + milliseconds, run }
        woken.push(one)
        return () => woken.splice(woken.indexOf(one), 1)
      },
      nowMs: () => nowMs,
    },
  })
  loop.start({ address: address('x'), send: () => {}, framesLost: 0, close: async () => {} })
  /** Until that moment; `late` is how much later than asked the process wakes up. */
  const until = (moment: number, late = 0) => {
    for (;;) {
      const next = woken.sort((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > moment) break
      woken.shift()
      nowMs = Math.max(nowMs, next.at + late)
      next.run()
    }
    nowMs = Math.max(nowMs, moment)
    return seen.splice(0)
  }
  return { loop, until, wakeUps: () => woken.length }
}

it('sleeps until something is due', () => {
  const { until, wakeUps } = loopOf([50, 3])
  expect(until(1_499)).toEqual([])
  expect(wakeUps()).toBe(1)
  expect(until(1_500)).toEqual(['ring at 50'])
  expect(until(1_530)).toEqual(['ring at 53'])
  expect([until(9_000), wakeUps()]).toEqual([[], 0])
})

it('does not take its own standstill for the silence of others', () => {
  const { loop, until } = loopOf([50, 50])
  until(1_000)
  expect(until(1_500, 8_000)).toEqual(['ring at 51'])
  // The next one is 50 ticks later, by its own time.
  expect(until(9_980)).toEqual([])
  expect(until(10_010)).toEqual(['ring at 101'])
  loop.input({ kind: 'peer', address: address('y'), up: true })
  expect(until(10_020)).toEqual(['peer'])
})

it('takes what came before it rings what is due', () => {
  const { loop, until } = loopOf([50])
  until(1_499)
  loop.input({ kind: 'peer', address: address('y'), up: true })
  // The turn comes so late that the timer is due in it.
  expect(until(1_499, 5)).toEqual(['peer'])
  expect(until(9_000)).toEqual([])
})

it('tells its store once that nothing happens, also where nothing ever did', () => {
  let idle = 0
  const store = { dirty: false, onFailure: () => {}, idle: () => idle++ } as unknown as Store
  const { until } = loopOf([500], store)
  until(1_005)
  expect(idle).toBe(0)
  until(9_000)
  expect(idle).toBe(1)
})
