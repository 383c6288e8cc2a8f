/**
 * All servers are killed at once, again and again, under load: topics of every mode and order, of one to three members, with
 * publishers, readers, gets and groups that stay attached. What acknowledged messages became is checked all the time; a call
 * without an answer 30 s after the last restart ends the run.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChildProcess, startChild } from '../../../bench/child-process.ts'
import type { Random } from '../../../proto/machine/ports.ts'
import { seededRandom } from '../../seeded-random.ts'
import { ProcessCluster, type TopicPlan } from '../process-cluster.ts'
import { between } from '../rig.ts'
import type { ServerProcess } from '../server-process.ts'
import { Attendants } from './attendants.ts'
import { Calls } from './calls.ts'
import { Ledger } from './ledger.ts'
import { type Kind, kinds, Verdict } from './verdict.ts'

export interface KillAllOptions {
  readonly cycles: number
  readonly seed: number
  readonly folder: string
  /** Processes that do nothing but keep the processors busy. */
  readonly burners: number
  /** Moment after which no cycle begins, of `performance.now()`. */
  readonly deadline: number
  progress(text: string): void
}

export interface KillAllReport extends Readonly<Record<Kind, number>> {
  readonly cycles: number
  readonly acked: number
  readonly recoveryMs: { readonly p50: number; readonly max: number }
  /** The step that the slowest recovery waited for. */
  readonly slowest: string
  readonly seconds: number
  readonly seed: number
  readonly descriptions: readonly string[]
}

const stuckAfterMs = 30_000
const killAfterMs = { from: 30, to: 400 }
const startsApartMs = 300
/** Of ten cycles, so many are killed again while they recover. */
const killedAgainOfTen = 3
const killedAgainWithinMs = 900
const lateReaderEveryCycles = 20
const watchEveryMs = 200

const offered = ['fifo', 'causal', 'total'] as const

/** One topic for each mode and order; the first of each mode has a group. */
const plans: readonly TopicPlan[] = [
  { mode: 'single', members: ['c'] } as const,
  { mode: 'fault-recovery', members: ['a', 'b'] } as const,
  { mode: 'fault-masking', members: ['a', 'b', 'c'] } as const,
].flatMap(({ mode, members }) => offered.map((order) => ({ name: `${mode}-${order}`, mode, members, order })))

export async function killAllAgainAndAgain(options: KillAllOptions): Promise<KillAllReport> {
  const run = new KillAllRun(options)
  const burners = Array.from({ length: options.burners }, burn)
  const began = performance.now()
  try {
    await run.go()
  } finally {
    for (const burner of burners) burner.kill('SIGKILL')
    await run.close()
  }
  return run.report(Math.round((performance.now() - began) / 1_000))
}

/** A recovery that takes longer is told with its last steps. */
const slowMs = 5_000
const slowSteps = 6

class KillAllRun {
  readonly #options: KillAllOptions
  readonly #random: Random
  readonly #verdict = new Verdict()
  readonly #calls = new Calls()
  readonly #recoveries: number[] = []
  readonly #attendants: Attendants[] = []
  #cluster: ProcessCluster | null = null
  #cycles = 0
  #acknowledged = 0
  /** Moment of the last start of a server process. */
  #lastRestart = 0
  /** The last step of the slowest recovery. */
  #slowest = ''
  #failure: unknown = null

  constructor(options: KillAllOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
  }

