// Goal: figures that compare times of two processes are not shifted by how busy the machine was while one of them began.
import { describe, expect, it } from 'vitest'
import { nowUs } from '../../bench/measure/clock.ts'

describe('the clock of all processes', () => {
  it('is the monotonic clock of the machine, to a few microseconds', () => {
    let least = Number.POSITIVE_INFINITY
    for (let turn = 0; turn < 1_000; turn++) {
      const shown = nowUs()
      least = Math.min(least, Math.abs(Number(process.hrtime.bigint()) / 1e3 - shown))
    }
    expect(least).toBeLessThan(20)
  })
})
