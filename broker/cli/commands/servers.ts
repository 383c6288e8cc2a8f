import type { Command } from 'commander'
import type { ServerInfo, ServerParts } from '../../../client-sdk/index.ts'
import { didYouMean } from '../../../proto/closest.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { bad } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { list } from '../describe.ts'
import { partsText } from '../parts.ts'
import { shortageWords } from '../shortages.ts'
import type { Colors } from '../terminal/colors.ts'
import type { Column } from '../terminal/table.ts'

interface ForgetOptions {
  readonly yes?: boolean
}

const commands = ['ls', 'forget']

export function addServers(program: Command): void {
  const servers = program
    .command('servers')
    .summary('list the servers of the cluster, forget one that is gone')
    .description('Lists the servers of the cluster; its commands forget one that is gone for good.')
    .helpCommand(false)
  const all = servers
    .command('ls', { isDefault: true })
    .alias('list')
    .description('Lists the servers, and which of them answer, as the server sees it that is asked.')
    .allowExcessArguments()
  handle(all, ls)
  const forget = servers
    .command('forget')
    .description(
      'Takes a server that is gone for good off the list. Refused while it answers, is an arbiter, or is a member of a ' +
        'topic. Nothing is deleted: a server that is started again comes back by itself.',
    )
    .argument('<id>')
    .option('-y, --yes', 'do not ask')
  handle<ForgetOptions>(forget, forgetOne)
}

async function ls(context: Context, _options: object, [stray]: readonly string[]): Promise<void> {
  if (stray !== undefined) {
    throw bad(`servers has no command ${stray}${didYouMean(stray, commands)}`, `there are ${commands.join(', ')}`)
  }
  await context.withClient(async (client) => {
    const found = await client.admin.servers(context.limits())
    context.records(found, serverColumns(context.colors), serverJson, 'there is no server')
  })
}

async function forgetOne(context: Context, options: ForgetOptions, [id = '']: readonly string[]): Promise<void> {
  await context.withClient(async (client) => {
    const servers = await client.admin.servers(context.limits())
    const server = servers.find((one) => one.id === id)
    if (server !== undefined) {
      checkGone(server, await client.admin.parts(id, context.limits()))
      showPlan(context, server)
      // The command names what it forgets, and the server is down and needed for nothing: a script means what it says.
      if (!(await context.agree(`Forget ${id}?`, options.yes === true || !context.canAsk))) {
        context.note('nothing was changed')
        return
      }
    }
    try {
      await client.admin.forgetServer(id, context.limits())
    } catch (error) {
      throw withNearId(error, id, servers)
    }
    if (context.forPeople) context.out.line(`${context.colors.green('done')} ${id} is forgotten`)
    else context.out.json({ type: 'done', server: id, forgotten: true })
  })
}

/** The same checks as at the servers, before anybody is asked whether to go on. */
function checkGone(server: ServerInfo, parts: ServerParts): void {
  const { id } = server
  if (parts.isArbiter || parts.topics.length > 0) {
    const hint = !parts.isArbiter
      ? 'take it out of its topics first: epochcast reconfig TOPIC --members …'
      : server.alive
        ? 'keep it and its data directory: no other server can become an arbiter'
        : 'start it with the data directory that it had: no other server can become an arbiter'
    throw new EpochcastError('EC_STILL_NEEDED', `${id} is still needed: ${partsText(parts)}`, { hint })
  }
  if (server.alive) {
    const text = `${id} answers at ${server.address}`
    throw new EpochcastError('EC_STILL_NEEDED', text, { hint: 'stop it for good first' })
  }
}

function showPlan(context: Context, { id, name, address }: ServerInfo): void {
  const text = `${id} at ${address} does not answer, and nothing needs it: it is taken off the list of servers.`
  if (context.forPeople) context.out.line(text)
  else context.out.json({ type: 'plan', step: 'forget', server: id, name, address })
}

function withNearId(error: unknown, id: string, servers: readonly ServerInfo[]): unknown {
  if (!(error instanceof EpochcastError) || error.code !== 'EC_UNKNOWN_SERVER') return error
  const known = servers.map((server) => server.id)
  const text = `no server is called ${id}${didYouMean(id, known)}`
  return new EpochcastError('EC_UNKNOWN_SERVER', text, { cause: error, hint: `there are ${list(known)}` })
}

export function serverColumns(colors: Colors): Column<ServerInfo>[] {
  return [
    { title: 'server', of: ({ id }) => id },
    { title: 'address', of: ({ address }) => address },
    {
      title: 'state',
      of: stateOf,
      paint: (text) => (text === 'answers' ? colors.green(text) : colors.red(text)),
    },
    {
      title: 'arbiter',
      of: ({ isArbiter, cameAfterArbiter }) => (isArbiter ? 'yes' : cameAfterArbiter ? 'lost' : ''),
      paint: (text) => (text === 'lost' ? colors.red(text) : text),
    },
    { title: 'sync', of: ({ sync }) => sync, paint: (text) => (text === 'always' ? text : colors.yellow(text)) },
    { title: 'name', of: ({ name }) => name, paint: colors.dim },
  ]
}

function stateOf({ alive, hasOldDisk, twins, shortages }: ServerInfo): string {
  if (twins.length > 0) return 'runs twice'
  if (hasOldDisk) return 'old disk'
  if (!alive) return 'silent'
  return shortages.length === 0 ? 'answers' : shortages.map((shortage) => shortageWords[shortage].state).join(', ')
}

export function serverJson(server: ServerInfo): object {
  const { id, name, address, alive, hasOldDisk, twins, sync, isArbiter, cameAfterArbiter, shortages } = server
  return {
    id,
    name,
    address,
    alive,
    sync,
    arbiter: isArbiter,
    ...(cameAfterArbiter && { arbiterLost: true }),
    ...(hasOldDisk && { hasOldDisk }),
    ...(twins.length > 0 && { twins }),
    ...(shortages.length > 0 && { shortages }),
  }
}
