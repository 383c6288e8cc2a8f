import type { Command } from 'commander'
import type { ServerInfo } from '../../../client-sdk/index.ts'
import { type Context, handle } from '../context.ts'
import type { Colors } from '../terminal/colors.ts'
import type { Column } from '../terminal/table.ts'

export function addServers(program: Command): void {
  const command = program
    .command('servers')
    .summary('list the servers of the cluster')
    .description('Lists the servers of the cluster, and which of them answer, as the server sees it that is asked.')
  handle(command, servers)
}

async function servers(context: Context): Promise<void> {
  await context.withClient(async (client) => {
    const found = await client.admin.servers(context.limits())
    context.records(found, serverColumns(context.colors), serverJson, 'there is no server')
  })
}

export function serverColumns(colors: Colors): Column<ServerInfo>[] {
  return [
    { title: 'server', of: ({ id }) => id },
    { title: 'address', of: ({ address }) => address },
    {
      title: 'state',
      of: ({ alive, hasOldDisk, twins }) =>
        twins.length > 0 ? 'runs twice' : hasOldDisk ? 'old disk' : alive ? 'answers' : 'silent',
      paint: (text) => (text === 'answers' ? colors.green(text) : colors.red(text)),
    },
    { title: 'sync', of: ({ sync }) => sync, paint: (text) => (text === 'always' ? text : colors.yellow(text)) },
    { title: 'name', of: ({ name }) => name, paint: colors.dim },
  ]
}

export function serverJson({ id, name, address, alive, hasOldDisk, twins, sync }: ServerInfo): object {
  return { id, name, address, alive, sync, ...(hasOldDisk && { hasOldDisk }), ...(twins.length > 0 && { twins }) }
}
