// Goal: reading begins where it is asked to, nothing later is missed, and epochs long before a time are not read. Method: the
// search beside a plain one over random histories; a real cluster with a publisher whose clock the test sets.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCluster } from '../../broker/dev/cluster.ts'
import { text } from '../../client-sdk/index.ts'
import { search } from '../../client-sdk/replay.ts'
import { epoch } from '../../proto/ids.ts'
import { readUntil, take } from './collect.ts'

const hourMs = 3_600_000

describe('the search for an epoch by time', () => {
  it('begins at the last epoch that began before, whatever is empty, and looks at few', async () => {
    // Null: an empty epoch.
    const history = fc
      .array(fc.option(fc.integer({ min: 0, max: 1000 })), { minLength: 1, maxLength: 40 })
      .map((times) => [...times].sort((a, b) => (a === null || b === null ? 0 : a - b)))
    await fc.assert(
      fc.asyncProperty(history, fc.integer({ min: 0, max: 1000 }), async (times, before) => {
        let last = Number.NEGATIVE_INFINITY
        const sorted = times.map((time) => {
          if (time !== null) last = Math.max(last, time)
          return time === null ? null : last
        })
        const found = await search(epoch(1), epoch(sorted.length + 1), before, async (of) => sorted[of - 1] ?? null)
        // Everything in the epochs before is older.
        const skipped = sorted.slice(0, found - 1).filter((time) => time !== null)
        expect(skipped.every((time) => time <= before)).toBe(true)
        // And no later epoch would do.
        const later = sorted.slice(found).filter((time) => time !== null)
        expect(later.every((time) => time > before)).toBe(true)
      }),
    )
    let looks = 0
    const found = await search(epoch(1), epoch(100_000), 70_000, async (of) => {
      looks++
      return of
    })
    expect([found, looks < 40]).toEqual([70_000, true])
  })
})

describe('subscribe', () => {
  it('reads from an epoch, from one that has not begun, and from a time', async () => {
    await using cluster = await createCluster({ servers: 4 })
    let nowMs = 1_000 * hourMs
    const client = await cluster.connect({ clock: { nowMs: () => nowMs } })
    const topic = client.topic('t', { codec: text() })
    for (let at = 1; at <= 5; at++) {
      await topic.publish(`${at}a`)
      nowMs += hourMs / 2
      await topic.publish(`${at}b`)
      nowMs += hourMs / 2
      if (at < 5) await client.admin.reconfigure('t').enabled
    }
    expect(await take(topic.subscribe({ from: { epoch: 4 } }), 4)).toEqual(['4a', '4b', '5a', '5b'])
    const time = 1_000 * hourMs + 2.5 * hourMs
    const stream = topic.subscribe({ from: { time } })
    expect(await take(stream, 2)).toEqual(['3b', '4a'])
    // The position counts what was left out.
    expect(await take(topic.subscribe({ from: stream.cursor }), 1)).toEqual(['4b'])
    expect(await take(topic.subscribe({ from: { time: new Date(0) } }), 1)).toEqual(['1a'])
    const reading = readUntil(topic.subscribe({ from: { epoch: 6 }, events: true }), (seen) => seen.length > 0)
    await client.admin.reconfigure('t').enabled
    await topic.publish('6a')
    expect(await reading).toEqual(['6a'])
    expect(() => topic.subscribe({ from: { epoch: 0 } })).toThrow('epoch 0')
    expect(() => topic.subscribe({ from: { time: 'noon' as never } })).toThrow('time "noon" is not a time')
  })

  it('waits for an epoch that has not begun, in a client that does nothing else', async () => {
    await using cluster = await createCluster({ servers: 3 })
    const [reader, writer] = [await cluster.connect(), await cluster.connect()]
    const topic = writer.topic('t', { codec: text() })
    await topic.publish('1a')
    const reading = take(reader.topic('t', { codec: text() }).subscribe({ from: { epoch: 3 } }), 1)
    for (const message of ['2a', '3a']) {
      await writer.admin.reconfigure('t').enabled
      await topic.publish(message)
    }
    expect(await reading).toEqual(['3a'])
  })
})
