/**
 * Makes a failing plan small: takes away operations, faults, servers and differences of delay as long as the same rule is
 * broken. A plan holds every draw of its seed, so each smaller one is a history of its own that can be run again.
 */
import type { Plan, PlannedOperation } from './plan.ts'
import { type RunOptions, runPlan } from './run.ts'

export interface Shrunk {
  readonly plan: Plan
  readonly runs: number
}

export interface ShrinkOptions extends RunOptions {
  readonly runsMax?: number
  readonly milliseconds?: number
  readonly progress?: (plan: Plan, runs: number) => void
}

type Fails = (plan: Plan) => Promise<boolean>

export async function shrink(plan: Plan, rule: string, options: ShrinkOptions = {}): Promise<Shrunk> {
  const { runsMax = 2000, milliseconds = 60_000 } = options
  const end = performance.now() + milliseconds
  let runs = 0
  let best = plan
  const fails: Fails = async (candidate) => {
    if (runs >= runsMax || performance.now() > end) return false
    runs++
    const { violations } = await runPlan(candidate, { ...options, stopEarly: true })
    const isSame = violations.some((violation) => violation.rule === rule)
    if (isSame) {
      best = candidate
      options.progress?.(best, runs)
    }
    return isSame
  }
  for (;;) {
    const before = sizeOf(best)
    await shrinkList(best.faults, (faults) => ({ ...best, faults }), fails)
    await shrinkList(best.operations, (operations) => ({ ...best, operations }), fails)
    await shrinkList(best.deadForGood, (deadForGood) => ({ ...best, deadForGood }), fails)
    for (const server of best.servers) {
      const without = withoutServer(best, server)
      if (without !== null) await fails(without)
    }
    for (const simpler of simplifications(best)) await fails({ ...best, ...simpler })
    if (sizeOf(best) >= before || runs >= runsMax || performance.now() > end) return { plan: best, runs }
  }
}

/** Halves first, then quarters, down to one by one. */
async function shrinkList<T>(list: readonly T[], planWith: (part: readonly T[]) => Plan, fails: Fails): Promise<void> {
  let kept = list
  if (kept.length > 0 && (await fails(planWith([])))) return
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < kept.length; ) {
      const part = [...kept.slice(0, at), ...kept.slice(at + size)]
      if (await fails(planWith(part))) kept = part
      else at += size
    }
  }
}

function simplifications(plan: Plan): Partial<Plan>[] {
  const all: Partial<Plan>[] = []
  const constant = { least: 1, most: 1, tailOneIn: 0, tail: 0, flushLeast: 1, flushMost: 1 }
  if (JSON.stringify(plan.delays) !== JSON.stringify(constant)) all.push({ delays: constant })
  if (plan.disks !== 'records') all.push({ disks: 'records' })
  if (plan.clock !== 'steady') all.push({ clock: 'steady' })
  if (Object.values(plan.drift).some((speed) => speed !== 1)) all.push({ drift: {} })
  const last = Math.max(0, ...plan.operations.map(({ at }) => at), ...plan.faults.map(endOfFault))
  if (last + 50 < plan.healAt) all.push({ healAt: last + 50 })
  if (plan.topic.membersMin > 1) all.push({ topic: { ...plan.topic, membersMin: 1 } })
  return all
}

function endOfFault({ when }: Plan['faults'][number]): number {
  return 'at' in when ? when.at : 0
}

/** Null where the topic, the arbiters or a change name it. */
function withoutServer(plan: Plan, server: string): Plan | null {
  const isNamed = (names: readonly string[]) => names.includes(server)
  if (plan.servers.length <= 3 || isNamed(plan.topic.members) || isNamed(plan.arbiters)) return null
  if (plan.operations.some((one) => one.do === 'reconfigure' && isNamed(one.members))) return null
  const others = (names: readonly string[]) => names.filter((name) => name !== server)
  const operations = plan.operations.map(
    (one): PlannedOperation => (one.do === 'reconfigure' ? { ...one, by: others(one.by) } : one),
  )
  const faults = plan.faults.filter(({ targets }) => !isNamed(targets))
  const { [server]: _gone, ...drift } = plan.drift
  return {
    ...plan,
    servers: others(plan.servers),
    deadForGood: others(plan.deadForGood),
    operations,
    faults,
    drift,
  }
}

function sizeOf(plan: Plan): number {
  const varied = plan.delays.most - plan.delays.least + plan.delays.flushMost - plan.delays.flushLeast
  const odd = Number(plan.disks !== 'records') + Number(plan.clock !== 'steady') + Object.keys(plan.drift).length
  return (
    plan.faults.length * 10 +
    plan.operations.length * 10 +
    plan.servers.length * 5 +
    plan.deadForGood.length * 5 +
    odd +
    varied / 10 +
    plan.healAt / 1000
  )
}
