/**
 * What the leader of an epoch of a group's log does: it repeats the members' wishes in one order, tells what is durable in the
 * topic, and takes members for dead that were silent for longer than their lease. All of it counts only once it stands in the
 * log; its clock decides nothing but when to write.
 */
import { type Epoch, nextEpoch, type PublisherId } from '../../proto/ids.ts'
import type { Entry, MemberId, RecordMessage, WishMessage } from './messages.ts'
import type { GroupState } from './state.ts'

/** What became durable in the topic: `ends` by publisher; `closed`: the epoch is over and these are its last. */
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
  readonly #heardMs: Map<MemberId, number>
  readonly #expiring = new Set<MemberId>()
  #tickedMs: number
  #hasFed = false
  /** Epoch of the topic that is told next. */
  #feeding: Epoch | null = null
  /** Told, and not written yet: epoch by epoch. */
  readonly #stored = new Map<Epoch, { ends: Map<PublisherId, number>; closed: boolean }>()

  /** @param heardMs when this process read the last wish of each member, whoever led then */
  constructor(claim: string, member: MemberId, heardMs: Map<MemberId, number>, nowMs: number) {
    this.#claim = claim
    this.#member = member
    this.#tickedMs = nowMs
    this.#heardMs = heardMs
  }

  wish(message: WishMessage, state: GroupState): void {
    const { member, number } = message
    const applied = state.appliedOf(member) ?? 0
    const taken = Math.max(applied, this.#taken.get(member) ?? 0)
    if (taken === 0 && (number !== 1 || !state.mayJoin(member))) return
    if (number !== taken + 1) return
    this.#taken.set(member, number)
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

  tick(state: GroupState, nowMs: number, wallMs: number, ownLeaseMs: number): void {
    // This process stood still: the others were not silent, they were not heard.
    if (nowMs - this.#tickedMs > ownLeaseMs / 2) for (const id of state.memberIds()) this.#heardMs.set(id, nowMs)
    this.#tickedMs = nowMs
    for (const id of state.memberIds()) {
      if (id === this.#member) continue
      const heardMs = this.#heardMs.get(id)
      if (heardMs === undefined) this.#heardMs.set(id, nowMs)
      else if (nowMs - heardMs > state.leaseMsOf(id) && !this.#expiring.has(id)) {
        this.#expiring.add(id)
        this.#entries.push({ kind: 'expire', member: id })
      }
    }
    if (state.isDue(wallMs)) this.#isRecordDue = true
  }

  /** Where to read the topic from, once, when that is known. */
  feedFrom(state: GroupState): Epoch | null {
    if (this.#hasFed || !state.isStarted) return null
    this.#hasFed = true
    return state.feedingEpoch
  }

  records(state: GroupState, wallMs: number): RecordMessage[] {
    this.#takeStored(state)
    const records: RecordMessage[] = []
    while (this.#isRecordDue || this.#entries.length > 0) {
      this.#isRecordDue = false
      const index = this.#index++
      const entries = this.#takeEntries()
      const record = { kind: 'record', claim: this.#claim, by: this.#member, index, timeMs: wallMs, entries } as const
      records.push(index === 0 ? { ...record, snapshot: state.snapshot() } : record)
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

  /** Epochs in their order: the next one once the one before is told to its end. */
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
  return entryBytes + ('runs' in wish ? wish.runs.length * endBytes * 2 : 0)
}
