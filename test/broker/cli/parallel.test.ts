// Goal: many questions are asked together, but not too many at a time. Method: tasks that end in another order than they begin.
import { describe, expect, it } from 'vitest'
import { inParallel } from '../../../broker/cli/parallel.ts'
import { after } from '../../../proto/timer.ts'

describe('things in parallel', () => {
  it('are at most so many at a time, and their results come in order', async () => {
    let running = 0
    let most = 0
    const results = await inParallel([30, 5, 20, 1, 10], 2, async (milliseconds) => {
      most = Math.max(most, ++running)
      await new Promise<void>((resolve) => after(milliseconds, resolve))
      running--
      return milliseconds * 2
    })
    expect(results).toEqual([60, 10, 40, 2, 20])
    expect(most).toBe(2)
  })

  it('may be none, and one that fails ends them all', async () => {
    expect(await inParallel([], 3, () => Promise.reject(new Error('never')))).toEqual([])
    await expect(inParallel([1, 2], 3, () => Promise.reject(new Error('no')))).rejects.toThrow('no')
  })
})
