/**
 * Plants every bug of the table in turn and says which check finds it. `--json` prints one line of JSON in the end,
 * `--only 1,B2` plants some, `--seeds`, `--seconds` and `--workers` bound the search.
 */
import { parseArgs } from 'node:util'
import { type MutantResult, runMutants } from './run.ts'
import { mutants } from './table.ts'

const { values } = parseArgs({
  options: {
    mutants: { type: 'boolean' },
    json: { type: 'boolean', default: false },
    only: { type: 'string' },
    seeds: { type: 'string', default: '20000' },
    seconds: { type: 'string', default: '600' },
    workers: { type: 'string', default: '2' },
  },
})

const only = values.only?.split(',')
const wanted = mutants.filter(({ id }) => only === undefined || only.includes(id))
const unknown = only?.filter((id) => !mutants.some((mutant) => mutant.id === id)) ?? []
if (unknown.length > 0) {
  console.error(`no planted bug is called ${unknown.join(', ')}`)
  process.exit(2)
}
const { results, failing } = await runMutants(wanted, {
  workers: Number(values.workers),
  seedsMax: Number(values.seeds),
  budgetMs: Number(values.seconds) * 1000,
  foundBudgetMs: Math.min(3, Number(values.seconds)) * 1000,
  onResult: (result) => console.log(lineOf(result)),
})

const found = results.filter(({ story, seed }) => story !== null || seed !== null)
const missed = results.filter((result) => !found.includes(result)).map(({ mutant }) => mutant.id)
const seeds = results.flatMap((result) => (result.seed === null ? [] : [result.seeds])).sort((a, b) => a - b)
const summary = {
  planted: results.length,
  found: found.length,
  byRule: found.filter(({ story, seed }) => [story?.check, seed?.check].some((check) => check && check !== 'trace'))
    .length,
  bySeed: seeds.length,
  medianSeeds: seeds[Math.floor(seeds.length / 2)] ?? null,
  missed,
  failing,
}
if (failing.length > 0) console.error(`fails without any planted bug, and is not counted: ${failing.join(', ')}`)
if (values.json) console.log(JSON.stringify(summary))
else console.log(`${summary.found} of ${summary.planted} found, median ${summary.medianSeeds} seeds`)
process.exitCode = missed.length > 0 ? 1 : 0

function lineOf({ mutant, story, seed, seeds: tried, error }: MutantResult): string {
  const told = story === null ? '-' : `${story.check} in ${story.by}`
  const drawn = seed === null ? `- of ${tried}` : `${seed.check} at ${seed.by}`
  const isNamed = [story, seed].some((caught) => caught !== null && mutant.caughtBy.includes(caught.check))
  const mark = story === null && seed === null ? 'MISSED' : isNamed ? 'found' : 'found otherwise'
  const trouble = error === null ? '' : `  (${error})`
  return `${mutant.id.padEnd(4)} ${mark.padEnd(16)} ${told.padEnd(44)} ${drawn.padEnd(22)} ${mutant.title}${trouble}`
}
