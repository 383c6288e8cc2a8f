// Goal: damage of a data directory is refused by name or does no harm; nothing damaged is served or taken for absent. Method: a
// share of all bits and all lengths of a small real directory; `npm run test:nightly` takes every one.
import { expect, it } from 'vitest'
import { corruptEverything } from '../../../sim/attack/corruption.ts'

it('refuses or survives every kind of small damage', async () => {
  const result = await corruptEverything({ every: 41 })
  expect(result.violations).toEqual([])
  expect(result.bits).toBeGreaterThan(1_000)
  expect(result.truncations).toBeGreaterThan(100)
  expect(result.reads).toBeGreaterThan(500)
  for (const verdict of ['EC_LOG_DAMAGED', 'harmless']) expect(result.verdicts[verdict], verdict).toBeGreaterThan(0)
})
