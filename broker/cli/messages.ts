/** Messages and events of a topic as text and as JSON. */
import { type EarlyEvent, type EpochEvent, type GapEvent, isoTime, type Message } from '../../client-sdk/index.ts'
import { bad } from './arguments.ts'
import { count, idsOf, list } from './describe.ts'

type RawMessage = Message<Uint8Array>
export type Part = string | Uint8Array
export type Formatter = (message: RawMessage) => readonly Part[]

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws EpochcastError `EC_BAD_ARGUMENT` for a format where messages are printed as JSON */
export function checkFormat(json: boolean, format: Formatter | undefined): void {
  if (json && format !== undefined) throw bad('--format is for text, and --json prints messages whole', 'leave out one')
}

/** `value` holds what is UTF-8 text, `base64` anything else. */
export function messageJson(message: RawMessage): object {
  const { id, topic, epoch, publisher, sequence, timeMs, payload } = message
  const time = isoTime(timeMs)
  const { key, contentType, headers } = message.properties
  const beside = {
    ...(key !== undefined && { key }),
    ...(contentType !== undefined && { contentType }),
    ...(headers && { headers }),
  }
  const { position, isEarly, lostDependencies } = message
  return {
    type: 'message',
    topic,
    id,
    epoch,
    publisher,
    sequence,
    time,
    ...(position !== null && { position }),
    ...(isEarly && { early: true }),
    ...(lostDependencies.length > 0 && { lostDependencies }),
    ...beside,
    ...contentOf(payload),
  }
}

function contentOf(payload: Uint8Array): { value: string } | { base64: string } {
  try {
    return { value: strict.decode(payload) }
  } catch {
    return { base64: Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('base64') }
  }
}

export const plainLine: Formatter = (message) => [message.payload, '\n']

const fields: Record<string, (message: RawMessage) => Part> = {
  e: (message) => String(message.epoch),
  p: (message) => message.publisher,
  s: (message) => String(message.sequence),
  t: ({ timeMs }) => isoTime(timeMs) ?? String(timeMs),
  i: (message) => message.id,
  v: (message) => message.payload,
  b: (message) => String(message.payload.length),
  n: (message) => String(message.position ?? '-'),
  T: (message) => message.topic,
  k: (message) => message.key ?? '',
  h: (message) => JSON.stringify(message.headers),
  '%': () => '%',
}

export const formatHelp =
  '%v value, %i id, %e epoch, %p publisher, %s sequence, %t time, %b bytes, %T topic, %n position, %k key, %h headers, %% percent; \\n, \\t, \\0, \\\\'

const escapes: Record<string, string> = { n: '\n', t: '\t', r: '\r', '0': '\0', '\\': '\\' }

/** @throws EpochcastError `EC_BAD_ARGUMENT` for a letter that means nothing */
export function parseFormat(format: string): Formatter {
  const parts: (string | ((message: RawMessage) => Part))[] = []
  for (const [piece] of format.matchAll(/%.?|\\.?|[^%\\]+/gsu)) {
    if (piece.startsWith('%')) {
      const field = fields[piece.slice(1)]
      if (field === undefined) throw bad(`${JSON.stringify(piece)} means nothing in a format`, formatHelp)
      parts.push(field)
    } else if (piece.startsWith('\\')) {
      const text = escapes[piece.slice(1)]
      if (text === undefined) throw bad(`${JSON.stringify(piece)} means nothing in a format`, formatHelp)
      parts.push(text)
    } else parts.push(piece)
  }
  return (message) => parts.map((part) => (typeof part === 'string' ? part : part(message)))
}

/** What a stream tells beside messages. */
export type OtherEvent = EpochEvent | GapEvent | EarlyEvent

export function eventJson(event: OtherEvent): object {
  if (event.type !== 'epoch') return event
  const { type, ended, configuration, closingCount, closingDigest, included, dropped } = event
  const { epoch, mode } = configuration
  return { type, ended, epoch, mode, members: idsOf(configuration), closingCount, closingDigest, included, dropped }
}

export function eventText(event: OtherEvent): string {
  if (event.type === 'gap') return `-- messages of epochs ${event.from} to ${event.to} are not kept any more`
  if (event.type !== 'epoch') return `-- ${event.id} ${event.type === 'confirmed' ? 'is durable' : 'was dropped'}`
  const { ended, configuration, closingCount, closingDigest } = event
  const { epoch, mode } = configuration
  const closing = `${count(closingCount, 'message')}, digest ${closingDigest}`
  return `-- epoch ${ended} ended with ${closing}; epoch ${epoch}: ${mode} on ${list(idsOf(configuration))}`
}
