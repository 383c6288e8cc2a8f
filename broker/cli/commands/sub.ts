import type { Command } from 'commander'
import {
  type Client,
  type Cursor,
  type From,
  type Message,
  type Order,
  type StreamEvent,
  Subject,
} from '../../../client-sdk/index.ts'
import { Answers } from '../answers.ts'
import { bad, toFrom, toOrder, wholeNumber, wordOf } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import {
  checkFormat,
  eventJson,
  eventText,
  type Formatter,
  formatHelp,
  messageJson,
  parseFormat,
  plainLine,
} from '../messages.ts'

interface SubOptions {
  readonly from?: From
  readonly group?: string
  readonly ack?: 'auto' | 'explicit'
  readonly maxPending?: number
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
    .argument(
      '<topic>',
      "topic, made at its first use where the servers allow that; or a pattern: 'orders.*', 'orders.>'",
    )
    .option(
      '--from <where>',
      'start: everything that is kept; new (default): what comes from now on; a cursor; epoch:N; or a time: ' +
        '2026-01-31T12:00:00Z. A group goes on where it was, whatever is said here',
      toFrom,
    )
    .option('--group <name>', 'share the messages with all who name the same group; each goes to one of them')
    .option(
      '--ack <when>',
      'of a group. auto: a message is done when it is printed; explicit: when a line "ack ID" comes in on standard input, ' +
        'or given back by "nak ID [DELAY]"',
      wordOf('ack', ['auto', 'explicit']),
    )
    .option('--max-pending <n>', 'of a group: messages held at once', wholeNumber('max-pending', 1, 1_000))
    .option('-c, --count <n>', 'stop after so many messages', wholeNumber('count', 1, Number.MAX_SAFE_INTEGER))
    .option('--order <order>', 'none, fifo, causal or total, as far as the topic offers it', toOrder)
    .option('--early', 'print messages on arrival, and on stderr (with --json among them) what became of each')
    .option('--format <format>', `how a message is printed: ${formatHelp}`, parseFormat)
    .option('--events', 'also tell where epochs end: on stderr, with --json among the messages')
    .addHelpText(
      'after',
      "\nExamples:\n  epochcast sub orders.eu --from start -c 10\n  epochcast sub orders.eu --format '%i %t %v\\n'\n  epochcast sub orders.eu --json --events | jq .\n  epochcast sub 'orders.*' --format '%T %v\\n'\n  epochcast sub jobs --group workers --from start",
    )
  handle<SubOptions>(command, sub, { isForOutput: true })
}

async function sub(context: Context, options: SubOptions, [topic = '']: readonly string[]): Promise<void> {
  checkFormat(context.json, options.format)
  if (options.group === undefined && (options.ack !== undefined || options.maxPending !== undefined)) {
    throw bad('--ack and --max-pending are for a group', 'name it with --group')
  }
  await context.withClient(async (client) => {
    if (options.group !== undefined) return readGroup(context, options, client, topic, options.group)
    const stream = subscribe(client, context, options, topic)
    const given = await read(context, options, stream)
    const { cursor } = stream
    await context.out.end()
    if (given > 0 && context.out.lost === null)
      context.aside({ type: 'end', count: given, cursor }, `go on with --from ${cursor}`)
    mustHaveGiven(context, options, given)
  })
}

/** Fewer messages than `--count` asks for are not what was asked for, whatever ended the reading. */
function mustHaveGiven({ signal }: Context, { count }: SubOptions, given: number): void {
  if (count !== undefined && given < count) signal.throwIfAborted()
}

type Events = AsyncIterable<StreamEvent<Uint8Array>> & { readonly cursor: Cursor }

function subscribe(client: Client, { signal }: Context, options: SubOptions, topic: string): Events {
  const { from = 'new', order, early } = options
  if (!Subject.isPattern(topic)) {
    const durability = early === true ? 'early' : 'durable'
    return client.topic(topic).subscribe({ from, events: true, signal, durability, ...(order && { order }) })
  }
  if (early === true) throw bad('--early is for one topic', 'name it in full')
  if (typeof from === 'object' && 'epoch' in from) throw bad('epochs are numbered topic by topic', 'name one topic')
  return client.subscribe(topic, { from, signal, ...(order && { order }) })
}

async function readGroup(context: Context, options: SubOptions, client: Client, topic: string, group: string) {
  if (Subject.isPattern(topic)) throw bad('a group reads one topic', 'name it in full')
  if (options.order !== undefined || options.events === true || options.early === true) {
    throw bad('a group has neither --order nor --events nor --early')
  }
  const { from, ack = 'auto', maxPending, count } = options
  const limits = { ack, ...(from !== undefined && { from }), ...(maxPending !== undefined && { maxPending }) }
  const stream = client.topic(topic).group(group, { ...limits, signal: context.signal })
  const answers = ack === 'explicit' ? new Answers(context, process.stdin) : null
  let given = 0
  try {
    for await (const message of stream) {
      if (count !== undefined && given === count) break
      print(context, options, message)
      answers?.hold(message)
      // A message is done when it is printed: the next one is asked for only once it has left.
      await context.out.end()
      if (context.out.lost !== null) break
      if (++given !== count) continue
      // What was asked for is done only once that is agreed.
      if (answers === null) await message.ack()
      else if (!(await answers.whenEmpty())) context.signal.throwIfAborted()
      break
    }
    mustHaveGiven(context, options, given)
  } finally {
    answers?.end()
  }
}

function print({ out, json }: Context, { format = plainLine }: SubOptions, message: Message<Uint8Array>): void {
  if (json) out.json(messageJson(message))
  else for (const part of format(message)) out.write(part)
}

/** @returns how many messages were printed */
async function read(context: Context, options: SubOptions, stream: Events): Promise<number> {
  const { out, json } = context
  let given = 0
  for await (const event of stream) {
    if (event.type !== 'message') {
      const isTold = options.events === true || event.type !== 'epoch'
      if (json && isTold) out.json(eventJson(event))
      else if (isTold) context.note(eventText(event))
      continue
    }
    print(context, options, event.message)
    if (++given === options.count) break
    await out.drained()
  }
  return given
}
