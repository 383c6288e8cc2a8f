import type { Command } from 'commander'
import { topicName } from '../../../proto/ids.ts'
import {
  defaultNatsUrl,
  formatNatsUrl,
  type NatsOptions,
  withoutPassword,
} from '../../../proto/transport/nats-options.ts'
import { bad, toNats, toPath } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { count } from '../describe.ts'

interface BridgeOptions {
  readonly nats: NatsOptions
  readonly subject?: string
  readonly topic?: string
  readonly queue?: string
  readonly fromTopic?: readonly string[]
  readonly toSubject?: string
  readonly from?: string
  readonly state?: string
  readonly deadLetter?: string
}

export function addBridge(program: Command): void {
  const bridge = program
    .command('bridge')
    .summary('join topics to another system')
    .description('Joins topics to another system.')
  const command = bridge
    .command('nats')
    .summary('join topics to subjects of NATS')
    .description(
      'Carries messages from subjects of NATS into topics, or from topics to subjects, until SIGTERM or SIGINT. A message ' +
        'with a reply subject gets its durable acknowledgement there, as JSON: {"id","topic","epoch","status"}, or {"error"}. ' +
        'What is published to NATS while no bridge listens is not seen; from topics, everything arrives at NATS at least once.',
    )
    .option('--nats <url>', 'the NATS to join', toNats, toNats(defaultNatsUrl))
    .option('--subject <pattern>', "from NATS: subjects, with * and >, e.g. 'orders.>'")
    .option('--topic <template>', 'the topic that they go to; {1} is what the first wildcard stands for')
    .option('--queue <name>', 'bridges of one queue share the messages (default: those that do the same)')
    .option('--from-topic <topics>', 'to NATS: topics, separated by commas', (text: string) => text.split(','))
    .option('--to-subject <template>', "the subject that they go to; {topic} is the topic's name")
    .option('--from <where>', 'where a topic is begun: start, new (default), or a cursor')
    .option('--state <file>', 'remembers how far topics were carried, and goes on from there', toPath)
    .option(
      '--dead-letter <topic>',
      'takes messages that are larger than NATS does (default: the bridge stops at the first)',
    )
    .addHelpText(
      'after',
      "\nExamples:\n  epochcast bridge nats --subject 'orders.>' --topic orders.{1}\n" +
        '  epochcast bridge nats --from-topic orders.eu --to-subject out.{topic} --state bridge.json\n' +
        '  nats request orders.eu \'{"item":"tea"}\'        answers with the id when it is durable',
    )
  handle<BridgeOptions>(command, runBridge, { time: 'refused' })
}

async function runBridge(context: Context, options: BridgeOptions): Promise<void> {
  const [loaded, link] = [await import('../../bridge/bridge.ts'), await import('../../../proto/transport/nats-link.ts')]
  const { subject, topic, fromTopic, toSubject } = options
  if ((subject === undefined) !== (topic === undefined)) throw bad('--subject and --topic belong together')
  if ((fromTopic === undefined) !== (toSubject === undefined))
    throw bad('--from-topic and --to-subject belong together')
  if (subject === undefined && fromTopic === undefined) {
    throw bad('there is nothing to carry', "e.g. --subject 'orders.>' --topic orders.{1}")
  }
  if (subject === undefined && options.queue !== undefined) throw bad('--queue is for what comes from NATS: --subject')
  if (fromTopic === undefined && (options.from !== undefined || options.state !== undefined))
    throw bad('--from and --state are for what goes to NATS: --from-topic')
  const { deadLetter } = options
  if (deadLetter !== undefined && fromTopic === undefined) throw bad('--dead-letter belongs to --from-topic')
  const plan = new loaded.BridgePlan(
    subject !== undefined && topic !== undefined ? { pattern: subject, template: topic } : null,
    fromTopic !== undefined && toSubject !== undefined
      ? { topics: fromTopic.map((name) => topicName(name.trim())), template: toSubject }
      : null,
  )
  const { state, from = 'new', queue } = options
  const positions = state === undefined ? null : await loaded.PositionFile.open(state)
  await context.withClient(async (client) => {
    const nats = await link.openNats({ ...options.nats, name: 'epochcast-bridge' })
    const warn = (text: string) => context.warn(text)
    try {
      const bridge = new loaded.Bridge({
        plan,
        client,
        nats,
        from,
        positions,
        warn,
        ...(queue !== undefined && { queue }),
        ...(deadLetter !== undefined && { deadLetter: topicName(deadLetter) }),
      })
      const counts = await bridge.run(context.signal, () => showReady(context, plan.about, options.nats))
      const { stored, refused, echoes, sent, aside, cursors } = counts
      const outside = aside === 0 ? '' : `, ${aside} put aside`
      const text = `${count(stored, 'message')} from NATS stored, ${refused} refused, ${sent} sent to NATS${outside}`
      context.aside({ type: 'end', stored, refused, echoes, sent, aside, cursors }, text)
      for (const [name, cursor] of Object.entries(cursors)) {
        if (state === undefined && !context.json) context.note(`${name}: go on with --from ${cursor}`)
      }
    } finally {
      await nats.close()
    }
  })
}

function showReady(context: Context, about: readonly string[], nats: NatsOptions): void {
  const url = withoutPassword(formatNatsUrl({ servers: nats.servers }))
  if (context.json) context.out.json({ ready: true, nats: url, carries: about })
  else context.out.line(`${context.colors.green('ready')} ${about.join('; ')} (${url})`)
}
