import type { Command } from 'commander'
import type { Client, Configuration, ServerInfo, TopicOptions } from '../../../client-sdk/index.ts'
import { toleratedFailures } from '../../../proto/configuration.ts'
import { fits } from '../../../proto/decider.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import type { Config, NewTopic, TopicConfig } from '../../config/config.ts'
import { toPath } from '../arguments.ts'
import { carryOut } from '../change.ts'
import { clusterUrl } from '../cluster-url.ts'
import { type Context, handle } from '../context.ts'
import { configurationJson, count, idsOf, list, milliseconds, rounded } from '../describe.ts'
import { type ChangePlan, checkTarget, membersText, planChange, planJson, type Side } from '../plan.ts'
import { type Column, table } from '../terminal/table.ts'

interface ApplyOptions {
  readonly dryRun?: boolean
  readonly yes?: boolean
}

/** One thing to do. */
type Step =
  | {
      readonly kind: 'create'
      readonly topic: string
      readonly options: TopicOptions
      readonly after: Omit<Side, 'epoch'>
    }
  | { readonly kind: 'change'; readonly topic: string; readonly options: TopicOptions; readonly plan: ChangePlan }

export function addApply(program: Command): void {
  const command = program
    .command('apply')
    .summary('bring running topics to what a configuration says')
    .description(
      'Makes topics that are missing and reconfigures those that differ from the file in mode, members, size, minimum or ' +
        'decider. Keys that the file leaves out stay as they are; topics that it does not name are left alone. Everything ' +
        'is checked before anything is done, and shown first; it asks on a terminal, and anywhere else does nothing without --yes.',
    )
    .argument('<config>', 'configuration file', toPath)
    .option('--dry-run', 'show the plan, do nothing')
    .option('-y, --yes', 'agree to the plan without a question')
  handle<ApplyOptions>(command, apply)
}

async function apply(context: Context, options: ApplyOptions, [file = '']: readonly string[]): Promise<void> {
  const { loadConfig, newTopic } = await import('../../config/config.ts')
  const config = await loadConfig(file)
  await context.withClient(async (client) => {
    const limits = context.limits()
    const running = await newestOf(client, config, context)
    const steps = planAll(config, running, await client.admin.servers(limits), (topic) => newTopic(config, topic))
    showSteps(context, steps)
    if (steps.length === 0) {
      if (context.forPeople)
        context.note(`nothing to do: ${count(config.topics.size, 'topic is', 'topics are')} as ${file} says`)
      else context.out.json({ type: 'summary', changed: 0, text: 'nothing to do' })
      return
    }
    if (options.dryRun === true) {
      if (context.forPeople) context.note('dry run: nothing was done')
      return
    }
    if (!(await context.agree('Do this?', options.yes))) {
      context.note('nothing was done')
      return
    }
    await carryOutAll(context, client, steps)
  }, clusterUrl(config))
}

/** What runs of the topics that the file names, as their members know it. */
async function newestOf(client: Client, config: Config, context: Context): Promise<Map<string, Configuration>> {
  const running = new Map<string, Configuration>()
  for (const { topic } of await client.admin.topics(context.limits())) {
    if (config.topics.has(topic)) running.set(topic, await client.admin.topic(topic, context.limits()))
  }
  return running
}

/** All steps, checked; those that lessen what a topic tolerates come first in the plan. */
function planAll(
  config: Config,
  running: Map<string, Configuration>,
  servers: readonly ServerInfo[],
  newTopic: (topic: TopicConfig) => NewTopic,
): Step[] {
  const steps: Step[] = []
  for (const [topic, wanted] of config.topics) {
    try {
      const current = running.get(topic)
      const step =
        current === undefined ? planCreation(topic, newTopic(wanted), servers) : planStep(current, wanted, servers)
      if (step !== null) steps.push(step)
    } catch (error) {
      if (!(error instanceof EpochcastError)) throw error
      const { code, message, hint } = error
      throw new EpochcastError(code, `${config.file}: topic ${topic}: ${message}; nothing was done`, {
        cause: error,
        ...(hint !== undefined && { hint }),
      })
    }
  }
  const weight = (step: Step) => (step.kind === 'change' ? (step.plan.cautions.length > 0 ? 0 : 1) : 2)
  return steps.sort((one, other) => weight(one) - weight(other))
}

