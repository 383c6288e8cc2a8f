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
  /** Told first. */
  readonly stories: readonly string[]
  /** Not told: they fail without any planted bug. */
  readonly skip: readonly string[]
  /** False: seeds alone. */
  readonly tell?: boolean
  /** Tells all stories to their end instead of stopping at the first that fails. */
  readonly tellAll: boolean
  readonly seedsFrom: number
  readonly seedsTo: number
  readonly budgetMs: number
}

export interface StoryResult {
  readonly name: string
  readonly findings: readonly Finding[]
}

export interface ProbeResult {
  readonly stories: readonly StoryResult[]
  readonly seed: { readonly seed: number; readonly findings: readonly Finding[] } | null
  /** The last seed that was run. */
  readonly seedsTo: number
  readonly error: string | null
}

const logSeeds = 2_000

async function main(request: ProbeRequest): Promise<ProbeResult> {
  const stories = request.tell === false ? [] : await tellStories(request)
  const deadline = performance.now() + request.budgetMs
  let seed = request.seedsFrom - 1
  while (seed < request.seedsTo && performance.now() < deadline) {
    const findings = await probeSeed(++seed)
    if (findings.length > 0) return { stories, seed: { seed, findings }, seedsTo: seed, error: null }
  }
  return { stories, seed: null, seedsTo: seed, error: null }
}

async function tellStories({ root, stories, skip, tellAll }: ProbeRequest): Promise<StoryResult[]> {
  const folders = [join(root, 'test/mutants/stories'), join(root, 'test/scenarios')]
  const files = folders.flatMap((folder) => readdirSync(folder).filter((name) => name.endsWith('.txt')))
  const names = new Set([...stories, ...files, ...(tellAll ? ['log'] : [])].map(withoutEnding))
  const found: StoryResult[] = []
  for (const name of names) {
    if (skip.includes(name)) continue
    const findings = name === 'log' ? await tellLog() : tellScenario(folders, name)
    if (findings.length > 0) found.push({ name, findings })
    // What a rule says counts for more than a trace that is another one.
    if (!tellAll && findings.some(({ check }) => check !== 'trace')) break
  }
  return found
}

function withoutEnding(name: string): string {
  return name.endsWith('.txt') ? name.slice(0, -'.txt'.length) : name
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
const failed = (error: unknown): ProbeResult => ({ stories: [], seed: null, seedsTo: 0, error: String(error) })
const result = await main(request).catch(failed)
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
