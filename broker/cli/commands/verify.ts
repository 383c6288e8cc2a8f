import type { Command } from 'commander'
import { EpochcastError } from '../../../proto/errors.ts'
import { type Context, handle } from '../context.ts'
import { count, list } from '../describe.ts'
import { table } from '../terminal/table.ts'
import { findTopic } from '../topics.ts'
import { type Verification, type VerifiedEpoch, type VerifiedServer, verifyTopic } from '../verification.ts'

interface VerifyFlags {
  readonly deep?: boolean
}

export function addVerify(program: Command): void {
  const command = program
    .command('verify')
    .summary('whether the servers of a topic agree')
    .description(
      'Compares what the servers of a topic know and hold: how each epoch ended, the chain of epochs, and the vectors and ' +
        'digests of the open one. With --deep every message of every server is read and its digest computed again. Exit ' +
        'code 0 when they agree, 1 when they differ, 3 when one of them did not answer or when they could not be compared ' +
        'because epochs changed meanwhile. Servers that differ are looked at again before they are said to.',
    )
    .argument('<topic>')
    .option('--deep', 'read every message from every server')
  handle<VerifyFlags>(command, verify)
}

async function verify(context: Context, { deep }: VerifyFlags, [name = '']: readonly string[]): Promise<void> {
  await context.withClient(async (client) => {
    const newest = await findTopic(client, name, context.limits())
    const progress = (text: () => string) => context.progress.show(text)
    const options = { limits: context.limits(), isDeep: deep === true, progress }
    const found = await verifyTopic(client, newest, options)
    context.progress.clear()
    if (context.forPeople) show(context, found)
    else context.out.json({ ...found, ok: isOk(found) })
    if (found.differences.length > 0) {
      const [first] = found.differences
      const more =
        found.differences.length === 1 ? '' : `, and ${count(found.differences.length - 1, 'more difference')}`
      throw new EpochcastError('EC_SERVERS_DIFFER', `${name}: epoch ${first?.epoch}: ${first?.text}${more}`, {
        hint: 'stop publishing to it, keep the data directories of its servers, and look at them with explain and get',
      })
    }
    if (found.unsettled !== null) {
      throw new EpochcastError('EC_UNSETTLED', `${name} could not be compared: ${found.unsettled}`, {
        hint: 'nothing is known to be wrong: verify again when its epochs change less often, and every server has caught up',
      })
    }
    if (found.silent.length > 0) {
      throw new EpochcastError('EC_UNREACHABLE', `${list(found.silent)} did not answer; the others agree`, {
        hint: 'start them and verify again',
      })
    }
  })
}

function isOk({ differences, silent, unsettled }: Verification): boolean {
  return differences.length === 0 && silent.length === 0 && unsettled === null
}

function show(context: Context, found: Verification): void {
  const { out, colors } = context
  const { topic, epoch, mode, servers, epochs, differences, read } = found
  out.line(`${colors.bold(topic)}  epoch ${epoch}, ${mode}\n`)
  const epochColumns = [
    { title: 'ended epoch', of: (row: VerifiedEpoch) => row.epoch },
    { title: 'messages', of: (row: VerifiedEpoch) => row.closingCount.toLocaleString('en-US') },
    { title: 'digest', of: (row: VerifiedEpoch) => row.closingDigest },
    { title: 'known to', of: (row: VerifiedEpoch) => row.agreed.join(',') },
    ...(read === null ? [] : [{ title: 'complete on', of: (row: VerifiedEpoch) => row.complete?.join(',') ?? '' }]),
  ]
  const kept = epochs.filter((row) => row.epoch > 0)
  if (kept.length > 0) out.write(table(kept, epochColumns, colors))
  const serverColumns = [
    { title: 'server', of: (row: VerifiedServer) => row.server },
    { title: 'phase', of: (row: VerifiedServer) => row.phase },
    { title: 'stored', of: (row: VerifiedServer) => row.stored },
    { title: 'digest', of: (row: VerifiedServer) => row.digest },
    { title: 'behind', of: (row: VerifiedServer) => (row.behind === 0 ? '' : row.behind) },
  ]
  out.write(table(servers, serverColumns, colors))
  for (const { epoch: of, text } of differences) out.line(`${colors.red('differs')} in epoch ${of}: ${text}`)
  if (!isOk(found)) return
  const bytes = read === null ? '' : `, ${count(read, 'message')} read and computed again`
  out.line(`${colors.green('ok')}: ${list(servers.map(({ server }) => server))} agree${bytes}`)
}
