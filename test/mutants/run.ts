/** Runs every mutant in a process of its own, a few at a time, and says which check found it. */
import { join } from 'node:path'
import { runChild } from '../../bench/child-process.ts'
import type { Finding } from './finding.ts'
import type { Mutant } from './mutant.ts'
import type { ProbeRequest, ProbeResult } from './probe.ts'
import { root, SourceTree } from './tree.ts'

/** A probe that tells all stories on a busy machine. */
const storiesMs = 300_000

export interface Caught {
  readonly check: string
  /** A story's name, or a seed. */
  readonly by: string
  readonly text: string
}

export interface MutantResult {
  readonly mutant: Mutant
  readonly story: Caught | null
  readonly seed: Caught | null
  /** Seeds that it took, or that were tried in vain. */
  readonly seeds: number
  readonly error: string | null
}

export interface MutantOptions {
  readonly workers: number
  readonly seedsMax: number
  /** For the seeds of one mutant that no story finds, in milliseconds. */
  readonly budgetMs: number
  /** The same for one that a story has found already: the number of seeds is only reported. */
  readonly foundBudgetMs: number
  readonly onResult: (result: MutantResult) => void
}

export interface MutantRun {
  readonly results: readonly MutantResult[]
  /** Stories and seeds that fail without any planted bug: they find nothing. */
  readonly failing: readonly string[]
}

export async function runMutants(mutants: readonly Mutant[], options: MutantOptions): Promise<MutantRun> {
  const tree = new SourceTree()
  const results = new Map<Mutant, MutantResult>()
  const waiting = [...mutants]
  try {
    const unchanged = await start(tree.base, { ...nothing, tellAll: true })
    if (unchanged.error !== null) throw new Error(`without any planted bug: ${unchanged.error}`)
    const skip = unchanged.stories.map(({ name }) => name)
    const badSeeds = new Map<number, boolean>()
    const work = async () => {
      for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
        const result = await probe(tree, mutant, skip, badSeeds, options)
        results.set(mutant, result)
        options.onResult(result)
      }
    }
    await Promise.all(Array.from({ length: options.workers }, work))
    const failing = [...skip, ...[...badSeeds].flatMap(([seed, fails]) => (fails ? [`seed ${seed}`] : []))]
    return { results: mutants.flatMap((mutant) => results.get(mutant) ?? []), failing }
  } finally {
    tree.close()
  }
}

const nothing: ProbeRequest = { root, stories: [], skip: [], tellAll: false, seedsFrom: 1, seedsTo: 0, budgetMs: 0 }

async function probe(
  tree: SourceTree,
  mutant: Mutant,
  skip: readonly string[],
  badSeeds: Map<number, boolean>,
  options: MutantOptions,
): Promise<MutantResult> {
  const folder = tree.copy(mutant.edits)
  try {
    const told = await start(folder, { ...nothing, stories: mutant.stories ?? [], skip })
    const story = best(mutant, told) ?? (await runTests(folder, mutant))
    const budgetMs = story === null ? options.budgetMs : options.foundBudgetMs
    const seeds = await trySeeds(tree, folder, mutant, badSeeds, options.seedsMax, budgetMs)
    return { mutant, story, ...seeds, error: told.error ?? seeds.error }
  } finally {
    tree.drop(folder)
  }
}

/** The first seed that fails with the planted bug, and not without it. */
async function trySeeds(
  tree: SourceTree,
  folder: string,
  mutant: Mutant,
  badSeeds: Map<number, boolean>,
  seedsTo: number,
  budgetMs: number,
): Promise<Pick<MutantResult, 'seed' | 'seeds' | 'error'>> {
  const deadline = performance.now() + budgetMs
  for (let from = 1; ; ) {
    const left = deadline - performance.now()
    if (from > seedsTo || left <= 0) return { seed: null, seeds: from - 1, error: null }
    const {
      seed,
      seedsTo: last,
      error,
    } = await start(folder, { ...nothing, tell: false, seedsFrom: from, seedsTo, budgetMs: left })
    if (seed === null) return { seed: null, seeds: last, error }
    if (!badSeeds.has(seed.seed)) {
      const unchanged = { ...nothing, tell: false, seedsFrom: seed.seed, seedsTo: seed.seed, budgetMs: storiesMs }
      badSeeds.set(seed.seed, (await start(tree.base, unchanged)).seed !== null)
    }
    if (badSeeds.get(seed.seed) !== true) {
      const { check, text } = chosen(mutant, seed.findings)
      return { seed: { check, by: `seed ${seed.seed}`, text }, seeds: seed.seed, error: null }
    }
    from = seed.seed + 1
  }
}

async function start(folder: string, request: ProbeRequest): Promise<ProbeResult> {
  const script = join(folder, 'test/mutants/probe.js')
  const timeout = Math.round(request.budgetMs) + storiesMs
  const ended = await runChild(process.execPath, [script, JSON.stringify(request)], { timeout })
  if (ended.code === 0) return JSON.parse(ended.stdout.trim().split('\n').at(-1) ?? '')
  const error = `the probe did not end by itself (${ended.signal ?? ended.code}): ${ended.stderr.slice(0, 500)}`
  return { stories: [], seed: null, seedsTo: request.seedsFrom - 1, error }
}

/** The tests of a bug that is out of reach for stories, run on the copy that holds it. */
async function runTests(folder: string, { tests = [] }: Mutant): Promise<Caught | null> {
  for (const test of tests) {
    const args = [join(root, 'node_modules/vitest/vitest.mjs'), 'run', '--root', folder, '--maxWorkers=1', '--bail=1']
    const include = test.replace(/\.ts$/, '.js')
    const { code, signal, stdout, stderr } = await runChild(process.execPath, [...args, include], {
      cwd: folder,
      timeout: storiesMs,
      env: { ...process.env, NO_COLOR: '1' },
    })
    if (code === 0) continue
    const said = `${stderr}${stdout}`
    if (!/FAIL|Test Files +\d+ failed/.test(said)) throw new Error(`${test} (${signal ?? code}): ${said.slice(0, 500)}`)
    return { check: 'test', by: test, text: /FAIL +(.*)/.exec(said)?.[1] ?? said.slice(0, 200) }
  }
  return null
}

/** A story in which a rule speaks, else one with another trace. */
function best(mutant: Mutant, { stories }: ProbeResult): Caught | null {
  const isSaid = ({ findings }: ProbeResult['stories'][number]) => findings.some(({ check }) => check !== 'trace')
  const story = stories.find(isSaid) ?? stories[0]
  if (story === undefined) return null
  const { check, text } = chosen(mutant, story.findings)
  return { check, by: story.name, text }
}

/** The check that was named in advance where it is among them, else the first one. */
function chosen(mutant: Mutant, findings: readonly Finding[]): Finding {
  const named = findings.find(({ check }) => check !== 'trace' && mutant.caughtBy.includes(check))
  return named ?? findings.find(({ check }) => check !== 'trace') ?? findings[0] ?? { check: '?', text: '' }
}
