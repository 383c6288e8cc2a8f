import type { Command } from 'commander'
import type { Properties, Topic } from '../../../client-sdk/index.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { toHeader } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { count } from '../describe.ts'
import { LinePublisher } from '../line-publisher.ts'
import { explained, publishTimeoutMs, showOutcome } from '../outcomes.ts'

interface PubOptions {
  readonly key?: string
  readonly header?: Readonly<Record<string, string>>
  readonly contentType?: string
}

export function addPub(program: Command): void {
  const command = program
    .command('pub')
    .summary('publish messages')
    .description(
      'Publishes each MESSAGE, or each line of standard input, and waits until it is on the disks of the quorum. ' +
        'Prints id and status of each message: durable, or included when its epoch ended meanwhile. ' +
        'Piped input prints a summary instead. --timeout: how long a message, or all lines that are under way, may go without an outcome.',
    )
    .argument('<topic>', 'topic; made at its first use where the servers allow that')
    .argument('[messages...]', 'messages; without any, one is read from each line of standard input')
    .option('--key <key>', 'what the messages are about')
    .option('--header <name=value>', 'something beside the payload; again for more', toHeader)
    .option('--content-type <type>', 'MIME type of the payload')
    .addHelpText(
      'after',
      '\nExamples:\n  epochcast pub orders.eu "first" "second"\n  epochcast pub orders.eu --key tea --header trace-id=7 "third"\n  tail -F app.log | epochcast pub logs',
    )
  handle<PubOptions>(command, pub, { time: 'own' })
}

async function pub(context: Context, options: PubOptions, operands: readonly string[]): Promise<void> {
  const [name = '', ...messages] = operands
  const properties = propertiesOf(options)
  await context.withClient(async (client) => {
    const topic = client.topic(name)
    if (messages.length > 0) await pubArguments(context, topic, messages, properties)
    else await new LinePublisher(context, client, topic, properties).run(process.stdin)
  })
}

export function propertiesOf({ key, header, contentType }: PubOptions): Properties {
  return {
    ...(key !== undefined && { key }),
    ...(header && { headers: header }),
    ...(contentType !== undefined && { contentType }),
  }
}

async function pubArguments(
  context: Context,
  topic: Topic<Uint8Array>,
  messages: readonly string[],
  properties: Properties,
): Promise<void> {
  const limits = { ...context.limits(publishTimeoutMs), ...properties }
  const outcomes = await Promise.allSettled(messages.map((message) => topic.publish(Buffer.from(message), limits)))
  const failures: unknown[] = []
  for (const outcome of outcomes) {
    if (outcome.status === 'fulfilled') showOutcome(context, outcome.value)
    else failures.push(outcome.reason)
  }
  const first = explained(failures[0], topic.name)
  if (first === undefined) return
  if (failures.length === 1 && messages.length === 1) throw first
  throw summarised(failures.length, messages.length, first)
}

/** One error for many: the code of the first. */
function summarised(failed: number, all: number, first: unknown): unknown {
  if (!(first instanceof EpochcastError)) return first
  const { code, message, hint, messageId } = first
  const what = code === 'EC_OUTCOME_UNKNOWN' ? 'have no known outcome' : 'were not stored'
  return new EpochcastError(code, `${failed} of ${count(all, 'message')} ${what}: ${message}`, {
    cause: first,
    ...(hint !== undefined && { hint }),
    ...(messageId !== undefined && { messageId }),
  })
}
