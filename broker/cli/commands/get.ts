import type { Command } from 'commander'
import type { Received, Topic } from '../../../client-sdk/index.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { type GetLevel, getLevels } from '../../../proto/wire/messages.ts'
import { wordOf } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { count } from '../describe.ts'
import { checkFormat, type Formatter, formatHelp, messageJson, parseFormat, plainLine } from '../messages.ts'
import { findTopic } from '../topics.ts'

interface GetOptions {
  readonly level?: GetLevel
  readonly since?: string
  readonly format?: Formatter
}

const getTimeoutMs = 30_000

export function addGet(program: Command): void {
  const command = program
    .command('get')
    .summary('print what a topic holds now')
    .description(
      'Prints the messages of a topic, oldest epoch first, each publisher in order, and on stderr the cursor behind ' +
        'them: with --since it leaves out what came before.',
    )
    .argument('<topic>')
    .option(
      '--level <level>',
      'linearizable: sees every publish that completed before; durable, early: ask fewer servers',
      wordOf('level', getLevels),
    )
    .option('--since <cursor>', 'leave out what came before this cursor')
    .option('--format <format>', `how a message is printed: ${formatHelp}`, parseFormat)
  handle<GetOptions>(command, get)
}

async function get(context: Context, options: GetOptions, [name = '']: readonly string[]): Promise<void> {
  checkFormat(context.json, options.format)
  await context.withClient(async (client) => {
    await findTopic(client, name, context.limits())
    const { messages, cursor, floor } = await fetch(context, client.topic(name), options)
    const format = options.format ?? plainLine
    for (const message of messages) {
      if (context.json) context.out.json(messageJson(message))
      else for (const part of format(message)) context.out.write(part)
      await context.out.drained()
    }
    await context.out.end()
    if (context.out.lost !== null) return
    context.aside(
      { type: 'end', count: messages.length, cursor, floor },
      `${count(messages.length, 'message')}; cursor ${cursor}`,
    )
  })
}

async function fetch(context: Context, topic: Topic<Uint8Array>, options: GetOptions): Promise<Received<Uint8Array>> {
  const { level, since } = options
  const limits = context.limits(getTimeoutMs)
  try {
    return await topic.get({ ...limits, ...(level && { level }), ...(since !== undefined && { since }) })
  } catch (error) {
    if (!(error instanceof EpochcastError) || error.code !== 'EC_TIMEOUT') throw error
    const other = (level ?? 'linearizable') === 'linearizable' ? '; --level durable asks fewer servers' : ''
    const hint = `who is silent: epochcast status ${topic.name}${other}`
    throw new EpochcastError(error.code, error.message, { cause: error, hint })
  }
}
