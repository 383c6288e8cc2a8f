/**
 * The part of a leader in its epoch of a group's log: it repeats the members' wishes in one order, notes which messages are
 * durable in the topic, and takes members for dead that were silent for longer than their lease, in log time. All of it counts only once it
 * stands in the log.
 */
import { type Epoch, nextEpoch, type PublisherId } from '../../proto/ids.ts'
import { pulseMs } from './log-time.ts'
import type { Entry, MemberId, RecordMessage, Wish, WishMessage } from './messages.ts'
import type { GroupState } from './state.ts'

/** Messages that became durable in the topic: `ends` by publisher; `closed`: the epoch is over and these are its last. */
export type StoredUpdate =
  | {
      readonly kind: 'stored'
      readonly epoch: Epoch
      readonly ends: ReadonlyMap<PublisherId, number>
      readonly closed: boolean
    }
  | { readonly kind: 'gap'; readonly to: Epoch }

/** Of one record, roughly: it must fit into a message. */
const recordBytesMax = 256 * 1024
const entryBytes = 300
const endBytes = 40
/** Epochs of the topic that a group works on at once, so that its snapshot fits into a message; those behind wait. */
const epochsAheadMax = 4

export class Leading {
  readonly #claim: string
  readonly #member: MemberId
  #index = 0
  #entries: Entry[] = []
  #isRecordDue = true
  /** Number of each member's last wish that stands in a record of this epoch, durable or not. */
  readonly #taken = new Map<MemberId, number>()
  /** Log time of each member's last wish that stands in a record which was not read yet, perhaps. */
  readonly #heardMs = new Map<MemberId, number>()
  readonly #expiring = new Set<MemberId>()
  #writtenMs = Number.NEGATIVE_INFINITY
  #hasFed = false
  /** Epoch of the topic whose messages are noted next. */
  #feeding: Epoch | null = null
  /** Told, and not written yet: epoch by epoch. */
  readonly #stored = new Map<Epoch, { ends: Map<PublisherId, number>; closed: boolean }>()

  constructor(claim: string, member: MemberId) {
    this.#claim = claim
    this.#member = member
  }

  /** @param timeMs log time */
  wish(message: WishMessage, state: GroupState, timeMs: number): void {
    const { member, number } = message
    const taken = this.#taken.get(member) ?? 0
    const isNext = taken > (state.appliedOf(member) ?? 0) ? number === taken + 1 : state.awaits(member, number)
    if (!isNext) return
    this.#taken.set(member, number)
    this.#heardMs.set(member, timeMs)
    this.#entries.push(message)
  }

  stored(update: StoredUpdate): void {
    if (update.kind === 'gap') {
      this.#entries.push(update)
      for (const of of [...this.#stored.keys()]) if (of < update.to) this.#stored.delete(of)
      return
    }
    const known = this.#stored.get(update.epoch)
    if (known === undefined) {
      this.#stored.set(update.epoch, { ends: new Map(update.ends), closed: update.closed })
      return
    }
    for (const [publisher, end] of update.ends) known.ends.set(publisher, end)
    known.closed ||= update.closed
  }

  /**
   * @param nowMs by this process' monotonic clock
   * @param timeMs log time
   */
  tick(state: GroupState, nowMs: number, timeMs: number): void {
    for (const id of state.memberIds()) {
      if (id === this.#member || this.#expiring.has(id)) continue
      const heardMs = Math.max(state.heardMsOf(id), this.#heardMs.get(id) ?? 0)
      if (timeMs - heardMs <= state.leaseMsOf(id)) continue
      this.#expiring.add(id)
      this.#entries.push({ kind: 'expire', member: id })
    }
    const pulse = pulseMs(state, this.#member)
    if (state.isDue(timeMs) || (pulse !== null && nowMs - this.#writtenMs >= pulse)) this.#isRecordDue = true
  }

  /** Where to read the topic from, once, when that is known. */
  feedFrom(state: GroupState): Epoch | null {
    if (this.#hasFed || !state.isStarted) return null
    this.#hasFed = true
    return state.feedingEpoch
  }

  records(state: GroupState, nowMs: number, timeMs: number): RecordMessage[] {
    this.#takeStored(state)
    const records: RecordMessage[] = []
    while (this.#isRecordDue || this.#entries.length > 0) {
      this.#isRecordDue = false
      this.#writtenMs = nowMs
      const index = this.#index++
      const head = { kind: 'record', claim: this.#claim, by: this.#member, index, timeMs } as const
      // A snapshot may fill a message alone.
      if (index === 0) records.push({ ...head, entries: [], snapshot: state.snapshot() })
      else records.push({ ...head, entries: this.#takeEntries() })
    }
    return records
  }

  #takeEntries(): Entry[] {
    let count = 0
    for (let bytes = 0; count < this.#entries.length && bytes < recordBytesMax; count++) {
      bytes += sizeOf(this.#entries[count])
    }
    return this.#entries.splice(0, count)
  }

  /** Epochs in their order: the next one once the one before is noted to its end. */
  #takeStored(state: GroupState): void {
    if (!state.isStarted) return
    let next = this.#feeding ?? state.feedingEpoch
    for (;;) {
      const known = this.#stored.get(next)
      if (known === undefined || next > state.firstEpoch + epochsAheadMax) break
      this.#stored.delete(next)
      this.#entries.push({ kind: 'stored', epoch: next, ends: [...known.ends], closed: known.closed })
      if (!known.closed) break
      next = nextEpoch(next)
    }
    this.#feeding = next
  }
}

function sizeOf(entry: Entry | undefined): number {
  if (entry?.kind === 'stored') return entryBytes + entry.ends.length * endBytes
  if (entry?.kind !== 'wish') return entryBytes
  const { wish } = entry
  if (wish.kind === 'join') return entryBytes + wish.start.seen.length * endBytes
  return entryBytes + runCountOf(wish) * endBytes * 2
}

function runCountOf(wish: Wish): number {
  switch (wish.kind) {
    case 'work':
      return wish.done.length + wish.begun.length
    case 'nak':
      return wish.runs.length
    case 'leave':
      return wish.unread.length
    case 'join':
    case 'alive':
      return 0
  }
}
