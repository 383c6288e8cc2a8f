import type { Command } from 'commander'
import type { EventStream, Order } from '../../../client-sdk/index.ts'
import { toOrder, wholeNumber } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { eventJson, eventText, type Formatter, formatHelp, messageJson, parseFormat, plainLine } from '../messages.ts'

interface SubOptions {
  readonly from: string
  readonly count?: number
  readonly order?: Order
  readonly format?: Formatter
  readonly events?: boolean
  readonly early?: boolean
}

export function addSub(program: Command): void {
  const command = program
    .command('sub')
    .summary('read a topic as it grows')
    .description(
      'Prints the value of every message, one a line, as soon as it is durable; goes on across epoch changes until ' +
        'Ctrl-C. At the end it says on stderr from which cursor to go on.',
    )
    .argument('<topic>', 'topic; made at its first use where the servers allow that')
    .option('--from <where>', 'start: everything that is kept; new: what comes from now on; or a cursor', 'new')
    .option('-c, --count <n>', 'stop after so many messages', wholeNumber('count', 1, Number.MAX_SAFE_INTEGER))
    .option('--order <order>', 'none, fifo, causal or total, as far as the topic offers it', toOrder)
    .option('--early', 'print messages on arrival, and on stderr (with --json among them) what became of each')
    .option('--format <format>', `how a message is printed: ${formatHelp}`, parseFormat)
    .option('--events', 'also tell where epochs end: on stderr, with --json among the messages')
    .addHelpText(
      'after',
      "\nExamples:\n  epochcast sub orders.eu --from start -c 10\n  epochcast sub orders.eu --format '%i %t %v\\n'\n  epochcast sub orders.eu --json --events | jq .",
    )
  handle<SubOptions>(command, sub)
}

async function sub(context: Context, options: SubOptions, [topic = '']: readonly string[]): Promise<void> {
  await context.withClient(async (client) => {
    const { from, order, early } = options
    const durability = early === true ? 'early' : 'durable'
    const { signal } = context
    const stream = client.topic(topic).subscribe({ from, events: true, signal, durability, ...(order && { order }) })
    const given = await read(context, options, stream)
    const cursor = stream.cursor
    if (given > 0) context.aside({ type: 'end', count: given, cursor }, `go on with --from ${cursor}`)
  })
}

/** @returns how many messages were printed */
async function read(context: Context, options: SubOptions, stream: EventStream<Uint8Array>): Promise<number> {
  const { out, json } = context
  const format = options.format ?? plainLine
  let given = 0
  for await (const event of stream) {
    if (event.type !== 'message') {
      const isTold = options.events === true || event.type !== 'epoch'
      if (json && isTold) out.json(eventJson(event))
      else if (isTold) context.note(eventText(event))
      continue
    }
    if (json) out.json(messageJson(event.message))
    else for (const part of format(event.message)) out.write(part)
    if (++given === options.count) break
    await out.drained()
  }
  return given
}
