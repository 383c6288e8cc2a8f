/** Runs classes of faults, each on clusters of its own, and counts. */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { seededRandom } from '../seeded-random.ts'
import type { FaultClass, FaultContext } from './faults/fault-class.ts'
import type { Rig } from './rig.ts'

export interface ClassResult {
  readonly name: string
  readonly family: string
  readonly planned: number
  done: number
  /** Why nothing was done, or null. */
  skipped: string | null
  /** What else happened so often. */
  readonly reached: Record<string, number>
  acknowledged: number
  /** Gets, deliveries and outcomes that were compared. */
  observed: number
  readonly violations: string[]
  readonly evidence: string[]
  seconds: number
}

export interface RunOptions {
  readonly folder: string
  readonly seed: number
  readonly keep: boolean
  /** Moment after which nothing new is begun. */
  readonly deadline: number
  progress(text: string): void
}

const violatedClustersMax = 3

export async function runClass(of: FaultClass, planned: number, options: RunOptions): Promise<ClassResult> {
  const began = performance.now()
  const result: ClassResult = {
    name: of.name,
    family: of.family,
    planned,
    done: 0,
    skipped: of.missing(),
    reached: {},
    acknowledged: 0,
    observed: 0,
    violations: [],
    evidence: [],
    seconds: 0,
  }
  const random = seededRandom(options.seed + hash(of.name))
  for (let cluster = 0; result.skipped === null && result.done < planned; cluster++) {
    if (performance.now() > options.deadline || result.evidence.length >= violatedClustersMax) break
    const folder = join(options.folder, `${of.name}-${cluster}`)
    mkdirSync(folder, { recursive: true })
    const reached = (what: string, count = 1) => {
      result.reached[what] = (result.reached[what] ?? 0) + count
    }
    await runCluster(of, result, { folder, random, reached }, options)
    if (result.violations.length > 0) break
  }
  result.seconds = (performance.now() - began) / 1000
  return result
}

async function runCluster(
  of: FaultClass,
  result: ClassResult,
  context: FaultContext,
  options: RunOptions,
): Promise<void> {
  const { folder } = context
  let made: { rig: Rig; release(): void } | null = null
  const problems: string[] = []
  try {
    made = await of.prepare(context)
    const { rig } = made
    const end = Math.min(result.planned, result.done + of.perCluster)
    while (result.done < end && performance.now() < options.deadline) {
      result.done += await of.once(rig, context, end - result.done)
      options.progress(`${of.name} ${result.done}/${result.planned}, ${rig.workload.acknowledged} acknowledged here`)
    }
    problems.push(...(await rig.finish()))
  } catch (error) {
    problems.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  if (made !== null) {
    result.acknowledged += made.rig.workload.acknowledged
    result.observed += made.rig.workload.history.length
    await made.rig.killAll()
    if (problems.length > 0 || options.keep) made.rig.keepHistory(problems)
  }
  if (problems.length > 0) {
    result.violations.push(...problems)
    result.evidence.push(folder)
  } else {
    made?.release()
    if (!options.keep) rmSync(folder, { recursive: true, force: true })
  }
}

function hash(text: string): number {
  let value = 0
  for (let at = 0; at < text.length; at++) value = (Math.imul(value, 31) + text.charCodeAt(at)) >>> 0
  return value
}
