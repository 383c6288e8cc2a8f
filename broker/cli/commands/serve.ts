import type { Command } from 'commander'
import { didYouMean } from '../../../proto/closest.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { type Address, address } from '../../../proto/ids.ts'
import type { Shortage } from '../../../proto/shortage.ts'
import type { Sync } from '../../../proto/sync.ts'
import type { NatsOptions } from '../../../proto/transport/nats-options.ts'
import { isLoopback, isWildcard, parseHostPort } from '../../../proto/transport/tcp-address.ts'
import type { Config, TopicConfig } from '../../config/config.ts'
import { type LaunchedServer, type LaunchOptions, launch } from '../../launch.ts'
import { bad, toAddress, toAddresses, toNats, toPath, toSync } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { list } from '../describe.ts'
import { Lifetime } from '../process.ts'
import { warnOfShortage } from '../shortages.ts'
import { syncHelp, warnOfLost, warnOfSync } from '../sync.ts'

type NewTopicOf = typeof import('../../config/config.ts').newTopic

interface ServeOptions {
  readonly id: string
  readonly data?: string
  readonly listen?: Address
  readonly advertise?: Address
  readonly peers?: readonly Address[]
  readonly config?: string
  readonly insecure?: boolean
  readonly nats?: NatsOptions
  readonly sync?: Sync
  /** False for --no-replace. */
  readonly replace: boolean
}

export function addServe(program: Command): void {
  const command = program
    .command('serve')
    .summary('run one server')
    .description(
      'Runs one server until SIGTERM or SIGINT. With a configuration file its address, directory and peers come from ' +
        'there; options win over the file. A server that belongs to no cluster waits for bootstrap, or joins its peers.',
    )
    .requiredOption('--id <id>', 'which server this is')
    .option('--data <dir>', 'its data directory, of this server alone', toPath)
    .option('--listen <host:port>', 'where it listens', toAddress)
    .option('--advertise <host:port>', 'where others reach it, when that is elsewhere', toAddress)
    .option('--peers <addresses>', 'other servers, separated by commas', toAddresses)
    .option('--config <file>', 'configuration of the cluster', toPath)
    .option('--nats <url>', 'listen on NATS instead: nats://HOST:PORT', toNats)
    .option('--sync <when>', syncHelp, toSync)
    .option('--insecure', 'listen beyond loopback although nothing is encrypted')
    .option('--no-replace', 'leave dead members of topics where they are, until somebody asks for a change')
  handle<ServeOptions>(command, serve, { time: 'refused', isLocal: true })
}

async function serve(context: Context, options: ServeOptions): Promise<void> {
  const lifetime = new Lifetime(context.signal)
  const wanted = await launchOptions(options)
  const begun: { server: LaunchedServer | null } = { server: null }
  const onJoined = () => {
    if (begun.server !== null) warnOfLostArbiter(context, begun.server)
  }
  const onShortage = (shortage: Shortage, begins: boolean) => warnOfShortage(context, wanted.id, shortage, begins)
  const launched = await launch({ ...wanted, onJoined, onFatal: lifetime.fail, onShortage })
  begun.server = launched
  warnOfLost(context, wanted.data, launched)
  warnOfLostArbiter(context, launched)
  try {
    const { server } = launched
    const cluster = server.cluster === '' ? null : server.cluster
    if (context.json) {
      const { address, lost } = launched
      const { sync = 'always' } = wanted
      const { id, name } = server
      context.out.json({ ready: true, id, name, address, cluster, sync, ...(lost && { setAside: lost.files }) })
    } else {
      const state = cluster === null ? 'no cluster yet' : `cluster ${cluster}`
      context.out.line(
        `${context.colors.green('ready')} ${server.id} at ${launched.address}, ${state} (${server.name})`,
      )
      warnOfSync(context, wanted.sync)
    }
    if (cluster === null && options.peers === undefined && options.config === undefined && context.forPeople) {
      context.note(`make one of several servers: epochcast bootstrap ${launched.address} …`)
    }
    await lifetime.over()
  } finally {
    await launched.stop()
  }
}

