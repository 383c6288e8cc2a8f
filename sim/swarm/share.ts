/** One share of a batch: some seeds in a row, some of them twice. */
import type { FaultId } from './fault-classes.ts'
import { type RunOptions, runSeed, type Verdict } from './run.ts'
import { addWork, noWork, type Work } from './work.ts'

export interface Order {
  readonly from: number
  readonly to: number
  readonly without: readonly FaultId[]
}

export interface FailedSeed {
  readonly seed: number
  readonly rule: string
  readonly text: string
}

export interface Share {
  readonly seeds: number
  readonly compared: number
  readonly events: number
  readonly work: Work
  /** Time of processors that this process took for it, compilation and garbage collection included, in milliseconds. */
  readonly cpuMs: number
  readonly failures: readonly FailedSeed[]
  readonly reached: readonly (readonly [FaultId, number])[]
}

/** One seed in so many runs twice. */
const comparedOneIn = 100

export async function runShare({ from, to, without }: Order): Promise<Share> {
  const options: RunOptions = { without: new Set(without) }
  const failures: FailedSeed[] = []
  const reached = new Map<FaultId, number>()
  const began = process.cpuUsage()
  let events = 0
  const work = noWork()
  let compared = 0
  for (let seed = from; seed < to; seed++) {
    const isCompared = seed % comparedOneIn === 0
    const verdict = await runSeed(seed, { ...options, digest: isCompared })
    events += verdict.events
    addWork(work, verdict.work)
    for (const [id, count] of verdict.reached) reached.set(id, (reached.get(id) ?? 0) + count)
    const failure = failureOf(verdict)
    if (failure !== null) failures.push(failure)
    if (!isCompared) continue
    const again = await runSeed(seed, { ...options, digest: true })
    if (again.digest === verdict.digest) compared++
    else failures.push({ seed, rule: 'ONE', text: 'the same seed gave two histories' })
  }
  const { user, system } = process.cpuUsage(began)
  return { seeds: to - from, compared, events, work, cpuMs: (user + system) / 1000, failures, reached: [...reached] }
}

export function failureOf({ seed, violations }: Verdict): FailedSeed | null {
  const [first] = violations
  return first === undefined ? null : { seed, rule: first.rule, text: first.text }
}
