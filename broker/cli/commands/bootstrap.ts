import type { Command } from 'commander'
import { EpochcastError } from '../../../proto/errors.ts'
import { type Address, address, serverIdOf } from '../../../proto/ids.ts'
import type { TransportHandler } from '../../../proto/transport/port.ts'
import { dialTcp } from '../../../proto/transport/tcp.ts'
import { type BootstrapResult, bootstrap } from '../../bootstrap.ts'
import { bad, toAddress } from '../arguments.ts'
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
    .argument('[addresses...]', 'HOST:PORT of every server')
    .option('--config <file>', 'take the servers from a configuration file')
  handle<BootstrapCommandOptions>(command, runBootstrap)
}

async function runBootstrap(
  context: Context,
  options: BootstrapCommandOptions,
  operands: readonly string[],
): Promise<void> {
  const servers = await addressesOf(options, operands)
  const { id, arbiters, joined } = await make(servers, context.globals.timeout)
  const created = joined.length === servers.length
  if (context.json) {
    const ids = arbiters.map(({ name }) => serverIdOf(name))
    context.out.json({ cluster: id, created, joined, arbiters: ids, servers })
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
  out.line(`arbiters ${list(arbiters.map(({ name, address: at }) => `${serverIdOf(name)} (${at})`))}`)
}

async function make(servers: readonly Address[], timeoutMs: number | undefined): Promise<BootstrapResult> {
  try {
    const dial = (name: string, handler: TransportHandler) => dialTcp({ name, handler })
    return await bootstrap({ servers, dial, ...(timeoutMs !== undefined && { timeoutMs }) })
  } catch (error) {
    if (!(error instanceof EpochcastError) || error.code !== 'EC_UNREACHABLE') throw error
    const hint = 'start it, and name it by the address in its ready line; the cluster is made when all answer'
    throw new EpochcastError(error.code, error.message, { cause: error, hint })
  }
}

async function addressesOf({ config: file }: BootstrapCommandOptions, operands: readonly string[]): Promise<Address[]> {
  if (file !== undefined && operands.length > 0)
    throw bad('servers come from --config or from arguments, not from both')
  if (file === undefined && operands.length === 0) {
    throw bad('no server is named', 'e.g. epochcast bootstrap 127.0.0.1:7400 127.0.0.1:7401 127.0.0.1:7402')
  }
  const addresses =
    file === undefined
      ? operands.map(toAddress)
      : (await (await import('../../config/config.ts')).loadConfig(file)).servers.map((server) =>
          address(server.address),
        )
  const twice = addresses.find((one, at) => addresses.indexOf(one) !== at)
  if (twice !== undefined) throw bad(`${twice} is named twice`)
  return addresses
}
