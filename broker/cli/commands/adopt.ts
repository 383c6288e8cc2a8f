import { existsSync, readdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { EpochcastError } from '../../../proto/errors.ts'
import { serverName } from '../../../proto/ids.ts'
import { type Adoption, adoptDirectory, checkAdoption } from '../../log/directory.ts'
import { identityFileName } from '../../log/identity.ts'
import { bad, toPath } from '../arguments.ts'
import { type Context, handle } from '../context.ts'

interface AdoptOptions {
  readonly data: string
}

const statement =
  'A server that starts here goes on as the storage that this directory holds. If the original acknowledged anything after ' +
  'it was copied, this is an old copy: servers that saw more make it stop; where none did, what is missing is lost.'

export function addAdopt(program: Command): void {
  const command = program
    .command('adopt')
    .summary('make a moved data directory the home of its server')
    .description(
      'Makes a data directory that was moved whole, with its server stopped, the home of its storage. A server does not ' +
        'start on a copy of its directory, because a copy may lack what the original acknowledged. Refused while the ' +
        'original is still where it was, or while a server of --url answers under that storage. Nothing else is changed.',
    )
    .requiredOption(
      '--data <dir>',
      'data directory of one server, or the one above those of several (epochcast dev)',
      toPath,
    )
  handle<AdoptOptions>(command, adopt)
}

async function adopt(context: Context, { data }: AdoptOptions): Promise<void> {
  const paths = directoriesOf(data)
  // All or none: a cluster of which a part was adopted is of no use.
  for (const path of paths) await refuseLiving(context, await checkAdoption(path))
  for (const path of paths) tell(context, path, await adoptDirectory(path))
  if (context.forPeople) context.note(statement)
}

/** The directory itself, or those of the servers in it. */
function directoriesOf(data: string): string[] {
  const path = resolve(data)
  const isStorage = (directory: string) => existsSync(join(directory, identityFileName))
  if (!existsSync(path)) throw bad(`there is no directory ${path}`)
  if (isStorage(path)) return [path]
  const inside = namesIn(path).map((name) => join(path, name))
  const found = inside.filter(isStorage).sort()
  if (found.length > 0) return found
  throw bad(`${path} is no data directory of a server: it has no ${identityFileName}`)
}

function namesIn(path: string): string[] {
  try {
    return readdirSync(path)
  } catch (error) {
    throw bad(`${path} cannot be read as a directory: ${(error as Error).message}`)
  }
}

/** @throws EpochcastError where the cluster at `--url` has a living server with this storage */
async function refuseLiving(context: Context, { identity, isMoved }: Adoption): Promise<void> {
  if (!isMoved || (context.globals.url ?? process.env.EPOCHCAST_URL) === undefined) return
  const name = serverName(identity.server, identity.storage)
  const servers = await context.withClient((client) => client.admin.servers(context.limits()))
  const living = servers.find((server) => server.name === name && server.alive)
  if (living === undefined) return
  const hint = 'Stop that server first, if it is to go on here.'
  throw new EpochcastError('EC_STORAGE_TWICE', `the original of ${name} runs at ${living.address}`, { hint })
}

function tell(context: Context, path: string, { identity, before, isMoved }: Adoption): void {
  const { server, storage } = identity
  const name = serverName(server, storage)
  if (!context.forPeople) {
    const was = before === null ? null : { path: before.path, host: before.host }
    context.out.json({ type: 'adopted', data: path, name, moved: isMoved, before: was })
    return
  }
  const from = before === null ? '' : `, before in ${before.path} on ${before.host}`
  context.out.line(isMoved ? `${path} is now the home of ${name}${from}` : `${path} is the home of ${name} already`)
}
