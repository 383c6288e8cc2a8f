// Goal: every planted bug fits the source as it is now, none of them is in what is built, and the checks find bugs.
// Method: each edit is tried on its file; the stories are told to the source without a bug; a few bugs are planted. All of them:
// `npm run -s sim -- --mutants --json`.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runScenario } from '../harness/scenario.ts'
import { parseScenario } from '../harness/scenario-file.ts'
import { share } from '../volume.ts'
import { applyEdits } from './mutant.ts'
import { runMutants } from './run.ts'
import { probeScenario } from './scenario-probe.ts'
import { mutants } from './table.ts'
import { root } from './tree.ts'

describe('planted bugs', () => {
  it('are at least fifty, each with a name of its own and the checks that are to find it', () => {
    expect(mutants.length).toBeGreaterThanOrEqual(50)
    expect(new Set(mutants.map(({ id }) => id)).size).toBe(mutants.length)
    expect(mutants.filter(({ caughtBy }) => caughtBy.length === 0)).toEqual([])
  })

  for (const { id, title, edits } of mutants) {
    it(`${id} fits the source: ${title}`, () => {
      for (const file of new Set(edits.map((edit) => edit.file))) {
        const text = readFileSync(join(root, file), 'utf8')
        expect(applyEdits(file, text, edits)).not.toBe(text)
      }
    })
  }

  it('are in nothing that is built', () => {
    const { include } = JSON.parse(readFileSync(join(root, 'tsconfig.build.json'), 'utf8'))
    expect(include).not.toContain('test')
    const dist = join(root, 'dist')
    if (!existsSync(dist)) return
    const built = readdirSync(dist, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'))
    expect(built.filter((name) => /(^|[\\/])mutants?[\\/.]/.test(name))).toEqual([])
    for (const name of built) expect(readFileSync(join(dist, name), 'utf8')).not.toMatch(/MUTANT/)
  })
})

describe('stories of planted bugs', () => {
  const folder = join(import.meta.dirname, 'stories')
  for (const name of readdirSync(folder))
    it(name.slice(0, -'.txt'.length), () => {
      const path = join(folder, name)
      expect(probeScenario(path)).toEqual([])
      expect(runScenario(parseScenario(readFileSync(path, 'utf8'))).idle).toEqual([])
    })
})

describe('the checks', () => {
  it('find what is planted', { timeout: 600_000 }, async () => {
    const planted = share(
      [
        ['4', 'I8'],
        ['D8', 'I5'],
        ['46', 'I8'],
      ],
      3,
    )
    const some = mutants.filter(({ id }) => planted.some(([one]) => one === id))
    const options = { workers: 1, seedsMax: 0, budgetMs: 0, foundBudgetMs: 0, onResult: () => {} }
    const { results } = await runMutants(some, options)
    expect(results.map(({ mutant, story }) => [mutant.id, story?.check])).toEqual(planted)
  })
})
