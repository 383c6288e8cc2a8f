/**
 * Which member is given which message: what waits first, then what is new, epoch by epoch; always to the member that holds least.
 * All members that start from the same state come to the same result.
 */
import { type Epoch, formatMessageId, type PublisherId, sequence } from '../../proto/ids.ts'
import type { MemberId } from './messages.ts'

/** A message that was handed out and is not done. */
export interface Item {
  readonly id: string
  readonly epoch: Epoch
  readonly publisher: PublisherId
  readonly sequence: number
  /** How often a member handed it to its reader, as far as members said so. */
  deliveries: number
  holder: MemberId | null
  /** While no member holds it: the log time before which it is not handed out again. */
  dueMs: number
  /** It was delivered too often: its holder puts it aside. */
  isDead: boolean
  /** Its holder has said that its reader is given it; before that it only waits in the holder's buffer. */
  isBegun: boolean
}

export interface Member {
  readonly capacity: number
  readonly leaseMs: number
  /** Number of its last wish that was applied. */
  applied: number
  /** Log time of the record with that wish: silence is counted from here. */
  heardMs: number
  held: number
}

export interface EpochProgress {
  isClosed: boolean
  /** `next` is the first message that was never handed out, `end` the last one that is durable. */
  readonly publishers: Map<PublisherId, { next: number; end: number }>
}

/** Messages handed out and not done, all members together: more are handed out once some of these are. */
const itemsMax = 4_000
/** Neighbours that one member is given at once. */
const runMax = 32

type Members = ReadonlyMap<MemberId, Member>

/** @returns how many of the `waiting` messages were handed out */
export function handOutAgain(
  members: Members,
  items: ReadonlyMap<string, Item>,
  timeMs: number,
  waiting: number,
  granted: Item[],
): number {
  let count = 0
  if (waiting === 0) return count
  for (const item of items.values()) {
    if (item.holder !== null || item.dueMs > timeMs) continue
    const id = leastLoaded(members, timeMs)
    if (id === null) return count
    count++
    grant(members, item, id, granted)
  }
  return count
}

/** New messages, epoch by epoch: one is handed out whole before the next. */
export function handOutNew(
  members: Members,
  items: Map<string, Item>,
  epochs: ReadonlyMap<Epoch, EpochProgress>,
  timeMs: number,
  granted: Item[],
): void {
  for (const [of, { publishers }] of epochs) {
    let fresh = 0
    for (const { next, end } of publishers.values()) fresh += end - next + 1
    if (fresh > 0 && !handOutEpoch(members, items, of, publishers, fresh, timeMs, granted)) return
  }
}

/** @returns whether all of the epoch is handed out */
function handOutEpoch(
  members: Members,
  items: Map<string, Item>,
  of: Epoch,
  publishers: EpochProgress['publishers'],
  fresh: number,
  timeMs: number,
  granted: Item[],
): boolean {
  const takers = [...members.values()].filter((member) => isTaking(member, timeMs)).length
  const runLength = Math.min(runMax, Math.ceil(fresh / Math.max(1, takers)))
  for (let isOver = false; !isOver; ) {
    isOver = true
    for (const [publisher, progress] of publishers) {
      if (progress.next > progress.end) continue
      const id = items.size < itemsMax ? leastLoaded(members, timeMs) : null
      const member = id === null ? undefined : members.get(id)
      if (id === null || member === undefined) return false
      isOver = false
      const count = Math.min(runLength, member.capacity - member.held, progress.end - progress.next + 1)
      for (let at = 0; at < count; at++) {
        const item = itemOf(of, publisher, progress.next++)
        items.set(item.id, item)
        grant(members, item, id, granted)
      }
    }
  }
  return true
}

function grant(members: Members, item: Item, id: MemberId, granted: Item[]): void {
  const member = members.get(id)
  if (member === undefined) return
  member.held++
  item.holder = id
  item.dueMs = 0
  granted.push(item)
}

/** The member that holds least, of those with room that are heard; of equals, the one that was heard last. */
function leastLoaded(members: Members, timeMs: number): MemberId | null {
  let leastId: MemberId | null = null
  let least: Member | null = null
  for (const [id, member] of members) {
    if (!isTaking(member, timeMs)) continue
    if (least !== null && (member.held - least.held || least.heardMs - member.heardMs) >= 0) continue
    leastId = id
    least = member
  }
  return leastId
}

/** A member says that it lives every third of its lease: one that was silent for longer than half of it may be dead. */
function isTaking({ held, capacity, heardMs, leaseMs }: Member, timeMs: number): boolean {
  return held < capacity && timeMs - heardMs <= leaseMs / 2
}

export function itemOf(of: Epoch, publisher: PublisherId, number: number): Item {
  const id = idOf(of, publisher, number)
  return {
    id,
    epoch: of,
    publisher,
    sequence: number,
    deliveries: 0,
    holder: null,
    dueMs: 0,
    isDead: false,
    isBegun: false,
  }
}

export function idOf(of: Epoch, publisher: PublisherId, number: number): string {
  return formatMessageId({ epoch: of, publisher, sequence: sequence(number) })
}
