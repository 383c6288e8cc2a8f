import type { Command } from 'commander'
import type { Client, ReplicaInfo, ServerInfo, WaitOptions } from '../../../client-sdk/index.ts'
import { type Configuration, operationQuorum } from '../../../proto/configuration.ts'
import { outsideEngine } from '../../../proto/decider.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { serverTimers } from '../../timers.ts'
import { arbiterHealth } from '../arbiters.ts'
import { bad } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { count, idsOf, list } from '../describe.ts'
import type { Health } from '../health.ts'
import { syncOf, syncText } from '../sync.ts'
import { type Column, table } from '../terminal/table.ts'
import { judgeTopic } from '../topic-look.ts'
import { serverColumns, serverJson } from './servers.ts'
import { topicColumns, topicJson } from './topics.ts'

export function addStatus(program: Command): void {
  const command = program
    .command('status')
    .summary('how the cluster or one topic is')
    .description(
      'Without a topic: the cluster, its servers and its topics. With one: each replica, who is silent, and how many ' +
        'failures are tolerated now; a topic whose epoch is being changed is looked at again before anything is said to be wrong.',
    )
    .argument('[topic]')
    .option('--timers', 'with a topic: also what each replica waits for, and for how long')
  handle(command, status)
}

interface StatusOptions {
  readonly timers?: boolean
}

async function status(context: Context, { timers = false }: StatusOptions, [name]: readonly string[]): Promise<void> {
  if (name === undefined && timers) throw bad('--timers shows the timers of a topic: name one')
  await context.withClient((client) =>
    name === undefined ? clusterStatus(context, client) : topicStatus(context, client, name, timers),
  )
}

async function clusterStatus(context: Context, client: Client): Promise<void> {
  const { out, colors } = context
  const limits = context.limits()
  const servers = await client.admin.servers(limits)
  const arbiters = await client.admin.arbiters(limits)
  const listed = await topicsOf(client, limits)
  const topics = listed instanceof EpochcastError ? null : listed
  if (!context.forPeople) {
    const alive = servers.filter((server) => server.alive).length
    out.json({
      cluster: client.cluster,
      alive,
      servers: servers.map(serverJson),
      arbiters: arbiters.map(({ id, name, state }) => ({ id, name, state })),
      topics: topics?.map((one) => topicJson(one, servers)) ?? null,
    })
  } else {
    out.line(`cluster ${colors.bold(client.cluster)}\n`)
    out.write(table(servers, serverColumns(colors), colors))
    const { text, hint, slack } = arbiterHealth(arbiters)
    if (hint !== null) out.line(`\n${(slack > 0 ? colors.yellow : colors.red)('arbiters')}: ${text}`)
    out.line('')
    if (topics?.length === 0) context.note('there is no topic yet')
    else if (topics !== null) out.write(table(topics, topicColumns(servers), colors))
  }
  // The servers are shown whether the topics can be listed or not.
  if (listed instanceof EpochcastError) throw listed
}

async function topicsOf(client: Client, limits: WaitOptions): Promise<readonly Configuration[] | EpochcastError> {
  try {
    return await client.admin.topics(limits)
  } catch (error) {
    if (error instanceof EpochcastError) return error
    throw error
  }
}

async function topicStatus(context: Context, client: Client, name: string, withTimers: boolean): Promise<void> {
  const { configuration, replicas, servers, health } = await judgeTopic(context, client, name)
  const deciding = await decidingOf(context, client, configuration)
  if (!context.forPeople) {
    const shown = replicas.map(({ server, phase, epoch, isOld, storedCount, stagedCount, heldEpochs, timers }) => ({
      server,
      phase,
      epoch,
      old: isOld,
      stored: storedCount,
      staged: stagedCount,
      heldEpochs,
      ...(withTimers && { timers }),
    }))
    const topic = topicJson(configuration, servers)
    context.out.json({ ...topic, health, replicas: shown, ...(deciding && { deciding }) })
    return
  }
  showTopic(context, configuration, replicas, health, servers)
  if (withTimers) showTimers(context, replicas)
  if (deciding === null) return
  const { out, colors } = context
  const { engine, ready, unready, without } = deciding
  out.line(`\nengine ${engine} decides: ${ready.length === 0 ? 'no member reaches it' : `${list(ready)} can ask it`}`)
  for (const [server, why] of Object.entries(unready)) out.line(colors.yellow(`  ${server}: ${why}`))
  if (without.length > 0)
    out.line(colors.yellow(`  not configured on ${list(without)}: they leave changes to the others`))
}

