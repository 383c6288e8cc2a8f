import type { Command } from 'commander'
import type { Decider, Mode, Order, ServerInfo, TopicOptions } from '../../../client-sdk/index.ts'
import { didYouMean } from '../../../proto/closest.ts'
import {
  type Configuration,
  checkSize,
  defaultDecider,
  defaultSizes,
  operationQuorum,
  toleratedFailures,
} from '../../../proto/configuration.ts'
import { withoutInstance } from '../../../proto/decider.ts'
import { serverIdOf } from '../../../proto/ids.ts'
import { bad, toDecider, toMode, toOrder, toServerIds, wholeNumber } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { configurationJson, count, idsOf, list } from '../describe.ts'
import { checkTarget, serversOf } from '../plan.ts'
import { syncOf, syncText } from '../sync.ts'
import type { Column } from '../terminal/table.ts'
import { findTopic } from '../topics.ts'

interface CreateOptions {
  readonly mode?: Mode
  readonly size?: number
  readonly members?: readonly string[]
  readonly decider?: Decider
  readonly min?: number
  readonly order?: Order
}

export function addTopics(program: Command): void {
  const topics = program
    .command('topics')
    .summary('list, make and look at topics')
    .description('Lists the topics of the cluster; its commands make one or show one.')
    .helpCommand(false)
  const all = topics
    .command('ls', { isDefault: true })
    .alias('list')
    .description('Lists all topics, as the arbiters have noted them.')
    .allowExcessArguments()
  handle(all, ls)
  handle(topics.command('info').argument('<topic>').description('Shows one topic, as its members know it.'), info)
  const make = topics
    .command('create')
    .description('Makes a topic. What is left out comes from the configuration of the servers.')
    .argument('<topic>')
    .option('--mode <mode>', 'single, fault-recovery or fault-masking', toMode)
    .option('--size <n>', 'number of servers, chosen by the cluster', wholeNumber('size', 1, 99))
    .option('--members <ids>', 'server ids, separated by commas', toServerIds)
    .option('--decider <decider>', 'stakes, engine, or engine:ID', toDecider)
    .option('--min <n>', 'a change never goes below so many members', wholeNumber('minimum', 1, 99))
    .option('--order <order>', 'strongest order that readers may ask for: none, fifo, causal or total', toOrder)
    .addHelpText('after', '\nExample:\n  epochcast topics create orders.eu --mode fault-recovery --members a,b')
  handle<CreateOptions>(make, create)
}

/** @param servers as they have said how they flush */
export function topicColumns(servers: readonly ServerInfo[]): readonly Column<Configuration>[] {
  return [
    { title: 'topic', of: ({ topic }) => topic },
    { title: 'epoch', of: ({ epoch }) => epoch },
    { title: 'mode', of: ({ mode }) => mode },
    { title: 'members', of: (configuration) => idsOf(configuration).join(',') },
    { title: 'tolerates', of: ({ mode, members }) => count(toleratedFailures(mode, members.length), 'failure') },
    { title: 'sync', of: ({ members }) => syncOf(members, servers) },
    { title: 'decider', of: ({ decider }) => withoutInstance(decider) },
  ]
}

/** A configuration, and how the weakest of its members flushes. */
export function topicJson(configuration: Configuration, servers: readonly ServerInfo[]): object {
  return { ...configurationJson(configuration), sync: syncOf(configuration.members, servers) }
}

async function ls(context: Context, _options: object, [stray]: readonly string[]): Promise<void> {
  if (stray !== undefined) {
    const names = ['ls', 'info', 'create']
    throw bad(`topics has no command ${stray}${didYouMean(stray, names)}`, `there are ${names.join(', ')}`)
  }

  await context.withClient(async (client) => {
    const found = await client.admin.topics(context.limits())
    const servers = await client.admin.servers(context.limits())
    context.records(found, topicColumns(servers), (one) => topicJson(one, servers), 'there is no topic yet')
  })
}

async function info(context: Context, _options: object, [name = '']: readonly string[]): Promise<void> {
  await context.withClient(async (client) => {
    const configuration = await findTopic(client, name, context.limits())
    showOne(context, configuration, await client.admin.servers(context.limits()))
  })
}

async function create(context: Context, options: CreateOptions, [name = '']: readonly string[]): Promise<void> {
  const wanted = wantedOf(options)
  checkSize(wanted)
  await context.withClient(async (client) => {
    if (wanted.mode !== undefined || wanted.members !== undefined || wanted.decider !== undefined) {
      const mode = wanted.mode ?? 'fault-masking'
      const members = wanted.members ?? null
      const size = wanted.members?.length ?? wanted.size ?? defaultSizes[mode]
      const target = {
        mode,
        decider: wanted.decider ?? defaultDecider(mode),
        members,
        size,
        minimum: wanted.membersMin ?? 1,
      }
      checkTarget(target, await serversOf(context, client))
    }
    const made = await client.admin.createTopic(name, { ...wanted, ...context.limits() })
    if (context.forPeople) context.out.line(`${context.colors.green('made')} ${made.topic}`)
    showOne(context, made, await client.admin.servers(context.limits()))
  })
}

function wantedOf({ mode, size, members, decider, min, order }: CreateOptions): TopicOptions {
  return {
    ...(mode && { mode }),
    ...(size !== undefined && { size }),
    ...(members && { members }),
    ...(decider && { decider }),
    ...(min !== undefined && { membersMin: min }),
    ...(order && { order }),
  }
}

function showOne(context: Context, configuration: Configuration, servers: readonly ServerInfo[]): void {
  if (!context.forPeople) {
    context.out.json(topicJson(configuration, servers))
    return
  }
  const { epoch, mode, decider, members, membersMin, order, floor, base } = configuration
  const tolerated = count(toleratedFailures(mode, members.length), 'failure')
  const addresses = members.map(({ name, address }) => `${serverIdOf(name)} (${address})`).sort()
  const lines: readonly (readonly [string, string])[] = [
    ['epoch', String(epoch)],
    ['mode', `${mode}, tolerates ${tolerated}`],
    ['members', list(addresses)],
    ['quorum', `${operationQuorum(configuration)} of ${members.length}`],
    ['sync', syncText(members, servers)],
    ['decider', withoutInstance(decider)],
    ['minimum', String(membersMin)],
    ['order', order],
    ['before', `${count(base, 'message')} in earlier epochs; kept from epoch ${floor} on`],
  ]
  for (const [what, text] of lines) context.out.line(`${context.colors.dim(what.padEnd(8))} ${text}`)
}
