import { expect, it } from 'vitest'
import { after } from '../../../broker/log/disk-files.ts'

/** Goal: a short write goes on where it stopped. Method: every number of bytes that the system may have written. */
it('finds what is left of a gathered write, wherever it stopped', () => {
  const parts = ['abc', '', 'd', 'efgh', ''].map((text) => Buffer.from(text))
  const whole = Buffer.concat(parts)
  for (let written = 1; written <= whole.length; written++) {
    const rest = after(parts, written)
    expect(Buffer.concat(rest).toString()).toBe(whole.subarray(written).toString())
  }
  expect(after(parts, whole.length)).toEqual([])
})
