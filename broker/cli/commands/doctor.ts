import type { Command } from 'commander'
import type { Client, ServerInfo, WaitOptions } from '../../../client-sdk/index.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import type { Config } from '../../config/config.ts'
import { toPath } from '../arguments.ts'
import { clusterUrl } from '../cluster-url.ts'
import { type Context, handle } from '../context.ts'
import { count } from '../describe.ts'
import type { ClusterView, Line, TopicView } from '../doctor/check.ts'
import { checks } from '../doctor/checks.ts'
import { inParallel } from '../parallel.ts'
import { judgeTopic } from '../topic-look.ts'

interface DoctorOptions {
  readonly config?: string
}

const engineTimeoutMs = 5_000
const memberTimeoutMs = 2_000
/** Topics that are looked at together: a silent server is waited for in all of them at the same time. */
const topicsAtOnce = 16

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .summary('look for what is wrong or weak, and say what to do')
    .description(
      'Looks at the cluster, its topics, and the decision engines as each server sees them: one line for each finding. With ' +
        'a configuration file also at the engines themselves, from here, whether servers run or not. Ends with 1 where ' +
        'something fails, with 0 where there are warnings at most. A topic whose epoch is being changed is looked at again before ' +
        'it is said to fail. --timeout: how long each of its questions may take.',
    )
    .option('--config <file>', 'configuration of the cluster', toPath)
  handle<DoctorOptions>(command, doctor, { time: 'own' })
}

async function doctor(context: Context, options: DoctorOptions): Promise<void> {
  const config =
    options.config === undefined ? null : await (await import('../../config/config.ts')).loadConfig(options.config)
  const lines: Line[] = []
  for (const line of await enginesFromHere(context, config)) tell(context, lines, line)
  for (const line of await clusterLines(context, config)) tell(context, lines, line)
  const failed = lines.filter(({ verdict }) => verdict === 'fail').length
  const warned = lines.filter(({ verdict }) => verdict === 'warn').length
  if (context.forPeople) {
    const text = failed + warned === 0 ? 'nothing to do' : `${count(failed, 'failure')}, ${count(warned, 'warning')}`
    context.note(text)
  }
  if (failed > 0) process.exitCode = 1
}

const signs = { ok: '✓', warn: '!', fail: '✗' } as const

function tell({ out, colors, forPeople }: Context, lines: Line[], line: Line): void {
  lines.push(line)
  const { verdict, about, text, hint } = line
  if (!forPeople) {
    out.json({ type: 'finding', verdict, about, text, hint: hint ?? null })
    return
  }
  const paint = verdict === 'ok' ? colors.green : verdict === 'warn' ? colors.yellow : colors.red
  out.line(`${paint(`${signs[verdict]} ${verdict.padEnd(4)}`)} ${colors.bold(about)}: ${text}`)
  if (hint !== undefined && verdict !== 'ok') out.line(colors.dim(`       ${hint}`))
}

/** The engines of a configuration file, asked without any server. */
async function enginesFromHere(context: Context, config: Config | null): Promise<Line[]> {
  const { inspectEngine } = await import('../../engines/inspect.ts')
  const lines: Line[] = []
  for (const engine of config?.engines ?? []) {
    const { findings } = await inspectEngine(engine, context.globals.timeout ?? engineTimeoutMs)
    lines.push(...findings.map((finding) => ({ ...finding, about: `engine ${engine.id} (${engine.type})` })))
  }
  return lines
}

async function clusterLines(context: Context, config: Config | null): Promise<Line[]> {
  const url = config === null ? undefined : clusterUrl(config)
  try {
    return await context.withClient((client) => lookAround(context, client, config), url)
  } catch (error) {
    if (!(error instanceof EpochcastError) || error.code === 'EC_ABORTED') throw error
    const hint = error.hint ?? 'start its servers'
    return [{ about: 'cluster', verdict: 'fail', text: error.message, hint }]
  }
}

async function lookAround(context: Context, client: Client, config: Config | null): Promise<Line[]> {
  const limits = context.limits()
  const servers = await client.admin.servers(limits)
  const engines = await client.admin.engines(context.limits(memberTimeoutMs))
  const arbiters = await client.admin.arbiters(limits)
  const view: ClusterView = { context, client, config, servers, arbiters, engines }
  const lines: Line[] = []
  for (const check of checks) lines.push(...((await check.cluster?.(view)) ?? []))
  const topics = await topicsOf(client, servers, limits, lines)
  const found = await inParallel(topics, topicsAtOnce, (name) => topicLines(name, view))
  return [...lines, ...found.flat()]
}

/** All topics; those that the servers know of themselves where too few arbiters answer. */
async function topicsOf(
  client: Client,
  servers: readonly ServerInfo[],
  limits: WaitOptions,
  lines: Line[],
): Promise<readonly string[]> {
  try {
    return (await client.admin.topics(limits)).map(({ topic }) => topic)
  } catch (error) {
    if (!isTrouble(error)) throw error
    lines.push({ about: 'topics', verdict: 'fail', text: `cannot be listed: ${error.message}`, ...hintOf(error) })
    const living = servers.filter(({ alive }) => alive)
    const parts = await Promise.all(living.map(({ id }) => client.admin.parts(id, limits)))
    return [...new Set(parts.flatMap(({ topics }) => topics))].sort()
  }
}

async function topicLines(name: string, view: ClusterView): Promise<Line[]> {
  const { client, context } = view
  const about = `topic ${name}`
  try {
    const topic: TopicView = { about, ...(await judgeTopic(context, client, name)) }
    const lines: Line[] = []
    for (const check of checks) lines.push(...((await check.topic?.(topic, view)) ?? []))
    return lines
  } catch (error) {
    if (!isTrouble(error)) throw error
    return [{ about, verdict: 'fail', text: error.message, ...hintOf(error) }]
  }
}

/** Trouble of the cluster, which the other checks go on after. */
function isTrouble(error: unknown): error is EpochcastError {
  return error instanceof EpochcastError && error.code !== 'EC_ABORTED' && error.code !== 'EC_CLOSED'
}

function hintOf({ hint }: EpochcastError): { readonly hint?: string } {
  return hint === undefined ? {} : { hint }
}
