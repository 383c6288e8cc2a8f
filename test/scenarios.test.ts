// Goal: protocol behaviour as stories that people can read. Method: every file of test/scenarios is run in a world of its own
// and compared with what it expects; REWRITE=1 writes what happened instead, and that diff is reviewed like code.
// A command that does nothing fails, whatever is expected of it.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runScenario } from './harness/scenario.ts'
import { formatScenario, parseScenario } from './harness/scenario-file.ts'

const folder = join(import.meta.dirname, 'scenarios')
const rewrites = process.env.REWRITE === '1'

const idleOne = `cluster servers=1,2,3,4 arbiters=1,2,3
topic t mode=fault-masking members=1,2,3
client x
add client=x value=a
replay kind=collect,batch
hold kind=wedge
release kind=wedge
drop kind=batch,accept from=4
crash server=1 before=staged
restart 1
heal
clear
----
`

it('a command that does nothing is named', () => {
  expect(runScenario(parseScenario(idleOne)).idle).toEqual([
    'replay kind=collect,batch (collect)',
    'release kind=wedge',
    'restart 1',
    'heal',
    'hold kind=wedge (wedge)',
    'drop kind=batch,accept from=4 (batch)',
    'drop kind=batch,accept from=4 (accept)',
    'crash server=1 before=staged',
  ])
})

describe('scenarios', () => {
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.txt'))) {
    const path = join(folder, name)
    const text = readFileSync(path, 'utf8')
    const file = parseScenario(text)
    // An open one says what should be; it fails until that is so, and then its mark has to go.
    const test = file.open === null || rewrites ? it : it.fails
    test(name.slice(0, -'.txt'.length), () => {
      const run = runScenario(file)
      const happened = formatScenario(run.file)
      if (rewrites && file.open === null) writeFileSync(path, happened)
      else expect(happened).toBe(text)
      expect(run.idle).toEqual([])
    })
  }
})
