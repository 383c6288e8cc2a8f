import { join } from 'node:path'
import type { Command } from 'commander'
import { EpochcastError } from '../../../proto/errors.ts'
import type { Shortage } from '../../../proto/shortage.ts'
import type { Sync } from '../../../proto/sync.ts'
import { formatHostPort, isLoopback } from '../../../proto/transport/tcp-address.ts'
import { LocalCluster, localIdsLeftOut, localServersMax } from '../../dev/local-cluster.ts'
import { bad, toPath, toSync, wholeNumber } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { list } from '../describe.ts'
import { Lifetime } from '../process.ts'
import { warnOfShortage } from '../shortages.ts'
import { syncHelp, warnOfLost, warnOfSync } from '../sync.ts'

interface DevOptions {
  readonly data: string
  readonly host: string
  readonly port: number
  readonly servers: number
  readonly sync: Sync
}

const defaultPort = 7400

export function addDev(program: Command): void {
  const command = program
    .command('dev')
    .summary('run a durable cluster in this process')
    .description(
      'Runs a whole cluster in this process, with durable logs: servers a, b, c on neighbouring ports. ' +
        'The first start makes the cluster; a later one finds it again with everything in it.',
    )
    .option('--data <dir>', 'where the servers keep their logs', toPath, './data')
    .option('--port <port>', 'port of the first server', wholeNumber('port', 1, 65_535), defaultPort)
    .option('--servers <n>', 'how many servers', wholeNumber('number of servers', 1, localServersMax), 3)
    .option('--sync <when>', syncHelp, toSync, 'always')
    .option('--host <address>', 'loopback address to listen on', '127.0.0.1')
  handle<DevOptions>(command, dev, { time: 'refused', isLocal: true })
}

async function dev(context: Context, options: DevOptions): Promise<void> {
  if (!isLoopback(options.host)) {
    throw bad(
      `${options.host} is not a loopback address`,
      'dev is for this machine alone; others reach servers run by: epochcast serve',
    )
  }
  const last = options.port + options.servers - 1
  if (last > 65_535) throw bad(`ports ${options.port} to ${last} end behind 65535`)
  const leftOut = localIdsLeftOut(options.data, options.servers)
  if (leftOut.length > 0) {
    context.warn(`${options.data} also holds ${list(leftOut)}, which this start leaves out: see --servers`)
  }
  const { signal } = context
  const lifetime = new Lifetime(signal)
  const onShortage = (server: string, shortage: Shortage, begins: boolean) =>
    warnOfShortage(context, server, shortage, begins)
  const cluster = await start({ ...options, signal, onFatal: lifetime.fail, onShortage })
  try {
    for (const server of cluster.servers) warnOfLost(context, join(options.data, server.server.id), server)
    announce(context, options, cluster)
    await lifetime.over()
  } finally {
    await cluster.stop()
  }
  if (context.forPeople) context.note('stopped')
}

async function start(options: Parameters<typeof LocalCluster.start>[0]): Promise<LocalCluster> {
  try {
    return await LocalCluster.start(options)
  } catch (error) {
    throw error instanceof EpochcastError ? inTermsOfDev(error, options) : error
  }
}

/** The same error, with what to do about it here. */
function inTermsOfDev(error: EpochcastError, options: Pick<DevOptions, 'data' | 'port' | 'servers'>): EpochcastError {
  const { data, port, servers } = options
  const hint = hintFor(error, data, port, port + servers - 1)
  return hint === undefined ? error : new EpochcastError(error.code, error.message, { cause: error, hint })
}

function hintFor(error: EpochcastError, data: string, first: number, last: number): string | undefined {
  if (error.code === 'EC_LOG_LOCKED') {
    return 'another epochcast runs on it: use that one, stop it, or take another directory with --data'
  }
  if (error.code === 'EC_LOG_COPIED') {
    return `start the original, or take another directory with --data; if it was moved here: epochcast adopt --data ${data}`
  }
  const { cause } = error
  if (!(cause instanceof Error) || !('code' in cause) || cause.code !== 'EADDRINUSE') return undefined
  const ports = first === last ? `port ${first}` : `ports ${first} to ${last}`
  return `dev needs ${ports}: stop what listens there, or choose others with --port`
}

function announce(context: Context, options: DevOptions, cluster: LocalCluster): void {
  const { out, colors } = context
  const url = `epochcast://${formatHostPort(options.host, options.port)}`
  const ids = cluster.servers.map(({ server }) => server.id)
  const attempts = commandsToTry(url, ids)
  if (context.json) {
    const servers = cluster.servers.map(({ server, address }) => ({ id: server.id, name: server.name, address }))
    const { cluster: id, created } = cluster
    const { data, sync } = options
    out.json({ ready: true, url, cluster: id, created, data, sync, servers, try: attempts })
    return
  }
  const state = cluster.created ? 'new cluster' : 'same cluster as before'
  out.line(
    `${colors.green('ready')} ${colors.bold(url)}  ${colors.dim(`servers ${list(ids)}; ${options.data}: ${state}`)}`,
  )
  warnOfSync(context, options.sync)
  out.line(`\nTry in another terminal:\n${attempts.map((attempt) => `  ${attempt}\n`).join('')}`)
  out.line(colors.dim('Ctrl-C stops it; what was published stays.'))
}

/** As they must be typed: only a url that nobody would guess is spelled out. */
function commandsToTry(url: string, ids: readonly string[]): string[] {
  const isDefault = url === `epochcast://127.0.0.1:${defaultPort}`
  const flag = isDefault && process.env.EPOCHCAST_URL === undefined ? '' : ` --url ${url}`
  const [first = 'a', second, third] = ids
  const other =
    third === undefined ? ` --mode single --members ${first}` : ` --mode fault-recovery --members ${first},${second}`
  // A topic of one server begins a new epoch as it is.
  const change = second === undefined ? '' : other
  return [
    `npx epochcast pub hello "first message"${flag}`,
    `npx epochcast sub hello --from start${flag}`,
    `npx epochcast reconfig hello${change}${flag}`,
  ]
}
