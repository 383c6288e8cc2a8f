import { spawn } from 'node:child_process'
import type { Command } from 'commander'
import type { GroupMessage } from '../../../client-sdk/index.ts'
import { onAbort } from '../../../proto/aborts.ts'
import { EpochcastError } from '../../../proto/errors.ts'
import { bad, toHeader } from '../arguments.ts'
import { type Context, handle } from '../context.ts'
import { checkFormat, type Formatter, formatHelp, messageJson, parseFormat, plainLine } from '../messages.ts'
import { propertiesOf } from './pub.ts'

interface RequestOptions {
  readonly key?: string
  readonly header?: Readonly<Record<string, string>>
  readonly contentType?: string
  readonly format?: Formatter
}

interface ReplyOptions {
  readonly group?: string
}

const requestTimeoutMs = 10_000
const replyBytesMax = 1024 * 1024

export function addRequest(program: Command): void {
  const request = program
    .command('request')
    .summary('publish a request and print its reply')
    .description(
      'Publishes MESSAGE and prints the first reply that somebody gives with epochcast reply or respond(). When none comes in ' +
        'time it is not known whether the request was handled: exit code 3.',
    )
    .argument('<topic>')
    .argument('<message>')
    .option('--key <key>', 'what the request is about')
    .option('--header <name=value>', 'something beside the payload; again for more', toHeader)
    .option('--content-type <type>', 'MIME type of the payload')
    .option('--format <format>', `how the reply is printed: ${formatHelp}`, parseFormat)
  handle<RequestOptions>(request, ask)

  const reply = program
    .command('reply')
    .summary('answer requests with a command')
    .description(
      'Runs COMMAND for each request: the request on its standard input, its standard output the reply. All who answer the same ' +
        'topic share its requests. Goes on until Ctrl-C.',
    )
    .argument('<topic>', 'topic; made at its first use where the servers allow that')
    .argument('<command...>', 'command and its arguments, behind --')
    .option('--group <name>', 'name of those who answer together (default: responders)')
    .addHelpText(
      'after',
      '\nExamples:\n  epochcast reply shout -- tr a-z A-Z\n  epochcast request shout hello        # in another terminal: HELLO',
    )
  handle<ReplyOptions>(reply, answer, { time: 'refused' })
}

async function ask(context: Context, options: RequestOptions, operands: readonly string[]): Promise<void> {
  const [topic = '', message = ''] = operands
  checkFormat(context.json, options.format)
  await context.withClient(async (client) => {
    const limits = { ...context.limits(requestTimeoutMs), ...propertiesOf(options) }
    const reply = await client.topic(topic).request(Buffer.from(message), limits)
    if (context.json) context.out.json(messageJson(reply))
    else for (const part of (options.format ?? plainLine)(reply)) context.out.write(part)
  })
}

async function answer(context: Context, { group }: ReplyOptions, operands: readonly string[]): Promise<void> {
  const [topic = '', command, ...args] = operands
  if (command === undefined) throw bad('no command is given', 'e.g. epochcast reply shout -- tr a-z A-Z')
  await context.withClient(async (client) => {
    const { signal } = context
    const handler = (request: GroupMessage<Uint8Array>) => run(command, args, request.payload, signal)
    const responder = client.topic(topic).respond(handler, { ...(group !== undefined && { group }), signal })
    await Promise.race([responder.ready(), responder.done])
    context.aside({ type: 'ready', topic }, `answering requests in ${topic}`)
    await responder.done
  })
}

/** @returns what the command wrote to its standard output */
function run(command: string, args: readonly string[], input: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    const unlisten = onAbort(signal, () => child.kill())
    const parts: Buffer[] = []
    let bytes = 0
    child.on('error', (error) => {
      unlisten()
      reject(error)
    })
    // It need not read its input.
    child.stdin.on('error', () => {})
    child.stdout.on('data', (part: Buffer) => {
      bytes += part.length
      if (bytes <= replyBytesMax) parts.push(part)
      else child.kill()
    })
    child.on('close', (code, by) => {
      unlisten()
      if (code === 0 && bytes <= replyBytesMax) resolve(Buffer.concat(parts))
      else if (bytes > replyBytesMax)
        reject(new EpochcastError('EC_MESSAGE_TOO_LARGE', 'the reply is larger than 1 MiB'))
      else reject(new Error(`${command} ended with ${by ?? `code ${code}`}`))
    })
    child.stdin.end(input)
  })
}
