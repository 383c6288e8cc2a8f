/**
 * Messages in the log of a group: wishes of its members, and records of its leader. A record repeats wishes in the order in
 * which all members apply them; a wish that no record repeats has no effect.
 *
 * JSON, because it is small, rarer than the messages it is about, and may be looked at with `epochcast get`.
 */
import type { Epoch, PublisherId } from '../../proto/ids.ts'
import { isCount, isEnds, isNatural, isRuns, isSettings, isSnapshot, isStart, isText } from './shapes.ts'

/** One joining of a group: a process that comes back is another member. */
export type MemberId = string

/** Consecutive messages of one publisher in one epoch. */
export interface Run {
  readonly epoch: Epoch
  readonly publisher: PublisherId
  readonly first: number
  readonly last: number
}

export type Ends = readonly (readonly [PublisherId, number])[]

/** Where a group begins to read: behind `seen` of `epoch`. */
export interface Start {
  readonly epoch: Epoch
  readonly seen: Ends
}

/** Limits that a group agrees on; the member that joined last sets them. */
export interface GroupSettings {
  /** Deliveries of one message after which it is put aside; 0: never. */
  readonly deliveriesMax: number
  /** Where messages that are put aside go; empty where none are. */
  readonly deadLetter: string
}

export type Wish =
  | {
      readonly kind: 'join'
      readonly capacity: number
      readonly leaseMs: number
      readonly settings: GroupSettings
      readonly start: Start
    }
  /** `unread`: the member began these and its reader was never given them, so they do not count as delivered. */
  | { readonly kind: 'leave'; readonly unread: readonly Run[] }
  | { readonly kind: 'alive' }
  /** `begun`: messages that the member hands to its reader now; only this makes a delivery of holding. `done`: answered. */
  | { readonly kind: 'work'; readonly done: readonly Run[]; readonly begun: readonly Run[] }
  | { readonly kind: 'nak'; readonly runs: readonly Run[]; readonly delayMs: number }

/** Longest time, in milliseconds, after which a message may be asked to be given again: a year. */
export const delayMsMax: number = 366 * 24 * 3_600_000
/** Longest lease, in milliseconds. */
export const leaseMsMax = 600_000
/** Share of the shortest lease by which log time may be ahead of the last record that was read. */
export const aheadShare = 4
/** Log time moves no further by one record, whatever its writer says: no leader that keeps to that share writes more. */
export const timeStepMaxMs: number = leaseMsMax / aheadShare

/** A member numbers its wishes 1, 2, 3 …; they are applied in that order, each once. */
export interface WishMessage {
  readonly kind: 'wish'
  readonly member: MemberId
  readonly number: number
  readonly wish: Wish
}

export type Entry =
  | WishMessage
  | { readonly kind: 'expire'; readonly member: MemberId }
  /** These messages of the topic are durable; `closed`: the epoch ended, and they are all. */
  | { readonly kind: 'stored'; readonly epoch: Epoch; readonly ends: Ends; readonly closed: boolean }
  /** Epochs before `to` are not kept any more. */
  | { readonly kind: 'gap'; readonly to: Epoch }

export interface RecordMessage {
  readonly kind: 'record'
  /** Id of the change that began this epoch of the log: only the member that asked for it may write records in it. */
  readonly claim: string
  readonly by: MemberId
  /** 0, 1, 2 … within the epoch; 0 carries the state at the end of all epochs before. */
  readonly index: number
  /** Log time (`log-time.ts`), in whole milliseconds. */
  readonly timeMs: number
  readonly entries: readonly Entry[]
  readonly snapshot?: Snapshot
}

export interface Snapshot {
  readonly timeMs: number
  /** Where the group began; null before its first member. */
  readonly founded: Start | null
  readonly settings: GroupSettings
  readonly members: readonly (readonly [
    id: MemberId,
    capacity: number,
    leaseMs: number,
    applied: number,
    heardMs: number,
  ])[]
  readonly gone: readonly MemberId[]
  readonly epochs: readonly (readonly [
    epoch: Epoch,
    isClosed: boolean,
    publishers: readonly (readonly [id: PublisherId, next: number, end: number])[],
  ])[]
  readonly items: readonly (readonly [
    epoch: Epoch,
    publisher: PublisherId,
    sequence: number,
    deliveries: number,
    holder: MemberId,
    dueMs: number,
    isDead: boolean,
    isBegun: boolean,
  ])[]
}

export type LogMessage = WishMessage | RecordMessage

export function encodeLogMessage(message: LogMessage): Uint8Array {
  return Buffer.from(JSON.stringify(message))
}

/** @returns null for what no member of this version wrote: everybody passes over it alike */
export function decodeLogMessage(bytes: Uint8Array): LogMessage | null {
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
  } catch {
    return null
  }
  if (isWishMessage(value)) return value
  return isRecord(value) ? value : null
}

function isWishMessage(value: unknown): value is WishMessage {
  const { kind, member, number, wish } = (value ?? {}) as WishMessage
  return kind === 'wish' && isText(member) && isNatural(number) && number > 0 && isWish(wish)
}

function isWish(value: unknown): value is Wish {
  const wish = (value ?? {}) as Wish
  switch (wish.kind) {
    case 'join':
      return (
        isNatural(wish.capacity) &&
        isNatural(wish.leaseMs) &&
        wish.leaseMs <= leaseMsMax &&
        isSettings(wish.settings) &&
        isStart(wish.start)
      )
    case 'leave':
      return isRuns(wish.unread)
    case 'alive':
      return true
    case 'work':
      return isRuns(wish.done) && isRuns(wish.begun)
    case 'nak':
      return isRuns(wish.runs) && isNatural(wish.delayMs) && wish.delayMs <= delayMsMax
    default:
      return false
  }
}

function isEntry(value: unknown): value is Entry {
  const entry = (value ?? {}) as Entry
  switch (entry.kind) {
    case 'wish':
      return isWishMessage(entry)
    case 'expire':
      return isText(entry.member)
    case 'stored':
      return isCount(entry.epoch) && isEnds(entry.ends) && typeof entry.closed === 'boolean'
    case 'gap':
      return isCount(entry.to)
    default:
      return false
  }
}

function isRecord(value: unknown): value is RecordMessage {
  const { kind, claim, by, index, timeMs, entries, snapshot } = (value ?? {}) as RecordMessage
  if (kind !== 'record' || !isText(claim) || !isText(by) || !isNatural(index) || !isNatural(timeMs)) return false
  if ((index === 0) !== (snapshot !== undefined) || (snapshot !== undefined && !isSnapshot(snapshot))) return false
  return Array.isArray(entries) && entries.every(isEntry)
}
