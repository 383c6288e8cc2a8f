// Goal: a slip of the keyboard finds its word, and nonsense finds none. Method: pairs of words.
import { expect, it } from 'vitest'
import { closest, didYouMean } from '../../proto/closest.ts'

const words = ['single', 'fault-recovery', 'fault-masking']

it.each([
  ['singel', 'single'],
  ['fault-mask', 'fault-masking'],
  ['FAULT-MASKING', 'fault-masking'],
  ['fualt-recovery', 'fault-recovery'],
  ['quorum', undefined],
  ['', undefined],
])('%s means %s', (typed, meant) => {
  expect(closest(typed, words)).toBe(meant)
})

it('does not take one letter for another', () => {
  expect(closest('d', ['a', 'b'])).toBeUndefined()
  expect(closest('A', ['a', 'b'])).toBe('a')
})

it('is a part of a sentence, or nothing', () => {
  expect(didYouMean('singel', words)).toBe('; did you mean single?')
  expect(didYouMean('x', words)).toBe('')
})
