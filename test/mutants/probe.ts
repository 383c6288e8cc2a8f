/**
 * Runs in a process of its own, from a compiled copy of the source that holds one planted bug: tells the stories, then tries
 * seeds, until a check speaks. Prints one line of JSON.
 */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Finding } from './finding.ts'
import { probeLog } from './log-probe.ts'
import { probeScenario } from './scenario-probe.ts'
import { probeSeed } from './seed-probe.ts'

export interface ProbeRequest {
  /** Root of the repository, where the stories are. */
  readonly root: string
  readonly stories: readonly string[]
  /** Tries all stories, not only those that are named. */
  readonly allStories: boolean
  readonly seedsMax: number
  readonly budgetMs: number
}

export interface ProbeResult {
  readonly story: { readonly name: string; readonly findings: readonly Finding[] } | null
  readonly seed: { readonly seed: number; readonly findings: readonly Finding[] } | null
  /** Seeds that were run. */
  readonly seeds: number
  readonly error: string | null
}

const logSeeds = 2_000

async function main(request: ProbeRequest): Promise<ProbeResult> {
  const deadline = performance.now() + request.budgetMs
  const story = await tellStories(request)
  let seeds = 0
  for (; seeds < request.seedsMax && performance.now() < deadline; ) {
    const findings = await probeSeed(++seeds)
    if (findings.length > 0) return { story, seed: { seed: seeds, findings }, seeds, error: null }
  }
  return { story, seed: null, seeds, error: null }
}

async function tellStories(request: ProbeRequest): Promise<ProbeResult['story']> {
  const { root, stories, allStories } = request
  const folders = [join(root, 'test/mutants/stories'), join(root, 'test/scenarios')]
  const others = folders.flatMap((folder) => readdirSync(folder).filter((name) => name.endsWith('.txt')))
  const names = [...stories, ...(allStories ? others.map((name) => name.slice(0, -'.txt'.length)) : [])]
  let traced: ProbeResult['story'] = null
  for (const name of new Set(names)) {
    const findings = name === 'log' ? await tellLog() : tellScenario(folders, name)
    // What a rule says counts for more than a trace that is another one.
    if (findings.some(({ check }) => check !== 'trace')) return { name, findings }
    if (findings.length > 0) traced ??= { name, findings }
  }
  return traced
}

function tellScenario(folders: readonly string[], name: string): readonly Finding[] {
  const path = folders.map((folder) => join(folder, `${name}.txt`)).find((one) => existsSync(one))
  if (path === undefined) throw new Error(`no story is called ${name}`)
  try {
    return probeScenario(path)
  } catch (error) {
    return [{ check: 'stop error', text: String(error) }]
  }
}

async function tellLog(): Promise<readonly Finding[]> {
  for (let seed = 1; seed <= logSeeds; seed++) {
    const finding = await probeLog(seed)
    if (finding !== null) return [{ ...finding, text: `disk ${seed}: ${finding.text}` }]
  }
  return []
}

const request: ProbeRequest = JSON.parse(process.argv[2] ?? '{}')
const failed = (error: unknown): ProbeResult => ({ story: null, seed: null, seeds: 0, error: String(error) })
const result = await main(request).catch(failed)
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
