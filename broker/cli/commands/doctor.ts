import type { Command } from 'commander'
import type { Client, Configuration, ServerEngines, ServerInfo } from '../../../client-sdk/index.ts'
import { toleratedFailures } from '../../../proto/configuration.ts'
import { type Decider, outsideEngine, withoutInstance } from '../../../proto/decider.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { serverIdOf } from '../../../proto/ids.ts'
import type { Finding } from '../../../proto/wire/messages.ts'
import type { Config } from '../../config/config.ts'
import { clusterUrl } from '../cluster-url.ts'
import { type Context, handle } from '../context.ts'
import { count, list } from '../describe.ts'
import { healthOf } from '../health.ts'
import { syncOf } from '../sync.ts'

interface DoctorOptions {
  readonly config?: string
}

/** One thing that was looked at. */
interface Line extends Finding {
  /** `server a`, `engine main`, `topic orders.eu` */
  readonly about: string
}

const engineTimeoutMs = 5_000
const memberTimeoutMs = 2_000

export function addDoctor(program: Command): void {
  const command = program
    .command('doctor')
    .summary('look for what is wrong or weak, and say what to do')
    .description(
      'Looks at the cluster, its topics, and the decision engines as each server sees them: one line for each finding. With ' +
        'a configuration file also at the engines themselves, from here, whether servers run or not. Ends with 1 where ' +
        'something fails, with 0 where there are warnings at most.',
    )
    .option('--config <file>', 'configuration of the cluster')
  handle<DoctorOptions>(command, doctor)
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
  const topics = await client.admin.topics(limits)
  const lines = [...serverLines(client.cluster, servers), ...engineLines(engines, config)]
  for (const { topic } of topics) lines.push(...(await topicLines(context, client, topic, engines, servers)))
  return lines
}

function serverLines(cluster: string, servers: readonly ServerInfo[]): Line[] {
  const silent = servers.filter(({ alive }) => !alive)
  const about = `cluster ${cluster}`
  const lines: Line[] = silent.map(({ id, address, hasOldDisk }) => {
    if (hasOldDisk) {
      const hint = 'start it with its newest disk, or with an empty directory: it is then another server'
      return {
        about: `server ${id}`,
        verdict: 'fail',
        text: 'came back with an old copy of its disk, and stopped',
        hint,
      }
    }
    const hint = 'start it, or take it out of its topics: epochcast reconfig'
    return { about: `server ${id}`, verdict: 'fail', text: `does not answer at ${address}`, hint }
  })
  for (const { id, address, twins } of servers) {
    if (twins.length === 0) continue
    const text = `runs twice: at ${address}, and at ${list(twins)}, which was told to stop`
    const hint = 'keep one of the two down for good; a copy of a server needs an id and an empty directory of its own'
    lines.push({ about: `server ${id}`, verdict: 'fail', text, hint })
  }
  const alive = servers.length - silent.length
  for (const { id, sync } of servers) {
    if (sync === 'always') continue
    const text = `flushes later than it acknowledges (sync: ${sync}): if its machine stops, it is another server`
    const hint =
      'start it with sync: always, or keep it to topics whose messages may be lost; a lost arbiter is not replaced'
    lines.push({ about: `server ${id}`, verdict: 'warn', text, hint })
  }
  if (silent.length === 0) lines.unshift({ about, verdict: 'ok', text: `${count(alive, 'server')}, all answer` })
  return lines
}

/** What each server says of each engine, one line where they say the same. */
function engineLines(told: readonly ServerEngines[], config: Config | null): Line[] {
  const lines = new Map<string, { line: Line; servers: string[] }>()
  const add = (server: string, line: Line) => {
    const key = `${line.about} ${line.verdict} ${line.text}`
    const known = lines.get(key) ?? { line, servers: [] }
    known.servers.push(server)
    lines.set(key, known)
  }
  for (const { server, engines } of told) {
    for (const { id, type, ready, findings } of engines) {
      const about = `engine ${id} (${type})`
      for (const finding of findings) add(server, { ...finding, about })
      if (!ready && findings.length === 0) add(server, { about, verdict: 'fail', text: 'it has not answered yet' })
    }
  }
  const merged = [...lines.values()].map(({ line, servers }) => ({ ...line, text: `${line.text} (${list(servers)})` }))
  return [...merged, ...instanceLines(told), ...foundingLines(told, config)]
}

