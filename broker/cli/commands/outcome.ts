import type { Command } from 'commander'
import { type Context, handle } from '../context.ts'
import { findTopic } from '../topics.ts'

interface OutcomeOptions {
  readonly settle?: boolean
}

const outcomeTimeoutMs = 30_000

const meanings = {
  durable: 'on the disks of the quorum',
  included: 'its epoch has ended and holds it',
  dropped: 'its epoch has ended without it; it will never appear',
  pending: 'its epoch is open and no quorum holds it yet; --settle ends the epoch',
} as const

export function addOutcome(program: Command): void {
  const command = program
    .command('outcome')
    .summary('what became of a message')
    .description('Says what became of a publish whose answer was lost: durable, included, dropped or pending.')
    .argument('<topic>')
    .argument('<id>', 'message id, as pub prints it')
    .option('--settle', 'end the epoch when the answer would be pending, so that there is one')
  handle<OutcomeOptions>(command, outcome)
}

async function outcome(
  context: Context,
  options: OutcomeOptions,
  [name = '', id = '']: readonly string[],
): Promise<void> {
  await context.withClient(async (client) => {
    await findTopic(client, name, context.limits())
    const settle = options.settle === true
    const status = await client.topic(name).outcome(id, { ...context.limits(outcomeTimeoutMs), settle })
    if (context.json) context.out.json({ id, status })
    else context.out.line(context.forPeople ? `${status}: ${meanings[status]}` : status)
  })
}
