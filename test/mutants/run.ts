/** Runs every mutant in a process of its own, two at a time, and says which check found it. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Finding } from './finding.ts'
import type { Mutant } from './mutant.ts'
import type { ProbeRequest, ProbeResult } from './probe.ts'
import { root, SourceTree } from './tree.ts'

const run = promisify(execFile)

export interface MutantResult {
  readonly mutant: Mutant
  /** The check that saw it first in a story, and where; null when no story did. */
  readonly story: { readonly check: string; readonly name: string; readonly text: string } | null
  readonly seed: { readonly check: string; readonly seed: number; readonly text: string } | null
  readonly seeds: number
  readonly error: string | null
}

export interface MutantOptions {
  readonly workers: number
  readonly seedsMax: number
  /** For one mutant, in milliseconds. */
  readonly budgetMs: number
  /** The same for one that a story has found already: its seeds are only counted. */
  readonly foundBudgetMs: number
  readonly onResult: (result: MutantResult) => void
}

export async function runMutants(mutants: readonly Mutant[], options: MutantOptions): Promise<MutantResult[]> {
  const tree = new SourceTree()
  const results = new Map<Mutant, MutantResult>()
  const waiting = [...mutants]
  const work = async () => {
    for (let mutant = waiting.shift(); mutant !== undefined; mutant = waiting.shift()) {
      const result = await probe(tree, mutant, options)
      results.set(mutant, result)
      options.onResult(result)
    }
  }
  try {
    await Promise.all(Array.from({ length: options.workers }, work))
  } finally {
    tree.close()
  }
  return mutants.flatMap((mutant) => results.get(mutant) ?? [])
}

/** What the stories and the seeds say about the source as it is: nothing, or every finding is worthless. */
export async function runUnchanged(options: MutantOptions): Promise<MutantResult> {
  const unchanged: Mutant = { id: '0', title: 'no bug', edits: [], caughtBy: [] }
  const tree = new SourceTree()
  try {
    return await probe(tree, unchanged, options)
  } finally {
    tree.close()
  }
}

async function probe(tree: SourceTree, mutant: Mutant, options: MutantOptions): Promise<MutantResult> {
  const folder = tree.copy(mutant.edits)
  const { seedsMax, budgetMs, foundBudgetMs } = options
  const stories = mutant.stories ?? []
  try {
    const first = await start(folder, { root, stories, allStories: true, seedsMax: 0, budgetMs })
    const budget = first.story === null ? budgetMs : foundBudgetMs
    const second = await start(folder, { root, stories: [], allStories: false, seedsMax, budgetMs: budget })
    return {
      mutant,
      story: first.story && { name: first.story.name, ...chosen(mutant, first.story.findings) },
      seed: second.seed && { seed: second.seed.seed, ...chosen(mutant, second.seed.findings) },
      seeds: second.seeds,
      error: first.error ?? second.error,
    }
  } finally {
    tree.drop(folder)
  }
}

async function start(folder: string, request: ProbeRequest): Promise<ProbeResult> {
  const script = join(folder, 'test/mutants/probe.js')
  const timeout = request.budgetMs + 60_000
  try {
    const { stdout } = await run(process.execPath, [script, JSON.stringify(request)], { timeout, maxBuffer: 2 ** 26 })
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
  } catch (error) {
    return {
      story: null,
      seed: null,
      seeds: 0,
      error: `the probe did not end by itself: ${String(error).slice(0, 500)}`,
    }
  }
}

/** The check that was named in advance where it is among them, else the first one. */
function chosen(mutant: Mutant, findings: readonly Finding[]): Finding {
  const named = findings.find(({ check }) => mutant.caughtBy.includes(check))
  return named ?? findings.find(({ check }) => check !== 'trace') ?? findings[0] ?? { check: '?', text: '' }
}
