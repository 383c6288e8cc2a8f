/**
 * Positions in a topic, opaque and printable: they survive restarts of the reader and changes of servers. A cursor names the
 * cluster and the topic that it was written for, and has a checksum: in another cluster, or cut off, it would be another place.
 */
import { crc32 } from 'node:zlib'
import { EpochcastError } from '../proto/errors.ts'
import { type ClusterId, type Epoch, epoch, type PublisherId, publisherId, type TopicName } from '../proto/ids.ts'
import type { Frontier, MessageSet } from '../proto/message-set.ts'
import { shown } from '../proto/shown.ts'

/** Everything before `epoch`, and of `epoch` what is in `seen`. */
export interface Position {
  readonly epoch: Epoch
  readonly seen: MessageSet
}

export type Cursor = string

const prefix = 'ec2.'
const prefixBefore = 'ec1.'
/** Stands for the cluster where no server has introduced itself yet. */
const unknownCluster = '-'

export function formatCursor(cluster: ClusterId | '', topic: TopicName, { epoch: at, seen }: Position): Cursor {
  const publishers = [...seen].map(([publisher, { end }]) => `${publisher}=${end}`)
  return seal(prefix, [cluster === '' ? unknownCluster : cluster, topic, at, ...publishers].join(' '))
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` for text that `formatCursor` did not write, or wrote for another topic or cluster */
export function parseCursor(cluster: ClusterId | '', topic: TopicName, text: Cursor): Position {
  const [own, of, first, ...publishers] = unseal(prefix, text)?.split(' ') ?? []
  if (own === undefined || of === undefined) throw notACursor(text)
  checkCluster(cluster, own)
  if (of !== topic)
    throw new EpochcastError('EC_BAD_ARGUMENT', `this cursor is one of another topic than ${topic}: ${of}`)
  const seen = new Map<PublisherId, Frontier>()
  for (const entry of publishers) {
    const match = /^([0-9a-f]{16})=(\d{1,15})$/.exec(entry)
    if (match === null) throw notACursor(text)
    seen.set(publisherId(match[1] ?? ''), { end: Number(match[2]), digest: 0 })
  }
  return { epoch: epoch(Number(first)), seen }
}

/** @throws EpochcastError `EC_OTHER_CLUSTER` where a position belongs to a cluster that is not this one */
export function checkCluster(cluster: ClusterId | '', own: string): void {
  if (own === unknownCluster || own === '' || cluster === '' || own === cluster) return
  throw new EpochcastError('EC_OTHER_CLUSTER', `this cursor is one of cluster ${own}; this is cluster ${cluster}`, {
    hint: "what was read there says nothing about what is here: begin from 'start', 'new' or a time",
  })
}

/** Printable text from which `unseal` takes what was put in, all of it or nothing. */
export function seal(mark: string, content: string): string {
  const bytes = Buffer.from(content)
  return `${mark}${bytes.toString('base64url')}.${crc32(bytes).toString(16)}`
}

/** @returns null for text that `seal` did not write with this mark */
export function unseal(mark: string, text: unknown): string | null {
  if (typeof text !== 'string' || !text.startsWith(mark)) return null
  const [encoded = ''] = text.slice(mark.length).split('.')
  const content = Buffer.from(encoded, 'base64url').toString()
  return seal(mark, content) === text ? content : null
}

function notACursor(text: unknown): EpochcastError {
  const isOld = typeof text === 'string' && text.startsWith(prefixBefore)
  const hint = isOld ? 'an earlier version wrote it, and did not say of which cluster it is' : undefined
  const reason = `cursor ${shown(text)} is not one of a topic`
  return new EpochcastError('EC_BAD_ARGUMENT', reason, hint === undefined ? {} : { hint })
}
