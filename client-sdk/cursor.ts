/** Positions in a topic, opaque and printable: they survive restarts of the reader and changes of servers. */
import { EpochcastError } from '../proto/errors.ts'
import { type Epoch, epoch, publisherId, type TopicName } from '../proto/ids.ts'
import type { MessageSet } from '../proto/message-set.ts'

/** Everything before `epoch`, and of `epoch` what is in `seen`. */
export interface Position {
  readonly epoch: Epoch
  readonly seen: MessageSet
}

export type Cursor = string

const prefix = 'ec1.'

export function formatCursor(topic: TopicName, { epoch: at, seen }: Position): Cursor {
  const publishers = [...seen].map(([publisher, { end }]) => `${publisher}=${end}`)
  return `${prefix}${Buffer.from([topic, at, ...publishers].join(' ')).toString('base64url')}`
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` for text that `formatCursor` did not write, or wrote for another topic */
export function parseCursor(topic: TopicName, text: Cursor): Position {
  if (!text.startsWith(prefix)) throw bad(text)
  const [of, first, ...publishers] = Buffer.from(text.slice(prefix.length), 'base64url').toString().split(' ')
  if (!/^\d{1,15}$/.test(first ?? '')) throw bad(text)
  if (of !== topic) throw new EpochcastError('EC_BAD_ARGUMENT', `this cursor is one of another topic than ${topic}`)
  const seen = new Map()
  for (const entry of publishers) {
    const match = /^([0-9a-f]{16})=(\d{1,15})$/.exec(entry)
    if (match === null) throw bad(text)
    seen.set(publisherId(match[1] ?? ''), { end: Number(match[2]), digest: 0 })
  }
  return { epoch: epoch(Number(first)), seen }
}

function bad(text: string): EpochcastError {
  return new EpochcastError('EC_BAD_ARGUMENT', `cursor ${JSON.stringify(text.slice(0, 60))} is not one of a topic`)
}