  async go(): Promise<void> {
    const { folder, cycles, deadline, progress } = this.#options
    const cluster = await ProcessCluster.plan({ folder, topics: plans })
    this.#cluster = cluster
    await cluster.start()
    this.#lastRestart = performance.now()
    for (const plan of plans) {
      const attendants = new Attendants({
        ...{ plan, url: cluster.url, calls: this.#calls, ledger: new Ledger(plan.name, this.#verdict) },
        hasGroup: plan.order === 'fifo',
        onAcknowledged: () => {
          this.#acknowledged++
        },
        onFailure: (error) => {
          this.#failure ??= error
        },
      })
      this.#attendants.push(attendants)
      await attendants.start()
    }
    await this.#bounded(this.#recover())
    while (this.#cycles < cycles && performance.now() < deadline && this.#isWell) {
      await this.#bounded(this.#cycle(cluster))
      this.#cycles++
      progress(`kill-all ${this.#cycles}/${cycles}, ${this.#acknowledged} acknowledged`)
    }
    if (this.#isWell) await this.#bounded(this.#finish())
    if (this.#failure !== null) this.#verdict.add('unanswered', describe(this.#failure))
    const text = this.#verdict.descriptions.join('\n')
    if (!this.#verdict.isClean) writeFileSync(join(folder, 'problems.txt'), `${text}\n`)
  }

  async close(): Promise<void> {
    await Promise.all(this.#attendants.map((one) => one.close().catch(() => {})))
    for (const { what } of this.#calls.open) this.#verdict.add('unanswered', `${what}, after the client was closed`)
    await this.#cluster?.kill()
  }

  report(seconds: number): KillAllReport {
    const sorted = this.#recoveries.toSorted((one, other) => one - other)
    const at = (share: number) => Math.round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0)
    const counts = Object.fromEntries(kinds.map((kind) => [kind, this.#verdict.counts[kind]])) as Record<Kind, number>
    return {
      cycles: this.#cycles,
      acked: this.#acknowledged,
      ...counts,
      recoveryMs: { p50: at(0.5), max: at(1) },
      slowest: this.#slowest,
      seconds,
      seed: this.#options.seed,
      descriptions: this.#verdict.descriptions,
    }
  }

  get #isWell(): boolean {
    return this.#verdict.isClean && this.#failure === null
  }

  async #cycle(cluster: ProcessCluster): Promise<void> {
    const { servers } = cluster
    const acknowledged = this.#acknowledged
    while (this.#acknowledged === acknowledged && this.#isWell) await sleep(5)
    await between(this.#random, killAfterMs.from, killAfterMs.to)
    await this.#killAndStart([...servers.values()])
    if (this.#random.below(10) < killedAgainOfTen) {
      await between(this.#random, 0, killedAgainWithinMs)
      await this.#killAndStart([...servers.values()])
    }
    // Half of the cycles wait for nothing but the next acknowledgement: what has not recovered by then is killed again.
    if (this.#random.below(2) === 0) await this.#recover()
    if (this.#cycles % lateReaderEveryCycles === lateReaderEveryCycles - 1)
      await Promise.all(this.#attendants.map((one) => one.readFromStart()))
    cluster.mustBeWell()
  }

  async #killAndStart(servers: ServerProcess[]): Promise<void> {
    await Promise.all(servers.map((server) => server.kill()))
    const waiting = [...servers]
    while (waiting.length > 0) {
      const [server] = waiting.splice(this.#random.below(waiting.length), 1)
      this.#lastRestart = performance.now()
      void server?.launch()
      if (waiting.length > 0) await between(this.#random, 0, startsApartMs)
    }
  }

  /** Until every topic acknowledges, gives its readers what it acknowledged, and answers a get. */
  async #recover(): Promise<void> {
    const from = this.#lastRestart
    const steps: string[] = []
    const onStep = (step: string) => steps.push(`${step} ${Math.round(performance.now() - from)} ms`)
    await Promise.all(this.#attendants.map((one) => one.probe(onStep)))
    const took = performance.now() - from
    if (took > Math.max(0, ...this.#recoveries)) this.#slowest = `cycle ${this.#cycles + 1}: ${steps.at(-1)}`
    if (took > slowMs)
      this.#options.progress(`slow recovery in cycle ${this.#cycles + 1}: ${steps.slice(-slowSteps).join(', ')}`)
    this.#recoveries.push(took)
  }

  async #finish(): Promise<void> {
    for (const one of this.#attendants) one.stopPublishing()
    while (this.#calls.open.size > 0 && [...this.#calls.open].some(({ what }) => what.includes('publish')))
      await sleep(20)
    await Promise.all(this.#attendants.map((one) => one.finish()))
  }

  /** Does something that ends early when a call is stuck. */
  async #bounded(work: Promise<void>): Promise<void> {
    const end = { isOver: false }
    const guarded = work.then(
      () => {
        end.isOver = true
      },
      (error: unknown) => {
        end.isOver = true
        this.#failure ??= error
      },
    )
    while (!end.isOver && this.#failure === null) {
      await Promise.race([guarded, sleep(watchEveryMs)])
      for (const { what } of this.#calls.overdue(this.#lastRestart, stuckAfterMs)) this.#verdict.add('stuck', what)
      if (this.#verdict.counts.stuck > 0) return
    }
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

/** A process that computes until it is killed. */
function burn(): ChildProcess {
  return startChild(process.execPath, ['-e', 'for (;;);'], { stdio: ['ignore', 'ignore', 'ignore'] })
}
