// Goal: a time of any length is waited as it was said. Method: timers of the test runner.
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { watch } from '../../client-sdk/waiting.ts'
import { after } from '../../proto/timer.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

it('waits longer than a timer of the platform can', () => {
  let count = 0
  const milliseconds = 2 ** 31 * 3 + 5
  after(milliseconds, () => count++)
  vi.advanceTimersByTime(milliseconds - 1)
  expect(count).toBe(0)
  vi.advanceTimersByTime(1)
  expect(count).toBe(1)
})

it('never ends where there is no end, and not after it was taken back', () => {
  let count = 0
  after(Number.POSITIVE_INFINITY, () => count++)
  const stop = after(2 ** 31 * 2, () => count++)
  vi.advanceTimersByTime(2 ** 31)
  stop()
  vi.advanceTimersByTime(2 ** 40)
  expect(count).toBe(0)
  expect(vi.getTimerCount()).toBe(0)
})

it('is what a caller’s patience is measured by', () => {
  const told: string[] = []
  const patience = { timeoutMs: 2 ** 31 }
  watch(patience, 'reading', ({ message }) => told.push(message))
  watch({ timeoutMs: 0 }, 'asking', ({ message }) => told.push(message))
  vi.advanceTimersByTime(1)
  expect(told).toEqual(['asking took longer than 0 ms'])
  vi.advanceTimersByTime(2 ** 31)
  expect(told).toEqual(['asking took longer than 0 ms', 'reading took longer than 2147483648 ms'])
})