/** One name, two engines: each server would ask another one. */
function instanceLines(told: readonly ServerEngines[]): Line[] {
  const instances = new Map<string, Map<string, string[]>>()
  for (const { server, engines } of told) {
    for (const { id, instance } of engines) {
      if (instance === undefined || instance === '') continue
      const of = instances.get(id) ?? new Map<string, string[]>()
      instances.set(id, of.set(instance, [...(of.get(instance) ?? []), server]))
    }
  }
  return [...instances].flatMap(([id, of]): Line[] => {
    if (of.size < 2) return []
    const groups = [...of].map(([instance, servers]) => `${list(servers)} see ${instance}`).join('; ')
    const hint = 'let all servers name the same one; epochs that the other one decides cannot end at these'
    return [{ about: `engine ${id}`, verdict: 'fail', text: `is not one engine: ${groups}`, hint }]
  })
}

/** Who decides about new topics was settled at the bootstrap. */
function foundingLines(told: readonly ServerEngines[], config: Config | null): Line[] {
  const founding = told.find((one) => one.founding !== null)?.founding ?? null
  if (founding === null) return []
  const lines = missingLines('new topics', founding, told, null)
  if (config === null || config.servers.length === 0) return lines
  const wanted: Decider = config.engine === null ? 'engine' : `engine:${config.engine}`
  const is = withoutInstance(founding)
  if (is === wanted) return lines
  const text = `${is} decides what a new topic is, and not ${wanted} as ${config.file} says`
  const hint = 'it was settled when the cluster was made; say in the file what is, and name the decider of each topic'
  return [...lines, { about: 'new topics', verdict: 'warn', text, hint }]
}

async function topicLines(
  context: Context,
  client: Client,
  name: string,
  engines: readonly ServerEngines[],
  servers: readonly ServerInfo[],
): Promise<Line[]> {
  const configuration = await client.admin.topic(name, context.limits())
  const replicas = await client.admin.replicas(name, { signal: context.signal })
  const { state, text, toleratesNow } = healthOf(configuration, replicas)
  const verdict = state === 'open' ? (toleratesNow > 0 || configuration.mode === 'single' ? 'ok' : 'warn') : 'fail'
  const about = `topic ${name}`
  const hint = `see: epochcast status ${name}`
  const health: Line = { about, verdict, text, hint }
  return [health, ...syncLines(about, configuration, servers), ...deciderLines(about, configuration, engines)]
}

/** What the mode tolerates covers machines that stop at once, as long as they are no more than that. */
function syncLines(about: string, { mode, members }: Configuration, servers: readonly ServerInfo[]): Line[] {
  const lax = members.filter((member) => syncOf([member], servers) !== 'always')
  const tolerated = toleratedFailures(mode, members.length)
  if (lax.length <= tolerated) return []
  const who = list(lax.map(({ name }) => serverIdOf(name)).sort())
  const what = tolerated === 0 ? 'if its machine stops' : `if the machines of ${tolerated + 1} of them stop at once`
  const text = `${who} ${lax.length === 1 ? 'flushes' : 'flush'} later than acknowledged: ${what}, the topic is lost`
  const hint = `start ${lax.length - tolerated} of them with sync: always`
  return [{ about, verdict: 'warn', text, hint }]
}

function deciderLines(about: string, { decider, members }: Configuration, engines: readonly ServerEngines[]): Line[] {
  const ids = members.map(({ name }) => name.slice(0, name.indexOf('@')))
  return missingLines(about, decider, engines, ids)
}

/** Servers that cannot ask who decides. @param among only these; null for all */
function missingLines(
  about: string,
  decider: Decider,
  told: readonly ServerEngines[],
  among: readonly string[] | null,
): Line[] {
  const engine = outsideEngine(decider)
  if (engine === null) return []
  const asked = told.filter(({ server, silent }) => !silent && (among === null || among.includes(server)))
  const without = asked.filter(({ engines }) => !engines.some(({ id }) => id === engine.id)).map(({ server }) => server)
  const other = asked.flatMap(({ server, engines }) => {
    const instance = engines.find(({ id }) => id === engine.id)?.instance ?? ''
    return instance === '' || instance === engine.instance ? [] : [server]
  })
  const lines: Line[] = []
  if (without.length > 0) {
    const isAll = without.length === asked.length
    const text = `${list(without)} ${without.length === 1 ? 'does' : 'do'} not have engine ${engine.id}, which decides here`
    const hint = `name it under engines in the configuration of ${list(without)}, and restart`
    lines.push({ about, verdict: isAll ? 'fail' : 'warn', text, hint })
  }
  if (other.length > 0) {
    const text = `instance ${engine.instance} of engine ${engine.id} decides here, and ${list(other)} see another one`
    const hint = 'bring back the engine that has the registers: no other one can end this epoch'
    lines.push({ about, verdict: 'fail', text, hint })
  }
  return lines
}
