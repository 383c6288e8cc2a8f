/**
 * Which member is given which message: what waits first, then what is new, epoch by epoch; always to the member that holds least.
 * The same for everybody who starts from the same state.
 */
import { type Epoch, formatMessageId, type PublisherId, sequence } from '../../proto/ids.ts'
import type { MemberId } from './messages.ts'

/** A message that was handed out and is not done. */
export interface Item {
  readonly id: string
  readonly epoch: Epoch
  readonly publisher: PublisherId
  readonly sequence: number
  /** How often it was handed out, this time included. */
  deliveries: number
  holder: MemberId | null
  /** While nobody holds it: not before that time of the records. */
  dueMs: number
  /** It was delivered too often: whoever holds it puts it aside. */
  isDead: boolean
}

export interface Member {
  readonly capacity: number
  readonly leaseMs: number
  /** Number of its last wish that was applied. */
  applied: number
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
    const id = leastLoaded(members)
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
  granted: Item[],
): void {
  for (const [of, { publishers }] of epochs) {
    let fresh = 0
    for (const { next, end } of publishers.values()) fresh += end - next + 1
    if (fresh > 0 && !handOutEpoch(members, items, of, publishers, fresh, granted)) return
  }
}

/** @returns whether all of the epoch is handed out */
function handOutEpoch(
  members: Members,
  items: Map<string, Item>,
  of: Epoch,
  publishers: EpochProgress['publishers'],
  fresh: number,
  granted: Item[],
): boolean {
  const takers = [...members.values()].filter((member) => member.held < member.capacity).length
  const runLength = Math.min(runMax, Math.ceil(fresh / Math.max(1, takers)))
  for (let isOver = false; !isOver; ) {
    isOver = true
    for (const [publisher, progress] of publishers) {
      if (progress.next > progress.end) continue
      const id = items.size < itemsMax ? leastLoaded(members) : null
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
  // To be put aside is not to be delivered.
  if (!item.isDead) item.deliveries++
  granted.push(item)
}

/** Who holds least and has room; of equals, who joined first. */
function leastLoaded(members: Members): MemberId | null {
  let least: MemberId | null = null
  let leastHeld = Number.POSITIVE_INFINITY
  for (const [id, { held, capacity }] of members) {
    if (held >= capacity || held >= leastHeld) continue
    least = id
    leastHeld = held
  }
  return least
}

export function itemOf(of: Epoch, publisher: PublisherId, number: number): Item {
  const id = idOf(of, publisher, number)
  return { id, epoch: of, publisher, sequence: number, deliveries: 0, holder: null, dueMs: 0, isDead: false }
}

export function idOf(of: Epoch, publisher: PublisherId, number: number): string {
  return formatMessageId({ epoch: of, publisher, sequence: sequence(number) })
}