/** Which members can ask the engine outside of the cluster that decides. */
interface Deciding {
  readonly engine: string
  readonly ready: readonly string[]
  /** Why not, by server. */
  readonly unready: Readonly<Record<string, string>>
  readonly without: readonly string[]
}

async function decidingOf(context: Context, client: Client, configuration: Configuration): Promise<Deciding | null> {
  const engine = outsideEngine(configuration.decider)
  if (engine === null) return null
  const members = idsOf(configuration)
  const told = await client.admin.engines({ signal: context.signal })
  const asked = told.filter(({ server, silent }) => !silent && members.includes(server))
  const [ready, without]: [string[], string[]] = [[], []]
  const unready: Record<string, string> = {}
  for (const { server, engines } of asked) {
    const state = engines.find(({ id }) => id === engine.id)
    if (state === undefined) without.push(server)
    else if (state.ready && state.instance === engine.instance) ready.push(server)
    else
      unready[server] =
        state.findings.find(({ verdict }) => verdict === 'fail')?.text ??
        `it is instance ${state.instance ?? '?'}, not ${engine.instance}`
  }
  return { engine: engine.id, ready, unready, without }
}

function showTopic(
  context: Context,
  configuration: Configuration,
  replicas: readonly ReplicaInfo[],
  health: Health,
  servers: readonly ServerInfo[],
): void {
  const { out, colors } = context
  const { topic, epoch, mode, members } = configuration
  const quorum = `${operationQuorum(configuration)} of ${members.length} make a quorum`
  out.line(`${colors.bold(topic)}  epoch ${epoch}, ${mode} on ${list(idsOf(configuration))}; ${quorum}\n`)
  const columns = [
    { title: 'server', of: ({ server, isOld }: ReplicaInfo) => (isOld ? `${server} (old)` : server) },
    {
      title: 'phase',
      of: ({ phase }: ReplicaInfo) => phase,
      paint: (text: string, { phase }: ReplicaInfo) => (phase === 'open' ? colors.green(text) : colors.yellow(text)),
    },
    { title: 'epoch', of: (replica: ReplicaInfo) => (replica.epoch === null ? '' : String(replica.epoch)) },
    { title: 'stored', of: ({ storedCount }: ReplicaInfo) => storedCount },
    { title: 'staged', of: ({ stagedCount }: ReplicaInfo) => stagedCount },
    { title: 'epochs held', of: ({ heldEpochs }: ReplicaInfo) => heldEpochs },
  ]
  out.write(table(replicas, columns, colors))
  const paint = health.state === 'open' ? colors.green : health.state === 'stopped' ? colors.red : colors.yellow
  out.line(`\n${paint(health.state)}: ${health.text}`)
  if (health.silent.length > 0) out.line(`${colors.red('silent')}: ${list(health.silent)}`)
  if (health.full.length > 0) out.line(`${colors.red('full')}: ${list(health.full)}`)
  const sync = syncOf(members, servers)
  if (sync !== 'always') out.line(`${colors.yellow('sync')}: ${syncText(members, servers)}`)
  out.line(colors.dim(`${count(configuration.base, 'message')} in earlier epochs`))
}

/** What each replica waits for. */
function showTimers({ out, colors }: Context, replicas: readonly ReplicaInfo[]): void {
  const rows = replicas.flatMap(({ server, timers }) => timers.map((timer) => ({ server, ...timer })))
  type Row = (typeof rows)[number]
  out.line('')
  if (rows.length === 0) {
    out.line(colors.dim('no timer is set: nothing waits'))
    return
  }
  const columns: Column<Row>[] = [
    { title: 'server', of: ({ server }) => server },
    { title: 'timer', of: ({ name }) => name },
    { title: 'in ms', of: ({ inMs }) => inMs, align: 'right' },
    { title: 'meaning', of: ({ name }) => (serverTimers as Readonly<Record<string, string>>)[name] ?? '' },
  ]
  out.write(table(rows, columns, colors))
}
