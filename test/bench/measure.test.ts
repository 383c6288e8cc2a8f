// Goal: medians, rates, gaps and losses are counted as the README of the benchmark says. Method: small cases with known answers.
import { describe, expect, it } from 'vitest'
import { startChild } from '../../bench/child-process.ts'
import { PayloadReader, PayloadWriter, payloadBytesMin } from '../../bench/load/payload.ts'
import { countLost, Seen } from '../../bench/load/seen.ts'
import { Gaps, longestGapMs } from '../../bench/measure/gaps.ts'
import { cpuSeconds, MachineWatch, memoryOf } from '../../bench/measure/processes.ts'
import { median, quantileOf, round, spread } from '../../bench/measure/statistics.ts'
import { countBetween, sumSlices, Timeline } from '../../bench/measure/timeline.ts'

describe('statistics', () => {
  it('take the middle, and the range', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 3, 2])).toBe(2.5)
    expect(spread([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 })
    expect(() => median([])).toThrow(RangeError)
    expect(quantileOf([], 0.5)).toBeNull()
    expect(quantileOf([9, 1, 5], 0.5)).toBe(5)
    expect(quantileOf([9, 1, 5], 0.99)).toBe(9)
    expect(round(123_456, 3)).toBe(123_000)
  })
})

describe('a timeline', () => {
  it('counts by slices of 10 ms, and between moments by shares of them', () => {
    const timeline = new Timeline(1_000_000)
    timeline.add(1_000_000, 10)
    timeline.add(1_015_000, 20)
    timeline.add(999_999, 5)
    expect(timeline.slices()).toEqual([10, 20])
    expect(countBetween([10, 20], 0, 20_000)).toBe(30)
    expect(countBetween([10, 20], 5_000, 15_000)).toBe(15)
    expect(countBetween([10, 20], 20_000, 90_000)).toBe(0)
    expect(sumSlices([[1, 2], [3], []])).toEqual([4, 2])
  })
})

describe('gaps', () => {
  it('lie between consecutive events, and count for every window that they touch', () => {
    const gaps = new Gaps()
    for (const at of [1_000, 2_000, 2_000, 12_000, 12_100]) gaps.event(at)
    const { noted } = gaps.data()
    expect(noted).toEqual([
      { fromUs: 1_000, toUs: 2_000 },
      { fromUs: 2_000, toUs: 12_000 },
    ])
    expect(longestGapMs(noted, 11_000, 20_000)).toBe(10)
    expect(longestGapMs(noted, 0, 1_500)).toBe(1)
    expect(longestGapMs(noted, 13_000, 20_000)).toBe(0)
  })
})

describe('payloads', () => {
  it('are read as they were written, and nothing else is', () => {
    const bytes = 128
    const reader = new PayloadReader(bytes)
    const payload = new PayloadWriter(bytes).make(7, 32, 1234.5)
    expect(reader.read(payload)).toBe(true)
    expect([reader.stream, reader.sequence, reader.dueUs]).toEqual([7, 32, 1234.5])
    for (const at of [0, 4, 16, payloadBytesMin, bytes - 1]) {
      const broken = Buffer.from(payload)
      broken[at] = (broken[at] ?? 0) ^ 1
      expect(reader.read(broken), `byte ${at}`).toBe(false)
    }
    expect(reader.read(payload.subarray(1))).toBe(false)
  })
})

describe('what a subscriber has seen', () => {
  it('tells what is missing, what came twice and what came late', () => {
    const seen = new Seen()
    for (const sequence of [0, 1, 3, 3, 2, 70]) seen.add(5, sequence)
    expect([seen.distinct, seen.duplicated, seen.disordered]).toEqual([5, 1, 1])
    expect(seen.missing(5, 72)).toEqual([
      { stream: 5, first: 4, last: 69 },
      { stream: 5, first: 71, last: 71 },
    ])
    expect(seen.missing(6, 2)).toEqual([{ stream: 6, first: 0, last: 1 }])
  })

  it('excuses what failed, as often as it failed and no further', () => {
    const missing = [{ stream: 1, first: 10, last: 19 }]
    expect(countLost(missing, [])).toBe(10)
    expect(countLost(missing, [{ stream: 1, first: 10, last: 19, count: 10 }])).toBe(0)
    expect(countLost(missing, [{ stream: 1, first: 0, last: 100, count: 3 }])).toBe(7)
    expect(countLost(missing, [{ stream: 2, first: 10, last: 19, count: 10 }])).toBe(10)
    expect(countLost(missing, [{ stream: 1, first: 15, last: 30, count: 16 }])).toBe(5)
  })
})

describe.skipIf(process.platform !== 'linux')('what the system tells of processes', () => {
  it('counts the CPU of a process, and calls that of strangers foreign', async () => {
    const busy = startChild(process.execPath, ['-e', 'for (;;);'])
    try {
      const watch = new MachineWatch()
      await expect.poll(() => cpuSeconds(busy.pid ?? 0)).toBeGreaterThan(0.3)
      const { ours, foreign } = watch.share()
      expect(foreign ?? 0).toBeGreaterThan(0)
      expect(ours).not.toBeNull()
      const { rssMb = 0, peakMb = 0 } = memoryOf(busy.pid ?? 0) ?? {}
      expect(rssMb).toBeGreaterThan(1)
      expect(peakMb).toBeGreaterThanOrEqual(rssMb)
      expect(memoryOf(2 ** 30)).toBeNull()
    } finally {
      busy.kill('SIGKILL')
    }
  })
})
