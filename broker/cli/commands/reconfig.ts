import type { Command } from 'commander'
import type { ChangeTimes, Decider, Mode, Order, TopicOptions } from '../../../client-sdk/index.ts'
import { checkSize } from '../../../proto/configuration.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { toDecider, toMode, toOrder, toServerIds, wholeNumber } from '../arguments.ts'
import { type ChangeOutcome, carryOut, outcomeJson } from '../change.ts'
import { type Context, handle } from '../context.ts'
import { idsOf, list, milliseconds } from '../describe.ts'
import { partsText } from '../parts.ts'
import { type ChangePlan, planChange, planJson, planText, serversOf } from '../plan.ts'
import { table } from '../terminal/table.ts'
import { findTopic } from '../topics.ts'

interface ReconfigOptions {
  readonly members?: readonly string[]
  readonly mode?: Mode
  readonly size?: number
  readonly decider?: Decider
  readonly min?: number
  readonly order?: Order
  readonly expect?: number
  readonly yes?: boolean
}

export function addReconfig(program: Command): void {
  const command = program
    .command('reconfig')
    .summary('change members or mode of a running topic')
    .description(
      'Ends the open epoch of a topic and begins the next one, on other servers or in another mode, without losing an ' +
        'acknowledged message. Without options the same members go on in a new epoch. Shows the plan first, and ' +
        'asks on a terminal; anywhere else it changes nothing without --yes.',
    )
    .argument('<topic>')
    .option('--members <ids>', 'server ids, separated by commas', toServerIds)
    .option('--mode <mode>', 'single, fault-recovery or fault-masking', toMode)
    .option('--size <n>', 'number of servers, chosen by the cluster', wholeNumber('size', 1, 99))
    .option('--decider <decider>', 'who decides from then on: stakes, engine (the arbiters), or engine:ID', toDecider)
    .option('--order <order>', 'strongest order that readers may ask for: none, fifo, causal or total', toOrder)
    .option('--min <n>', 'never go below so many members', wholeNumber('minimum', 1, 99))
    .option(
      '--expect <epoch>',
      'only if this is still the open epoch',
      wholeNumber('epoch', 1, Number.MAX_SAFE_INTEGER),
    )
    .option('-y, --yes', 'agree to the plan without a question')
    .addHelpText(
      'after',
      '\nExamples:\n  epochcast reconfig orders.eu --members d,e,f                    shows its plan and asks' +
        '\n  epochcast reconfig orders.eu --mode fault-recovery --size 2 --yes' +
        '\n  epochcast reconfig orders.eu --decider engine:main --yes',
    )
  handle<ReconfigOptions>(command, reconfig)
}

async function reconfig(context: Context, options: ReconfigOptions, [name = '']: readonly string[]): Promise<void> {
  checkSize(options)
  await context.withClient(async (client) => {
    const current = await findTopic(client, name, context.limits())
    if (options.expect !== undefined && options.expect !== current.epoch) {
      const text = `${name} is in epoch ${current.epoch}, not ${options.expect}`
      throw new EpochcastError('EC_SUPERSEDED', text, { hint: 'look at the topic again, then decide' })
    }
    const target = targetOf(options)
    const plan = planChange(current, target, await serversOf(context, client))
    showPlan(context, plan)
    if (!(await context.agree(`Change ${name}?`, options.yes))) {
      context.note('nothing was changed')
      return
    }
    // What was shown is what happens: another epoch than the one in the plan is left alone.
    const outcome = await carryOut(context, client, name, { ...target, expectEpoch: current.epoch })
    showOutcome(context, outcome)
  })
}

function targetOf({ members, mode, size, decider, min, order }: ReconfigOptions): TopicOptions {
  return {
    ...(members && { members }),
    ...(mode && { mode }),
    ...(size !== undefined && { size }),
    ...(decider && { decider }),
    ...(min !== undefined && { membersMin: min }),
    ...(order && { order }),
  }
}

export function showPlan(context: Context, plan: ChangePlan): void {
  const { out, colors } = context
  if (!context.forPeople) {
    out.json(planJson(plan))
    return
  }
  out.write(table(...planText(plan), colors))
  for (const caution of plan.cautions) context.warn(caution)
}

function showOutcome(context: Context, outcome: ChangeOutcome): void {
  const { out, colors } = context
  if (!context.forPeople) {
    out.json(outcomeJson(outcome))
    return
  }
  const { configuration, times } = outcome.result
  const { topic, epoch, mode } = configuration
  const took = milliseconds(outcome.milliseconds)
  out.line(
    `\n${colors.green('done')} ${topic} is in epoch ${epoch}: ${mode} on ${list(idsOf(configuration))} (${took})\n`,
  )
  const columns = [
    { title: 'phase', of: ([phase]: readonly [string, number]) => phase },
    { title: 'time', of: ([, spent]: readonly [string, number]) => milliseconds(spent), align: 'right' as const },
  ]
  out.write(table(phasesOf(times), columns, colors))
  const { wedgeMs, stageMs, decideMs, startMs } = times
  out.line(`\nNothing was acknowledged for ${milliseconds(wedgeMs + stageMs + decideMs + startMs)}.`)
  const { retirable, stillNeeded } = outcome
  if (retirable.length > 0)
    out.line(`${list(retirable)} may stop: nothing needs ${retirable.length === 1 ? 'it' : 'them'} any more.`)
  for (const parts of stillNeeded) {
    out.line(`${topic} does not need ${parts.server} any more, but it must not stop: ${partsText(parts)}.`)
  }
}

function phasesOf(times: ChangeTimes): (readonly [string, number])[] {
  const { planMs, wedgeMs, stageMs, decideMs, startMs } = times
  return [
    ['plan', planMs],
    ['wedge', wedgeMs],
    ['stage', stageMs],
    ['decide', decideMs],
    ['start', startMs],
  ]
}