function planCreation(topic: string, wanted: NewTopic, servers: readonly ServerInfo[]): Step {
  const { mode, decider, members, size, membersMin, order } = wanted
  const tolerates = toleratedFailures(mode, size)
  const after = { mode, decider, members, size, minimum: membersMin, tolerates, order: order ?? 'fifo' }
  checkTarget(after, servers)
  const place = members === null ? { size } : { members }
  return { kind: 'create', topic, after, options: { mode, decider, membersMin, ...place, ...(order && { order }) } }
}

/** Null where the topic is as the file says. */
function planStep(current: Configuration, wanted: TopicConfig, servers: readonly ServerInfo[]): Step | null {
  const { mode, decider, size, members, membersMin, order } = wanted
  const ids = idsOf(current)
  const sameMembers =
    members === undefined || (members.length === ids.length && members.every((id) => ids.includes(id)))
  const isSame =
    (mode ?? current.mode) === current.mode &&
    (decider === undefined || fits(decider, current.decider)) &&
    (size ?? ids.length) === ids.length &&
    (membersMin ?? current.membersMin) === current.membersMin &&
    (order ?? current.order) === current.order &&
    sameMembers
  if (isSame) return null
  // Named members say how many there are.
  const { size: _size, ...named } = wanted
  const options: TopicOptions = members === undefined ? wanted : named
  return { kind: 'change', topic: current.topic, options, plan: planChange(current, options, servers) }
}

function showSteps(context: Context, steps: readonly Step[]): void {
  const { out, colors } = context
  if (!context.forPeople) {
    for (const step of steps) out.json(stepJson(step))
    return
  }
  if (steps.length === 0) return
  const columns: Column<Step>[] = [
    { title: 'topic', of: ({ topic }) => topic },
    { title: 'step', of: ({ kind }) => kind },
    { title: 'now', of: (step) => (step.kind === 'create' ? '' : sideText(step.plan.before)) },
    { title: 'then', of: (step) => sideText(step.kind === 'create' ? step.after : step.plan.after) },
  ]
  out.write(table(steps, columns, colors))
  for (const step of steps) {
    if (step.kind === 'change') for (const caution of step.plan.cautions) context.warn(`${step.topic}: ${caution}`)
  }
}

function sideText(side: Omit<Side, 'epoch'>): string {
  return `${side.mode} on ${membersText(side)}; tolerates ${count(side.tolerates, 'failure')}`
}

function stepJson(step: Step): object {
  if (step.kind === 'change') return { ...planJson(step.plan), step: 'change' }
  return { type: 'plan', step: 'create', topic: step.topic, before: null, after: step.after, cautions: [] }
}

/** One after the other; the first that fails ends it, and says what had been done. */
async function carryOutAll(context: Context, client: Client, steps: readonly Step[]): Promise<void> {
  const done: string[] = []
  for (const step of steps) {
    try {
      await carryOutStep(context, client, step)
      done.push(step.topic)
    } catch (error) {
      if (!(error instanceof EpochcastError) || steps.length === 1) throw error
      const left = steps.map(({ topic }) => topic).filter((topic) => topic !== step.topic && !done.includes(topic))
      const rest = left.length === 0 ? '' : `; not tried: ${list(left)}`
      const before = done.length === 0 ? 'nothing else was done' : `done before: ${list(done)}`
      const hint = 'run apply again: it goes on with what is missing'
      throw new EpochcastError(error.code, `${step.topic}: ${error.message} (${before}${rest})`, { cause: error, hint })
    }
  }
  if (context.forPeople) context.out.line(`${context.colors.green('done')} ${count(done.length, 'topic')}`)
  else context.out.json({ type: 'summary', changed: done.length })
}

async function carryOutStep(context: Context, client: Client, step: Step): Promise<void> {
  const { out, colors } = context
  const startedAt = performance.now()
  let configuration: Configuration
  if (step.kind === 'create')
    configuration = await client.admin.createTopic(step.topic, { ...step.options, ...context.limits() })
  else {
    const expectEpoch = step.plan.before.epoch
    configuration = (await carryOut(context, client, step.topic, { ...step.options, expectEpoch })).result.configuration
  }
  const took = performance.now() - startedAt
  if (!context.forPeople) {
    out.json({ type: 'done', step: step.kind, ...configurationJson(configuration), milliseconds: rounded(took) })
    return
  }
  const { topic, epoch, mode } = configuration
  out.line(
    `${colors.green('✓')} ${topic}: epoch ${epoch}, ${mode} on ${list(idsOf(configuration))} (${milliseconds(took)})`,
  )
}