/** An arbiter whose disk is lost is not replaced by the server that comes in its place: its operator hears it from that server. */
function warnOfLostArbiter(context: Context, { server }: LaunchedServer): void {
  const { id, lostArbiter } = server
  if (lostArbiter === null) return
  context.warn(
    `the arbiter ${lostArbiter} of this cluster has lost its disk: this server, ${server.name}, came in its place, and is no ` +
      'arbiter. The cluster has one arbiter less than it was made with, for good, unless the old data directory of ' +
      `${id} still exists: then stop this server, and start it with that. See: epochcast doctor`,
  )
}

async function launchOptions(options: ServeOptions): Promise<LaunchOptions> {
  const { id, config: file } = options
  const reader = file === undefined ? null : await import('../../config/config.ts')
  const config = reader === null || file === undefined ? null : await reader.loadConfig(file)
  const known = config?.servers.find((server) => server.id === id)
  // A file without servers says what topics are and who decides.
  if (config !== null && config.servers.length > 0 && known === undefined) {
    const ids = config.servers.map((server) => server.id)
    throw new EpochcastError('EC_UNKNOWN_SERVER', `${file} has no server ${id}${didYouMean(id, ids)}`, {
      hint: `it has ${list(ids)}`,
    })
  }
  const data = options.data ?? known?.data
  const listen = options.listen ?? known?.listen ?? undefined
  if (data === undefined)
    throw bad('it is not known where the server keeps its data', 'say --data DIR, or --config FILE')
  const others = config?.servers.filter((server) => server.id !== id).map((server) => address(server.address))
  const common = {
    id,
    data,
    sync: options.sync ?? known?.sync ?? config?.sync ?? 'always',
    seeds: options.peers ?? others ?? [],
    engines: config?.engines ?? [],
    ...(config !== null && reader !== null && { defaults: topicDefaults(config, reader.newTopic) }),
    ...(config !== null && { replaceDeadAfterMs: config.replaceDeadAfterMs }),
    ...(!options.replace && { replaceDeadAfterMs: { recovery: 0, masking: 0 } }),
  }
  const nats = options.nats ?? config?.nats ?? undefined
  if (nats !== undefined) {
    if (options.listen !== undefined || options.advertise !== undefined)
      throw bad('a server listens on NATS or on TCP, not on both', 'leave out --listen and --advertise, or --nats')
    if (options.insecure === true) throw bad('--insecure is about TCP, and the server listens on NATS')
    return { ...common, nats }
  }
  if (listen === undefined)
    throw bad('it is not known where the server listens', 'say --listen HOST:PORT, --nats URL, or --config FILE')
  const { host, port } = parseHostPort(listen) ?? { host: '', port: 0 }
  const advertise = options.advertise ?? (options.listen === undefined ? known?.address : undefined)
  const insecure = options.insecure ?? known?.insecure
  checkListen(host, insecure === true, parseHostPort(advertise ?? '')?.host ?? host)
  return {
    ...common,
    host,
    port,
    ...(advertise !== undefined && advertise !== listen && { advertise }),
    ...(insecure !== undefined && { insecure }),
  }
}

/** What can be said better here than where it would fail. */
function checkListen(host: string, isInsecure: boolean, reached: string): void {
  if (!isLoopback(host) && !isInsecure) {
    const hint = 'listen on 127.0.0.1, or say --insecure where the network itself keeps strangers out'
    throw bad(`refused to listen on ${host}: beyond loopback everyone who reaches it could read and write`, hint)
  }
  if (isWildcard(reached)) {
    throw bad(`${reached} is no address that others can reach`, 'say with --advertise HOST:PORT where they do')
  }
}

function topicDefaults(config: Config, newTopic: NewTopicOf): NonNullable<LaunchOptions['defaults']> {
  const template = (topic: TopicConfig) => {
    const { members, ...rest } = newTopic(config, topic)
    return { ...rest, members: members ?? [] }
  }
  const topics = new Map([...config.topics].map(([name, topic]) => [name, template(topic)]))
  return { autoCreate: config.autoCreate, template: template({}), topics }
}
