import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import type { BatchResult } from '../../../sim/swarm/batch.ts'
import type { FaultId } from '../../../sim/swarm/fault-classes.ts'
import type { Plan } from '../../../sim/swarm/plan.ts'
import { bad, toPath, wholeNumber } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { exitCodes } from '../failure.ts'
import { packageVersion } from '../version.ts'

interface SimOptions {
  readonly seeds?: number
  readonly from?: number
  readonly seed?: number
  readonly seconds?: number
  readonly jobs?: number
  readonly replay?: string
  readonly save?: string
  readonly without?: string
  readonly shrink: boolean
  readonly trace?: boolean
  readonly mutants?: boolean
  readonly only?: string
  readonly diagram?: 'text' | 'mermaid'
}

const seedsMax = 1_000_000_000
const seedsDefault = 1_000

export function addSim(program: Command): void {
  const command = program
    .command('sim')
    .summary('simulate clusters under faults and check every rule')
    .description(
      'Runs whole clusters in virtual time, the servers, clients and log of this version, over a network and disks that ' +
        'fail in every way that a seed draws, and checks every rule over what happened. A seed is a history: it can be ' +
        'run again, made small, and drawn.',
    )
    .option('--seeds <n>', `how many seeds (default: ${seedsDefault})`, wholeNumber('seeds', 1, seedsMax))
    .option('--from <seed>', 'the first one (default: 0)', wholeNumber('seed', 0, seedsMax))
    .option('--seed <seed>', 'this one alone', wholeNumber('seed', 0, seedsMax))
    .option('--seconds <n>', 'end after this time', wholeNumber('seconds', 1, 86_400))
    .option('--jobs <n>', 'processes (default: one for each core)', wholeNumber('jobs', 1, 256))
    .option('--without <classes>', 'classes of faults to leave out: N1,P4')
    .option('--replay <file>', 'run a plan that was saved', toPath)
    .option('--save <file>', 'write the (reduced) plan of a failing seed there', toPath)
    .option('--no-shrink', 'leave a failing seed as it is')
    .option('--trace', 'print the history of a single seed as JSON lines')
    .option('--diagram <form>', 'draw a single seed: text or mermaid', toForm)
    .option('--mutants', 'plant known bugs one by one and say which check finds each (in a checkout of the sources)')
    .option('--only <bugs>', 'with --mutants: these alone, 1,B2')
  handle<SimOptions>(command, sim, { time: 'refused', isLocal: true })
}

function toForm(text: string): 'text' | 'mermaid' {
  if (text === 'text' || text === 'mermaid') return text
  throw bad(`${JSON.stringify(text)} is no form of a diagram`, 'text or mermaid')
}

async function sim(context: Context, options: SimOptions): Promise<void> {
  const { seed, replay } = options
  const form = formOf(options)
  checkUsed(options, form)
  if (form === '--mutants') return mutants(context, options)
  const without = await classesOf(options.without)
  if (replay !== undefined) return one(context, options, await savedPlan(replay), `--replay ${replay}`)
  if (seed === undefined) return batch(context, options, without)
  const { drawPlan } = await import('../../../sim/swarm/draw.ts')
  return one(context, options, drawPlan(seed, { without: new Set(without) }), `--seed ${seed}`)
}

type Form = '--mutants' | '--replay' | '--seed' | '--seeds'

/** The options of each form of the command. */
const takes: Readonly<Record<Form, readonly (keyof SimOptions)[]>> = {
  '--mutants': ['mutants', 'only', 'seeds', 'seconds', 'jobs'],
  '--replay': ['replay', 'save', 'trace', 'diagram'],
  '--seed': ['seed', 'without', 'save', 'trace', 'diagram'],
  '--seeds': ['seeds', 'from', 'seconds', 'jobs', 'without', 'save', 'diagram'],
}

