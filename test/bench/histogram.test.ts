// Goal: durations are counted right and percentiles are what they are called. Method: properties against sorted arrays.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Histogram } from '../../bench/measure/histogram.ts'

const microseconds = fc.integer({ min: 0, max: 3_600_000_000 })

describe('a histogram', () => {
  it('says of nothing that it is not known', () => {
    expect(new Histogram().percentiles()).toEqual({ p50: null, p99: null, p999: null, max: null })
  })

  it('is exact below 128 microseconds', () => {
    for (let value = 0; value < 128; value++) {
      const histogram = new Histogram()
      histogram.record(value)
      expect(histogram.quantile(0.5)).toBe(value)
    }
  })

  it('puts every quantile within 1/64 of where sorting puts it', () => {
    fc.assert(
      fc.property(
        fc.array(microseconds, { minLength: 1, maxLength: 200 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, share) => {
          const histogram = new Histogram()
          for (const value of values) histogram.record(value)
          const sorted = [...values].sort((one, other) => one - other)
          const exact = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
          expect(Math.abs((histogram.quantile(share) ?? -1) - exact)).toBeLessThanOrEqual(exact / 64 + 1)
          expect(histogram.max).toBe(sorted.at(-1))
        },
      ),
    )
  })

  it('is the same whether recorded together or added up, also by way of another process', () => {
    fc.assert(
      fc.property(fc.array(microseconds), fc.array(microseconds), (one, other) => {
        const parts = [one, other].map((values) => {
          const part = new Histogram()
          for (const value of values) part.record(value)
          return part
        })
        const together = new Histogram()
        for (const value of [...one, ...other]) together.record(value)
        const data = parts.map((part) => structuredClone(part.data()))
        expect(Histogram.of(...data).data()).toEqual(together.data())
        expect(Histogram.of(...parts).percentiles()).toEqual(together.percentiles())
      }),
    )
  })

  it('has buckets that neither overlap nor leave anything out', () => {
    const histogram = new Histogram()
    for (let value = 0; value < 100_000; value += 1) histogram.record(value)
    let next = 0
    for (const { from, to, count } of histogram.buckets()) {
      expect(from).toBe(next)
      if (to < 99_999) expect(count).toBe(to - from + 1)
      next = to + 1
    }
  })
})
