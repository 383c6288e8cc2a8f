import type { Command } from 'commander'
import { environmentUrl } from '../../../client-sdk/index.ts'
import { type Decider, engineDecider, withoutInstance } from '../../../proto/decider.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { type Address, address, serverIdOf } from '../../../proto/ids.ts'
import { isNatsUrl, type NatsOptions, parseNatsUrl } from '../../../proto/transport/nats-options.ts'
import { isNatsServer } from '../../../proto/transport/nats-subjects.ts'
import { dialTcp } from '../../../proto/transport/tcp.ts'
import { type BootstrapOptions, type BootstrapResult, bootstrap } from '../../bootstrap.ts'
import type { EngineConfig } from '../../engines/open.ts'
import { bad, toAddress, toPath } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { count, list } from '../describe.ts'

interface BootstrapCommandOptions {
  readonly config?: string
}

export function addBootstrap(program: Command): void {
  const command = program
    .command('bootstrap')
    .summary('make a cluster of running servers, once')
    .description(
      'Makes a cluster of servers that run and belong to none. Once in the life of a cluster; doing it again finishes ' +
        'what was half done, and changes nothing else.',
    )
    .argument('[addresses...]', 'HOST:PORT of every server, nats/ID of those on NATS')
    .option('--config <file>', 'take the servers from a configuration file', toPath)
  handle<BootstrapCommandOptions>(command, runBootstrap)
}

async function runBootstrap(
  context: Context,
  options: BootstrapCommandOptions,
  operands: readonly string[],
): Promise<void> {
  const { servers, nats, engine } = await serversOf(context, options, operands)
  const founding = engine === null ? 'engine' : await foundingOf(engine, context.globals.timeout)
  const { id, arbiters, joined, decider = 'engine' } = await make(servers, nats, founding, context.globals.timeout)
  const created = joined.length === servers.length
  if (context.json) {
    const ids = arbiters.map(({ name }) => serverIdOf(name))
    context.out.json({ cluster: id, created, joined, arbiters: ids, decider: withoutInstance(decider), servers })
    return
  }
  const { out, colors } = context
  const what = created
    ? 'made'
    : joined.length > 0
      ? `existed; ${count(joined.length, 'server')} joined`
      : 'exists already'
  out.line(`cluster ${colors.bold(id)} ${what}`)
  out.line(`servers  ${list(servers)}`)
  if (decider !== 'engine') out.line(`topics   are decided about by ${withoutInstance(decider)}`)
  out.line(`arbiters ${list(arbiters.map(({ name, address: at }) => `${serverIdOf(name)} (${at})`))}`)
}

async function make(
  servers: readonly Address[],
  nats: NatsOptions | null,
  decider: Decider,
  timeoutMs: number | undefined,
): Promise<BootstrapResult> {
  try {
    const dial = await dialer(nats)
    return await bootstrap({ servers, dial, decider, ...(timeoutMs !== undefined && { timeoutMs }) })
  } catch (error) {
    if (!(error instanceof EpochcastError) || error.code !== 'EC_UNREACHABLE') throw error
    const hint = 'start it, and name it by the address in its ready line; the cluster is made when all answer'
    throw new EpochcastError(error.code, error.message, { cause: error, hint })
  }
}

const engineTimeoutMs = 10_000

/** The instance that answers now: from then on it decides what a new topic is, for ever. */
async function foundingOf(config: EngineConfig, timeoutMs = engineTimeoutMs): Promise<Decider> {
  const { inspectEngine } = await import('../../engines/inspect.ts')
  const { instance, findings } = await inspectEngine(config, timeoutMs)
  const failed = findings.find(({ verdict }) => verdict === 'fail')
  if (failed === undefined) return engineDecider(config.id, instance)
  throw new EpochcastError('EC_NO_DECIDER', `engine ${config.id} cannot decide: ${failed.text}`, {
    hint: failed.hint ?? 'start it; the cluster is made when it answers',
  })
}

async function dialer(nats: NatsOptions | null): Promise<BootstrapOptions['dial']> {
  if (nats === null) return (name, handler) => dialTcp({ name, handler })
  const { dialNats } = await import('../../../proto/transport/nats.ts')
  return (name, handler) => dialNats({ name, nats, handler })
}

interface Named {
  readonly servers: Address[]
  /** Through which NATS they are reached; null for TCP. */
  readonly nats: NatsOptions | null
  /** Who decides about new topics; null for the arbiters. */
  readonly engine: EngineConfig | null
}

async function serversOf(
  context: Context,
  { config: file }: BootstrapCommandOptions,
  operands: readonly string[],
): Promise<Named> {
  if (file !== undefined && operands.length > 0)
    throw bad('servers come from --config or from arguments, not from both')
  if (file === undefined && operands.length === 0) {
    throw bad('no server is named', 'e.g. epochcast bootstrap 127.0.0.1:7400 127.0.0.1:7401 127.0.0.1:7402')
  }
  const config = file === undefined ? null : await (await import('../../config/config.ts')).loadConfig(file)
  const addresses = config?.servers.map((server) => address(server.address)) ?? operands.map(toAddress)
  const twice = addresses.find((one, at) => addresses.indexOf(one) !== at)
  if (twice !== undefined) throw bad(`${twice} is named twice`)
  checkUrlUsed(context.globals.url, config !== null, addresses)
  const url = context.globals.url ?? environmentUrl() ?? ''
  const nats = config?.nats ?? (addresses.some(isNatsServer) && isNatsUrl(url) ? parseNatsUrl(url) : null)
  if (nats === null && addresses.some(isNatsServer))
    throw bad('it is not known which NATS', 'say --url nats://HOST:PORT')
  const engine = config?.engines.find(({ id }) => id === config.engine) ?? null
  return { servers: addresses, nats, engine }
}

/** `--url` says which NATS, and nothing else here: servers on TCP are named by their addresses. */
function checkUrlUsed(url: string | undefined, isFromFile: boolean, servers: readonly Address[]): void {
  if (url === undefined) return
  if (isFromFile) throw bad('--url is not for --config: the file says how its servers are reached')
  if (!servers.some(isNatsServer) || !isNatsUrl(url))
    throw bad('--url says here which NATS: nats://HOST:PORT, for servers nats/ID')
}
