// Goal: in a small cast every order of arrival keeps the rules, and planted bugs of the protocol are refuted.
// Method: a slice of `npm run -s sim -- --explore --json`: small bounds, a few planted bugs.
import { afterAll, describe, expect, it } from 'vitest'
import { mutants } from '../mutants/table.ts'
import { isLong, share } from '../volume.ts'
import { refuted } from './refuted.ts'
import { Explorations } from './run.ts'

const explorations = new Explorations()
afterAll(() => explorations.close())

describe('exploration', { timeout: 600_000 }, () => {
  it('finds nothing in the source as it is', async () => {
    const bounds = { scopes: [], statesMax: isLong ? 5_000 : 1_500, budgetMs: 500_000 }
    const found = await explorations.explore(bounds)
    expect(found.map(({ violation }) => violation)).toEqual(found.map(() => null))
    for (const { states } of found) expect(states).toBeGreaterThan(1_000)
  })

  for (const id of share(['3', '4', 'B1'], 3)) {
    it(`refutes the planted bug ${id}`, async () => {
      const scope = refuted.find(([one]) => one === id)?.[1] ?? ''
      const edits = mutants.find((mutant) => mutant.id === id)?.edits ?? []
      const bounds = { scopes: [scope], statesMax: 200_000, budgetMs: 500_000 }
      const [found] = await explorations.explore(bounds, edits)
      expect(found?.violation).not.toBe(null)
    })
  }

  it('names planted bugs that exist', () => {
    const ids = mutants.map(({ id }) => id)
    expect(refuted.filter(([id]) => !ids.includes(id))).toEqual([])
  })
})
