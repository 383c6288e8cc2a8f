// Goal: protocol behaviour as stories that people can read. Method: every file of test/scenarios is run in a world of its own
// and compared with what it expects; REWRITE=1 writes what happened instead, and that diff is reviewed like code.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runScenario } from './harness/scenario.ts'
import { formatScenario, parseScenario } from './harness/scenario-file.ts'

const folder = join(import.meta.dirname, 'scenarios')
const rewrites = process.env.REWRITE === '1'

describe('scenarios', () => {
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.txt'))) {
    const path = join(folder, name)
    const text = readFileSync(path, 'utf8')
    const file = parseScenario(text)
    // An open one says what should be; it fails until that is so, and then its mark has to go.
    const test = file.open === null || rewrites ? it : it.fails
    test(name.slice(0, -'.txt'.length), () => {
      const happened = formatScenario(runScenario(file).file)
      if (rewrites && file.open === null) writeFileSync(path, happened)
      else expect(happened).toBe(text)
    })
  }
})
