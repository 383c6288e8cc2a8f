/**
 * Sets of one epoch's messages as prefix vectors: one number per publisher, the last of its messages in the set, with the
 * chained digest of its batches. Ten million messages are a few bytes, union is the larger number, intersection the smaller,
 * and every set is closed under "an earlier message of the same publisher".
 *
 * Source: the sets that `store`, `collect` and `suspended` carry in Figures 4 to 6 of Birman, Malkhi, van Renesse,
 * "Virtually Synchronous Methodology for Dynamic Service Replication".
 * Departs from it: sets of whole messages become vectors, because servers take a publisher's batches only in sequence.
 */
import { isSystemPublisher, type PublisherId } from './ids.ts'

/** Where a publisher's prefix ends, and the digest of all batches up to there. */
export interface Frontier {
  readonly end: number
  readonly digest: number
}

export type MessageSet = ReadonlyMap<PublisherId, Frontier>

export const emptySet: MessageSet = new Map()
export const noFrontier: Frontier = { end: 0, digest: 0 }

/**
 * Digest of a publisher's batches up to and including one more.
 * @param previous digest before that batch, 0 for the first
 * @param last sequence of the batch's last message
 * @param check crc32 of the batch's body
 * @returns 52 bits as a safe integer
 */
export function chainDigest(previous: number, last: number, check: number): number {
  let high = (Math.floor(previous / 0x1_0000_0000) ^ Math.imul(last, 0x9e37_79b1)) >>> 0
  let low = ((previous >>> 0) ^ check) >>> 0
  high = Math.imul(high ^ (high >>> 15), 0x85eb_ca6b) >>> 0
  low = Math.imul(low ^ (low >>> 13), 0xc2b2_ae35) >>> 0
  high = (high ^ (low >>> 16) ^ Math.imul(low, 0x27d4_eb2f)) >>> 0
  low = (low ^ (high >>> 14) ^ Math.imul(high, 0x1656_67b1)) >>> 0
  return (high & 0xf_ffff) * 0x1_0000_0000 + low
}

export function endOf(set: MessageSet, publisher: PublisherId): number {
  return set.get(publisher)?.end ?? 0
}

/** Whether every message of `part` is in `whole`. */
export function contains(whole: MessageSet, part: MessageSet): boolean {
  for (const [publisher, frontier] of part) if (endOf(whole, publisher) < frontier.end) return false
  return true
}

export function sameSet(one: MessageSet, other: MessageSet): boolean {
  return one.size === other.size && contains(one, other) && contains(other, one)
}

/** Per publisher the longer prefix; of two equally long that differ, the same one everywhere. */
export function union(sets: Iterable<MessageSet>): MessageSet {
  const merged = new Map<PublisherId, Frontier>()
  for (const set of sets) {
    for (const [publisher, frontier] of set) {
      const known = merged.get(publisher)
      if (known === undefined || longer(frontier, known)) merged.set(publisher, frontier)
    }
  }
  return merged
}

/** Per publisher the shorter prefix; publishers that one set lacks are not in it. */
export function intersection(sets: readonly MessageSet[]): MessageSet {
  return heldBy(sets, sets.length)
}

/** What at least `count` of the sets contain: per publisher the `count`-th longest prefix. */
export function heldBy(sets: readonly MessageSet[], count: number): MessageSet {
  const held = new Map<PublisherId, Frontier>()
  if (count < 1 || sets.length < count) return held
  for (const publisher of union(sets).keys()) {
    const frontiers = sets.map((set) => set.get(publisher) ?? noFrontier).sort((a, b) => b.end - a.end)
    const frontier = frontiers[count - 1]
    if (frontier !== undefined && frontier.end > 0) held.set(publisher, frontier)
  }
  return held
}

/** Number of messages, without those of the system: sequences start at 1 and have no gap, so it is the sum of the ends. */
export function countOf(set: MessageSet): number {
  let count = 0
  for (const [publisher, { end }] of set) if (!isSystemPublisher(publisher)) count += end
  return count
}

/** How many messages of `whole` are not in `part`. */
export function missingCount(whole: MessageSet, part: MessageSet): number {
  let count = 0
  for (const [publisher, frontier] of whole) count += Math.max(0, frontier.end - endOf(part, publisher))
  return count
}

/** One short printable digest of a whole set; equal sets of equal batches give equal text. */
export function fingerprint(set: MessageSet): string {
  let digest = 0
  const publishers = [...set.keys()].sort()
  for (const publisher of publishers) {
    const frontier = set.get(publisher) ?? noFrontier
    digest = chainDigest(digest, frontier.end, Number.parseInt(publisher.slice(0, 8), 16))
    digest = chainDigest(digest, frontier.digest >>> 0, Number.parseInt(publisher.slice(8), 16))
    digest = chainDigest(digest, Math.floor(frontier.digest / 0x1_0000_0000), 0)
  }
  return digest.toString(16).padStart(13, '0')
}

function longer(one: Frontier, other: Frontier): boolean {
  return one.end > other.end || (one.end === other.end && one.digest > other.digest)
}