function formOf({ mutants: isMutants, replay, seed }: SimOptions): Form {
  if (isMutants === true) return '--mutants'
  if (replay !== undefined) return '--replay'
  return seed === undefined ? '--seeds' : '--seed'
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` for an option that this form of the command would ignore */
function checkUsed(options: SimOptions, form: Form): void {
  const all = [...new Set(Object.values(takes).flat())]
  const unused = all.find((name) => options[name] !== undefined && !takes[form].includes(name))
  if (unused !== undefined) throw bad(`--${unused} is not for sim ${form}`)
}

async function classesOf(text: string | undefined): Promise<FaultId[]> {
  if (text === undefined) return []
  const { faultIds } = await import('../../../sim/swarm/fault-classes.ts')
  return text.split(',').map((word) => {
    const id = faultIds.find((known) => known === word.trim())
    if (id === undefined) throw bad(`${JSON.stringify(word)} is no class of faults`, faultIds.join(', '))
    return id
  })
}

async function savedPlan(path: string): Promise<Plan> {
  const { parsePlanFile } = await import('../../../sim/swarm/plan-file.ts')
  try {
    return parsePlanFile(readFileSync(path, 'utf8')).plan
  } catch (error) {
    throw bad(`${path} cannot be replayed: ${error instanceof Error ? error.message : error}`)
  }
}

/** Planted bugs are part of the tests: a process of its own runs them. */
async function mutants(context: Context, { seeds, seconds, jobs, only }: SimOptions): Promise<void> {
  const script = fileURLToPath(new URL('../../../test/mutants/main.ts', import.meta.url))
  if (!existsSync(script)) throw bad('planted bugs are not part of the package', 'run it in a checkout of the sources')
  const given = { seeds, seconds, workers: jobs, only }
  const more = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, `${value}`]))
  const { endOf, startModule } = await import('../../../bench/child-process.ts')
  const options = { stdio: ['inherit', 'inherit', 'inherit'], signal: context.signal } as const
  const { code } = await endOf(startModule(script, [...more, ...(context.json ? ['--json'] : [])], options))
  process.exitCode = code ?? exitCodes.failure
}

async function batch(context: Context, options: SimOptions, without: readonly FaultId[]): Promise<void> {
  const { runBatch } = await import('../../../sim/swarm/batch.ts')
  const result = await runBatch({
    from: options.from ?? 0,
    seeds: options.seeds ?? seedsDefault,
    jobs: options.jobs ?? availableParallelism(),
    ...(options.seconds !== undefined && { seconds: options.seconds }),
    without,
    signal: context.signal,
    progress: (done) => context.progress.show(() => progressOf(done, options.seeds ?? seedsDefault)),
  })
  context.progress.clear()
  await reportReach(context, result, without)
  for (const { seed, rule, text } of result.failures) {
    const failure = { seed, rule, text, replay: replayOf(seed, options) }
    if (context.json) context.out.json(failure)
    else context.out.line(`seed ${seed} breaks ${rule}: ${text}\n  again: ${failure.replay}`)
  }
  const [first] = result.failures
  if (first !== undefined && options.shrink && first.rule !== 'ONE') {
    const { drawPlan } = await import('../../../sim/swarm/draw.ts')
    const plan = drawPlan(first.seed, { without: new Set(without) })
    await reduce(context, options, plan, first.rule)
  }
  context.out.json(await summaryOf(result, without))
  if (context.signal.aborted) throw context.signal.reason
  if (result.failures.length > 0) process.exitCode = exitCodes.failure
}

async function summaryOf(result: BatchResult, without: readonly FaultId[]): Promise<object> {
  const { faultIds } = await import('../../../sim/swarm/fault-classes.ts')
  const defined = faultIds.filter((id) => !without.includes(id))
  return {
    seeds: result.seeds,
    violations: result.failures.length,
    seedsPerMinute: perMinute(result),
    seedsPerCoreMinute: result.cpuMs === 0 ? 0 : Math.round((result.seeds * 60_000) / result.cpuMs),
    cpuSeconds: Math.round(result.cpuMs / 1000),
    faultsReached: defined.filter((id) => result.reached.has(id)).length,
    faultsDefined: defined.length,
    compared: result.compared,
    events: result.events,
    ...perSeed(result),
  }
}

function perSeed({ seeds, work }: BatchResult): Readonly<Record<string, number>> {
  const per = (count: number) => (seeds === 0 ? 0 : Math.round((count * 100) / seeds) / 100)
  return {
    operationsPerSeed: per(work.operations),
    faultsPerSeed: per(work.faults),
    epochsPerSeed: per(work.epochs),
    decisionsPerSeed: per(work.decisions),
  }
}

/** Which classes were reached how often; one that never was is named. */
async function reportReach(context: Context, result: BatchResult, without: readonly FaultId[]): Promise<void> {
  const { faultClasses, faultIds } = await import('../../../sim/swarm/fault-classes.ts')
  const rows = faultIds.map((id) => ({ id, count: result.reached.get(id) ?? 0, text: faultClasses[id].text }))
  if (context.json) context.out.json({ reached: Object.fromEntries(rows.map(({ id, count }) => [id, count])) })
  else for (const { id, count, text } of rows) context.note(`${id.padEnd(4)} ${String(count).padStart(9)}  ${text}`)
  const never = rows.filter(({ id, count }) => count === 0 && !without.includes(id))
  if (never.length > 0) context.warn(`never reached: ${never.map(({ id, text }) => `${id} (${text})`).join(', ')}`)
}

async function one(context: Context, options: SimOptions, plan: Plan, how: string): Promise<void> {
  const { runPlan } = await import('../../../sim/swarm/run.ts')
  const { violations, history, events, reached } = await runPlan(plan, { keepHistory: true })
  if (options.trace === true) for (const event of history ?? []) context.out.json(event)
  if (options.diagram !== undefined && violations.length === 0) await draw(context, plan, options.diagram)
  for (const { rule, text } of violations.slice(0, 5)) {
    if (context.json) context.out.json({ seed: plan.seed, rule, text, replay: `npm run sim -- ${how}` })
    else context.out.line(`${rule}: ${text}`)
  }
  const [first] = violations
  if (first !== undefined) {
    if (options.shrink) await reduce(context, options, plan, first.rule)
    else if (options.diagram !== undefined) await draw(context, plan, options.diagram)
    process.exitCode = exitCodes.failure
  }
  context.out.json({ seed: plan.seed, violations: violations.length, events, reached: [...reached.keys()] })
}

/** The smallest plan that still breaks the rule, its diagram, and how to run it again. */
async function reduce(context: Context, options: SimOptions, plan: Plan, rule: string): Promise<void> {
  const { shrink } = await import('../../../sim/swarm/shrink.ts')
  const { formatPlanFile } = await import('../../../sim/swarm/plan-file.ts')
  const { plan: small, runs } = await shrink(plan, rule, {
    progress: (best, count) => context.progress.show(() => `reducing: ${sizeText(best)}, ${count} runs`),
  })
  context.progress.clear()
  context.note(`reduced from ${sizeText(plan)} to ${sizeText(small)} in ${runs} runs`)
  const path = options.save ?? `seed-${plan.seed}.json`
  writeFileSync(path, formatPlanFile({ plan: small, rule, version: packageVersion() }))
  if (!context.json || options.diagram !== undefined) await draw(context, small, options.diagram ?? 'text')
  const command = `npm run sim -- --replay ${path}`
  if (context.json) context.out.json({ seed: plan.seed, rule, reduced: path, replay: command })
  else context.out.line(`again: ${command}`)
}

async function draw(context: Context, plan: Plan, form: 'text' | 'mermaid'): Promise<void> {
  const { mermaidDiagram, tellStory, textDiagram } = await import('../../../sim/swarm/diagram.ts')
  const story = await tellStory(plan)
  context.out.write(form === 'text' ? textDiagram(story) : mermaidDiagram(story))
}

function sizeText({ operations, faults, servers }: Plan): string {
  return `${operations.length} operations, ${faults.length} faults, ${servers.length} servers`
}

function replayOf(seed: number, { without }: SimOptions): string {
  const more = without === undefined ? [] : ['--without', without]
  return ['npm run sim -- --seed', seed, ...more].join(' ')
}

function progressOf(done: BatchResult, of: number): string {
  const failed = done.failures.length === 0 ? '' : `, ${done.failures.length} broke a rule`
  return `${done.seeds.toLocaleString('en-US')} of ${of.toLocaleString('en-US')} seeds, ${perMinute(done)} a minute${failed}`
}

function perMinute({ seeds, elapsedMs }: BatchResult): number {
  return elapsedMs === 0 ? 0 : Math.round((seeds * 60_000) / elapsedMs)
}
