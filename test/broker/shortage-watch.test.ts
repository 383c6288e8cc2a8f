// Goal: a shortage is told once when it begins and once when it is over. Method: looks by hand.
import { expect, it } from 'vitest'
import { ShortageWatch } from '../../broker/shortage-watch.ts'

it('tells the beginning at once, and the end after a calm while', () => {
  const told: string[] = []
  const watch = new ShortageWatch((shortage, begins) => told.push(`${shortage} ${begins ? 'begins' : 'ends'}`))
  watch.look([])
  for (let look = 0; look < 100; look++) watch.look(look % 3 === 0 ? ['space'] : [])
  expect(told).toEqual(['space begins'])
  for (let look = 0; look < 20; look++) watch.look(['descriptors'])
  expect(told).toEqual(['space begins', 'descriptors begins', 'space ends'])
  watch.look(['space'])
  expect(told.at(-1)).toBe('space begins')
})
