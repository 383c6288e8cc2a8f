// Goal: a fetch hands over exactly what lies between what is there and its goal. Method: the fetch alone, given batches by hand.
import { describe, expect, it } from 'vitest'
import { Fetch, Prefix } from '../../../client-sdk/operations/fetch.ts'
import type { ClientTimer } from '../../../client-sdk/timers.ts'
import { address, epoch, publisherId, topicName } from '../../../proto/ids.ts'
import type { Effect } from '../../../proto/machine/contract.ts'
import { Timers } from '../../../proto/machine/timers.ts'
import type { Batch } from '../../../proto/wire/messages.ts'

const topic = topicName('t')
const publisher = publisherId('00000000000000aa')

function batch(first: number, last: number, of = 1): Batch {
  return { kind: 'batch', topic, epoch: epoch(of), publisher, first, last, time: 0, check: 0, body: new Uint8Array(8) }
}

function fetchUntil(end: number) {
  const out: Effect[] = []
  const given: string[] = []
  let isComplete = false
  const until = new Map([[publisher, { end, digest: 0 }]])
  const of = { topic, epoch: epoch(1), until, prefix: new Prefix(new Map()) }
  const fetch = new Fetch(of, 1, () => [address('a:1')], 0, {
    timers: new Timers<ClientTimer>(),
    fetched: ({ first, last }, skip) => given.push(`${first + skip}-${last}`),
    complete: () => {
      isComplete = true
    },
    hasRoom: () => true,
    busyTicks: () => 0,
    isUp: () => true,
    stalled: () => {},
  })
  fetch.next(out)
  const take = (one: Batch) => fetch.batch(one, out)
  const end_ = () =>
    fetch.pulled({ kind: 'pulled', topic, epoch: epoch(1), more: false, unheld: false, resume: 0 }, out)
  return { take, end: end_, given, isComplete: () => isComplete }
}

describe('fetch', () => {
  it('hands over the closing set, and not what was pushed beyond it', () => {
    const { take, end, given, isComplete } = fetchUntil(4)
    take(batch(1, 2))
    take(batch(3, 4))
    // Stored by some servers, wedged out, and still on its way to the subscriber.
    take(batch(5, 7))
    end()
    expect(given).toEqual(['1-2', '3-4'])
    expect(isComplete()).toBe(true)
  })

  it('takes each batch once, in sequence, of its own epoch', () => {
    const { take, given } = fetchUntil(9)
    take(batch(1, 2, 2))
    take(batch(3, 4))
    take(batch(1, 2))
    take(batch(1, 2))
    take(batch(3, 4))
    expect(given).toEqual(['1-2', '3-4'])
  })

  it('asks the next member after a silence, later every time, and not while the one asked sends bodies', () => {
    const asked: string[] = []
    const busy = { is: false, ticks: 0 }
    const timers = new Timers<ClientTimer>()
    const of = {
      topic,
      epoch: epoch(1),
      until: new Map([[publisher, { end: 9, digest: 0 }]]),
      prefix: new Prefix(new Map()),
    }
    const members = ['a:1', 'b:1', 'c:1'].map(address)
    const fetch = new Fetch(of, 1, () => members, 0, {
      timers,
      fetched: () => {},
      complete: () => {},
      hasRoom: () => true,
      busyTicks: () => busy.ticks,
      isUp: () => true,
      stalled: () => {},
    })
    const pass = (count: number) => {
      const out: Effect[] = []
      if (timers.now === 0) fetch.next(out)
      for (let at = 0; at < count; at++) {
        if (busy.is) busy.ticks++
        timers.pass(timers.now + 1)
        timers.ring(out)
      }
      for (const effect of out) if (effect.kind === 'send') asked.push(...effect.to)
    }
    pass(30)
    expect(asked).toEqual(['a:1', 'b:1'])
    pass(59)
    expect(asked).toEqual(['a:1', 'b:1'])
    pass(1)
    expect(asked).toEqual(['a:1', 'b:1', 'c:1'])
    busy.is = true
    pass(900)
    expect(asked).toHaveLength(3)
    busy.is = false
    pass(120)
    expect(asked).toHaveLength(4)
    fetch.cancel()
    expect(timers.nextDue).toBe(null)
  })

  it('asks another member as soon as the connection to the one asked breaks, and one that comes up while none was there', () => {
    const asked: string[] = []
    const up = new Set(['a:1', 'b:1'])
    const timers = new Timers<ClientTimer>()
    const until = new Map([[publisher, { end: 9, digest: 0 }]])
    const members = ['a:1', 'b:1', 'c:1'].map(address)
    const fetch = new Fetch({ topic, epoch: epoch(1), until, prefix: new Prefix(new Map()) }, 1, () => members, 0, {
      timers,
      fetched: () => {},
      complete: () => {},
      hasRoom: () => true,
      // Others get bodies from there all the time.
      busyTicks: () => timers.now,
      isUp: (server) => up.has(server),
      stalled: () => {},
    })
    const perform = (run: (out: Effect[]) => void) => {
      const out: Effect[] = []
      run(out)
      for (let tick = 0; tick < 3; tick++) {
        timers.pass(timers.now + 1)
        timers.ring(out)
      }
      for (const effect of out) if (effect.kind === 'send') asked.push(...effect.to)
      return asked.splice(0)
    }
    const change = (server: string, isUp: boolean) => {
      if (isUp) up.add(server)
      else up.delete(server)
      return perform((out) => fetch.peer(address(server), isUp, out))
    }
    expect(perform((out) => fetch.next(out))).toEqual(['a:1'])
    expect(change('a:1', false)).toEqual(['b:1'])
    expect(change('c:1', true)).toEqual([])
    expect(change('c:1', false)).toEqual([])
    expect(change('b:1', false)).toEqual(['c:1'])
    expect(change('a:1', true)).toEqual(['a:1'])
    expect(change('b:1', true)).toEqual([])
  })
})
