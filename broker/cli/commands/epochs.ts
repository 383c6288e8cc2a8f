import type { Command } from 'commander'
import type { Decision } from '../../../client-sdk/index.ts'
import type { Configuration } from '../../../proto/configuration.ts'
import { withoutInstance } from '../../../proto/decider.ts'
import { countOf, fingerprint } from '../../../proto/message-set.ts'
import { type Context, handle } from '../context.ts'
import { idsOf } from '../describe.ts'
import { findTopic } from '../topics.ts'

/** One epoch, how it began, and how it ended where it did. */
interface EpochRow {
  readonly configuration: Configuration
  readonly changeId: string | null
  readonly closing: { readonly count: number; readonly digest: string } | null
}

export function addEpochs(program: Command): void {
  const command = program
    .command('epochs')
    .summary('how each epoch of a topic ended')
    .description(
      'Lists the epochs of a topic, oldest first: who its members were, how many messages its closing set holds, the ' +
        'digest that all members agree on, and the change that made it.',
    )
    .argument('<topic>')
  handle(command, epochs)
}

async function epochs(context: Context, _options: object, [name = '']: readonly string[]): Promise<void> {
  await context.withClient(async (client) => {
    const newest = await findTopic(client, name, context.limits())
    const rows = rowsOf(newest, await client.admin.epochs(name, context.limits()))
    const columns = [
      { title: 'epoch', of: ({ configuration }: EpochRow) => configuration.epoch },
      { title: 'mode', of: ({ configuration }: EpochRow) => configuration.mode },
      { title: 'members', of: ({ configuration }: EpochRow) => idsOf(configuration).join(',') },
      { title: 'messages', of: ({ closing }: EpochRow) => closing?.count.toLocaleString('en-US') ?? 'open' },
      { title: 'digest', of: ({ closing }: EpochRow) => closing?.digest ?? '' },
      { title: 'made by change', of: ({ changeId }: EpochRow) => changeId ?? '' },
    ]
    context.records(rows, columns, epochJson, `${name} has no epoch`)
  })
}

function rowsOf(newest: Configuration, decisions: readonly Decision[]): EpochRow[] {
  const rows = decisions.map(({ next, changeId }, at): EpochRow => {
    const ending = decisions[at + 1]
    const closing =
      ending === undefined ? null : { count: countOf(ending.closing), digest: fingerprint(ending.closing) }
    return { configuration: next, changeId, closing }
  })
  const last = rows[rows.length - 1]
  if (last === undefined || last.configuration.epoch < newest.epoch) {
    rows.push({ configuration: newest, changeId: null, closing: null })
  }
  return rows
}

function epochJson({ configuration, changeId, closing }: EpochRow): object {
  const { epoch, mode, decider } = configuration
  const ending = {
    open: closing === null,
    closingCount: closing?.count ?? null,
    closingDigest: closing?.digest ?? null,
  }
  return { epoch, mode, decider: withoutInstance(decider), members: idsOf(configuration), ...ending, changeId }
}
