import type { Command } from 'commander'
import { type Client, type Configuration, isoTime } from '../../../client-sdk/index.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { formatMessageId, type MessageId, parseMessageId } from '../../../proto/ids.ts'
import { bad } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { type ExplainedServer, type Explanation, explainIn, mentions } from '../explanation.ts'
import { table } from '../terminal/table.ts'
import { findTopic } from '../topics.ts'
import { Witnesses } from '../witnesses.ts'

interface ExplainFlags {
  readonly topic?: string
}

export function addExplain(program: Command): void {
  const command = program
    .command('explain')
    .summary('where a message is, or why it was dropped')
    .description(
      'Says what became of one message: which servers hold it, whether the closing set of its epoch does, which change ended ' +
        'that epoch, and why it was dropped where it was. Exit code 1 when nobody knows of it.',
    )
    .argument('<id>', 'message id, as pub prints it')
    .option('--topic <topic>', 'where to look; otherwise in all topics')
  handle<ExplainFlags>(command, explain)
}

async function explain(context: Context, { topic }: ExplainFlags, [text = '']: readonly string[]): Promise<void> {
  const id = idOf(text)
  await context.withClient(async (client) => {
    const witnesses = new Witnesses(client, () => context.questionLimits())
    const newest =
      topic === undefined
        ? await topicOf(context, client, id, witnesses)
        : await findTopic(client, topic, context.limits())
    const found = await explainIn(client, newest, id, witnesses, context.limits())
    context.progress.clear()
    if (context.forPeople) show(context, found)
    else context.out.json(explanationJson(found))
    if (found.outcome === 'unknown' || found.outcome === 'not-begun') throw nobodyKnows(id, found.why)
  })
}

function idOf(text: string): MessageId {
  try {
    return parseMessageId(text)
  } catch {
    throw bad(
      `${JSON.stringify(text.slice(0, 80))} is no message id`,
      'ids look like 3-00112233aabbccdd-42, as pub prints them',
    )
  }
}

/** Publishers are random: the one topic that has heard of it. */
async function topicOf(context: Context, client: Client, id: MessageId, witnesses: Witnesses): Promise<Configuration> {
  const topics = await client.admin.topics(context.limits())
  for (const [at, { topic }] of topics.entries()) {
    context.progress.show(() => `looking in ${topic}, ${at + 1} of ${topics.length}`)
    const newest = await client.admin.topic(topic, context.limits())
    if (await mentions(witnesses, newest, id)) return newest
  }
  throw nobodyKnows(id, `no topic has heard of its publisher in epoch ${id.epoch}`)
}

function nobodyKnows(id: MessageId, why: string): EpochcastError {
  return new EpochcastError('EC_OUTCOME_EXPIRED', `nobody knows of ${formatMessageId(id)}: ${why}`, {
    hint: 'a message that reached no server before its epoch ended leaves no trace; with --topic its outcome is certain',
  })
}

function show(context: Context, found: Explanation): void {
  const { out, colors } = context
  const { id, topic, outcome, why, servers, message } = found
  const paint = outcome === 'durable' || outcome === 'included' ? colors.green : colors.yellow
  out.line(`${colors.bold(id)}  in ${topic}: ${paint(outcome)}\n`)
  out.line(`${why.charAt(0).toUpperCase()}${why.slice(1)}.`)
  if (message !== null) {
    const bytes = message.payload === null ? 'not a proper message' : `${message.payload.length} bytes`
    out.line(`Published ${isoTime(message.timeMs) ?? `${message.timeMs} ms after 1970`}, ${bytes}.`)
  }
  if (servers.length === 0) return
  out.line('')
  const columns = [
    { title: 'server', of: (row: ExplainedServer) => row.server },
    { title: 'member', of: (row: ExplainedServer) => row.member },
    { title: 'holds it', of: (row: ExplainedServer) => row.holds },
  ]
  out.write(table(servers, columns, colors))
}

function explanationJson({ message, ...rest }: Explanation): object {
  const payload = message?.payload ?? null
  return {
    ...rest,
    time: message === null ? null : isoTime(message.timeMs),
    bytes: payload === null ? null : payload.length,
  }
}
