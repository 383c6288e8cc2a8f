/**
 * Explores every scope, then every planted bug within reach. `--json` prints one line of JSON in the end; `--scopes a,b` and
 * `--states`, `--seconds` bound it; `--refute none` leaves the planted bugs out, `--refute 13,D2` takes some.
 */
import { parseArgs } from 'node:util'
import { mutants } from '../mutants/table.ts'
import type { Exploration } from './explorer.ts'
import { refuted } from './refuted.ts'
import { Explorations } from './run.ts'

const { values } = parseArgs({
  options: {
    explore: { type: 'boolean' },
    json: { type: 'boolean', default: false },
    scopes: { type: 'string', default: '' },
    states: { type: 'string', default: '1500000' },
    seconds: { type: 'string', default: '120' },
    refute: { type: 'string', default: 'all' },
  },
})

const explorations = new Explorations()
const bounds = { statesMax: Number(values.states), budgetMs: Number(values.seconds) * 1000 }
const found: Exploration[] = []
const survived: string[] = []
let planted = 0
try {
  const names = values.scopes.split(',').filter((name) => name !== '')
  if (names[0] !== 'none') found.push(...(await explorations.explore({ scopes: names, ...bounds })))
  for (const one of found) console.log(lineOf(one))
  const ids = values.refute.split(',')
  for (const [id, scope] of refuted) {
    const mutant = mutants.find((one) => one.id === id)
    if (mutant === undefined) throw new Error(`no planted bug is called ${id}`)
    if (!ids.includes('all') && !ids.includes(id)) continue
    planted++
    const [one] = await explorations.explore({ scopes: [scope], ...bounds }, mutant.edits)
    if (one?.violation == null) survived.push(id)
    console.log(`${id.padEnd(4)} ${one?.violation == null ? 'NOT REFUTED' : 'refuted'} ${mutant.title}`)
    if (one !== undefined) console.log(`     ${lineOf(one)}`)
  }
} finally {
  explorations.close()
}
const violations = found.filter(({ violation }) => violation !== null)
const summary = {
  scopes: found.length,
  states: found.reduce((sum, { states }) => sum + states, 0),
  largest: found.reduce((largest, { states }) => Math.max(largest, states), 0),
  exhausted: found.filter(({ exhausted }) => exhausted).map(({ scope }) => scope),
  violations: violations.length,
  planted,
  refuted: planted - survived.length,
  survived,
}
if (values.json) console.log(JSON.stringify(summary))
process.exitCode = violations.length > 0 || survived.length > 0 ? 1 : 0

function lineOf({ scope, states, depth, exhausted, machineRuns, seconds, violation }: Exploration): string {
  const rate = Math.round(states / Math.max(0.1, seconds))
  const whole = exhausted ? 'exhausted' : 'bounded'
  const head = `${scope.padEnd(16)} ${states} states to depth ${depth}, ${whole}, ${machineRuns} runs of a machine, ${seconds} s, ${rate} states/s`
  return violation === null ? head : `${head}\n     ${violation.text}\n     ${violation.trace.join('; ')}`
}
