/** What people are told of servers that flush later than they acknowledge. */
import { type ServerName, serverIdOf } from '../../proto/ids.ts'
import { type Sync, weaker } from '../../proto/sync.ts'
import type { LaunchedServer } from '../launch.ts'
import type { Context } from './context.ts'
import { list } from './describe.ts'

export const syncHelp =
  'when it flushes: always (default: before each acknowledgement), "interval MS" (written first, flushed so much later) or memory'

/** What acknowledgements mean here, where it is not what people expect. */
export function warnOfSync(context: Context, sync: Sync = 'always'): void {
  if (sync === 'always') return
  const when = sync === 'memory' ? 'and nobody flushes them' : `and flushed within ${sync.slice('interval '.length)} ms`
  context.warn(
    `sync: ${sync}: messages are acknowledged when they are written, ${when}; a machine that stops loses the rest, ` +
      'and its server comes back as another one',
  )
}

export function warnOfLost(context: Context, data: string, { server, lost }: LaunchedServer): void {
  if (lost === null) return
  const how = lost.sync === '' ? '' : ` (sync: ${lost.sync})`
  context.warn(
    `the machine stopped before all that ${server.id} had acknowledged was on disk${how}: it is another server now, ` +
      `${server.name}; its old log is kept in ${data}: ${list(lost.files)}`,
  )
}

/** How the weakest of these servers flushes. */
export function syncOf(
  members: readonly { readonly name: string }[],
  servers: readonly { readonly name: string; readonly sync: Sync }[],
): Sync {
  const syncs = members.map(({ name }) => servers.find((server) => server.name === name)?.sync ?? 'always')
  return syncs.reduce(weaker, 'always')
}

/** The same in words, member by member where they differ. */
export function syncText(
  members: readonly { readonly name: ServerName }[],
  servers: readonly { readonly name: string; readonly sync: Sync }[],
): string {
  const weakest = syncOf(members, servers)
  if (weakest === 'always') return 'always: on disk before it is acknowledged'
  const lax = members.filter((member) => syncOf([member], servers) !== 'always')
  if (lax.length === members.length) return `${weakest}: written when it is acknowledged, on disk later`
  return `${weakest} on ${list(lax.map(({ name }) => serverIdOf(name)).sort())}, always on the others`
}
