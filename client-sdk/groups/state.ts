/**
 * The agreed state of a group: its members, how far the topic's messages were handed out, who holds which of them. A
 * deterministic function of the records in the group's log: no clock, no chance, no IO. A message has one holder at most.
 */
import { type Epoch, epoch, nextEpoch } from '../../proto/ids.ts'
import { type EpochProgress, handOutAgain, handOutNew, type Item, idOf, itemOf, type Member } from './hand-out.ts'
import {
  type Ends,
  type Entry,
  type GroupSettings,
  type MemberId,
  type RecordMessage,
  type Run,
  type Snapshot,
  type Start,
  timeStepMaxMs,
  type Wish,
} from './messages.ts'

/** Effects of a record. */
export interface Applied {
  readonly granted: Item[]
  /** Wishes about messages that the member does not hold: their ids. */
  readonly refused: { readonly member: MemberId; readonly number: number; readonly ids: readonly string[] }[]
}

/** Members that left: a late copy of their joining does not bring them back. */
const goneMax = 1_000

export class GroupState {
  readonly #members = new Map<MemberId, Member>()
  readonly #epochs = new Map<Epoch, EpochProgress>()
  /** In the order in which they were handed out first; what was refused moves to the end. */
  readonly #items = new Map<string, Item>()
  readonly #gone = new Set<MemberId>()
  #settings: GroupSettings = { deliveriesMax: 0, deadLetter: '' }
  #founded: Start | null = null
  #timeMs = 0
  #waiting = 0

  get isStarted(): boolean {
    return this.#founded !== null
  }

  /** Where the group began to read its topic: every later message is handed out. Null before its first member. */
  get founded(): Start | null {
    return this.#founded
  }

  /** Log time of the last record. */
  get timeMs(): number {
    return this.#timeMs
  }

  get settings(): GroupSettings {
    return this.#settings
  }

  get items(): ReadonlyMap<string, Readonly<Item>> {
    return this.#items
  }

  /** First epoch that has messages which are not done, or that is being read. */
  get firstEpoch(): Epoch {
    const [first] = this.#epochs.keys()
    return first ?? epoch(0)
  }

  /** The epoch whose messages are to be noted next. */
  get feedingEpoch(): Epoch {
    let last: [Epoch, EpochProgress] | undefined
    for (const one of this.#epochs) last = one
    if (last === undefined) return epoch(0)
    return last[1].isClosed ? nextEpoch(last[0]) : last[0]
  }

  memberIds(): readonly MemberId[] {
    return [...this.#members.keys()]
  }

  appliedOf(member: MemberId): number | null {
    return this.#members.get(member)?.applied ?? null
  }

  leaseMsOf(member: MemberId): number {
    return this.#members.get(member)?.leaseMs ?? 0
  }

  /** Log time since when the member has been silent. */
  heardMsOf(member: MemberId): number {
    return this.#members.get(member)?.heardMs ?? 0
  }

  /** The shortest lease of all members in milliseconds; null without members. */
  get leaseMinMs(): number | null {
    let least: number | null = null
    for (const { leaseMs } of this.#members.values()) least = Math.min(least ?? leaseMs, leaseMs)
    return least
  }

  /** Whether this wish would be applied now: the next one of a member, or the first of a new one. */
  awaits(member: MemberId, number: number): boolean {
    const applied = this.appliedOf(member)
    return applied === null ? number === 1 && this.mayJoin(member) : number === applied + 1
  }

  mayJoin(member: MemberId): boolean {
    return !this.#members.has(member) && !this.#gone.has(member)
  }

  hasLeft(member: MemberId): boolean {
    return this.#gone.has(member)
  }

  /** Whether a message waits that was due at `timeMs` and was not by the last record. */
  isDue(timeMs: number): boolean {
    if (this.#waiting === 0) return false
    for (const item of this.#items.values()) {
      if (item.holder === null && item.dueMs > this.#timeMs && item.dueMs <= timeMs) return true
    }
    return false
  }

  /** Whether a message waits for a log time that the last record had not reached. */
  get isDelaying(): boolean {
    if (this.#waiting === 0) return false
    for (const { holder, dueMs } of this.#items.values()) if (holder === null && dueMs > this.#timeMs) return true
    return false
  }

  /** Messages that are known durable and were not handed out yet, and those that wait to be handed out again. */
  pendingCount(): number {
    let pending = this.#waiting
    for (const { publishers } of this.#epochs.values()) {
      for (const { next, end } of publishers.values()) pending += end - next + 1
    }
    return pending
  }

  apply(record: Pick<RecordMessage, 'timeMs' | 'entries'>): Applied {
    const applied: Applied = { granted: [], refused: [] }
    this.#timeMs = Math.max(this.#timeMs, Math.min(record.timeMs, this.#timeMs + timeStepMaxMs))
    for (const entry of record.entries) this.#enter(entry, applied)
    this.#prune()
    this.#waiting -= handOutAgain(this.#members, this.#items, this.#timeMs, this.#waiting, applied.granted)
    handOutNew(this.#members, this.#items, this.#epochs, this.#timeMs, applied.granted)
    return applied
  }

  snapshot(): Snapshot {
    return {
      timeMs: this.#timeMs,
      founded: this.#founded,
      settings: this.#settings,
      members: [...this.#members].map(([id, one]) => [id, one.capacity, one.leaseMs, one.applied, one.heardMs]),
      gone: [...this.#gone],
      epochs: [...this.#epochs].map(([of, { isClosed, publishers }]) => [
        of,
        isClosed,
        [...publishers].map(([id, { next, end }]) => [id, next, end]),
      ]),
      items: [...this.#items.values()].map((item) => [
        item.epoch,
        item.publisher,
        item.sequence,
        item.deliveries,
        item.holder ?? '',
        item.dueMs,
        item.isDead,
        item.isBegun,
      ]),
    }
  }

  static restore(snapshot: Snapshot): GroupState {
    const state = new GroupState()
    state.#timeMs = snapshot.timeMs
    state.#founded = snapshot.founded
    state.#settings = snapshot.settings
    for (const [id, capacity, leaseMs, applied, heardMs] of snapshot.members) {
      state.#members.set(id, { capacity, leaseMs, applied, heardMs, held: 0 })
    }
    for (const id of snapshot.gone) state.#gone.add(id)
    for (const [of, isClosed, publishers] of snapshot.epochs) {
      state.#epochs.set(of, { isClosed, publishers: new Map(publishers.map(([id, next, end]) => [id, { next, end }])) })
    }
    for (const [of, publisher, number, deliveries, holder, dueMs, isDead, isBegun] of snapshot.items) {
      const member = state.#members.get(holder)
      const item = { ...itemOf(of, publisher, number), deliveries, dueMs, isDead, isBegun }
      state.#items.set(item.id, { ...item, holder: member === undefined ? null : holder })
      if (member === undefined) state.#waiting++
      else member.held++
    }
    return state
  }

  #enter(entry: Entry, applied: Applied): void {
    switch (entry.kind) {
      case 'wish':
        return this.#onWish(entry.member, entry.number, entry.wish, applied)
      case 'expire':
        return this.#depart(entry.member)
      case 'stored':
        return this.#onStored(entry.epoch, entry.ends, entry.closed)
      case 'gap':
        return this.#onGap(entry.to)
    }
  }

  #onWish(id: MemberId, number: number, wish: Wish, applied: Applied): void {
    if (wish.kind === 'join') {
      if (number === 1 && this.mayJoin(id)) this.#join(id, wish)
      return
    }
    const member = this.#members.get(id)
    if (member === undefined || number !== member.applied + 1) return
    member.applied = number
    member.heardMs = this.#timeMs
    switch (wish.kind) {
      case 'alive':
        return
      case 'leave':
        this.#each(id, wish.unread, (item) => {
          if (item.isBegun) item.deliveries--
        })
        return this.#depart(id)
      case 'work': {
        const done = (item: Item) => {
          this.#items.delete(item.id)
          member.held--
        }
        const refused = this.#each(id, wish.done, done)
        refused.push(...this.#each(id, wish.begun, handedOver))
        applied.refused.push({ member: id, number, ids: refused })
        return
      }
      case 'nak': {
        const again = (item: Item) => {
          handedOver(item)
          this.#items.delete(item.id)
          this.#items.set(item.id, item)
          this.#release(item, member, wish.delayMs)
        }
        applied.refused.push({ member: id, number, ids: this.#each(id, wish.runs, again) })
        return
      }
    }
  }

  #join(id: MemberId, { capacity, leaseMs, settings, start }: Extract<Wish, { kind: 'join' }>): void {
    this.#members.set(id, { capacity: Math.max(1, capacity), leaseMs, applied: 1, heardMs: this.#timeMs, held: 0 })
    this.#settings = settings
    if (!this.isStarted) this.#begin(start)
  }

  #begin(start: Start): void {
    this.#founded = start
    const publishers = new Map(start.seen.map(([id, end]) => [id, { next: end + 1, end }]))
    this.#epochs.set(start.epoch, { isClosed: false, publishers })
  }

  /** @returns ids of those that the member does not hold */
  #each(id: MemberId, runs: readonly Run[], act: (item: Item) => void): string[] {
    const refused: string[] = []
    for (const { epoch: of, publisher, first, last } of runs) {
      for (let number = first; number <= last; number++) {
        const messageId = idOf(of, publisher, number)
        const item = this.#items.get(messageId)
        if (item?.holder === id) act(item)
        else refused.push(messageId)
      }
    }
    return refused
  }

  /** The member is gone: what it held is everybody's, oldest first. */
  #depart(id: MemberId): void {
    const member = this.#members.get(id)
    if (member === undefined) return
    this.#members.delete(id)
    this.#gone.add(id)
    const [oldest] = this.#gone
    if (this.#gone.size > goneMax && oldest !== undefined) this.#gone.delete(oldest)
    for (const item of this.#items.values()) if (item.holder === id) this.#release(item, member, 0)
  }

  #release(item: Item, member: Member, delayMs: number): void {
    const { deliveriesMax } = this.#settings
    item.holder = null
    item.isBegun = false
    item.dueMs = this.#timeMs + delayMs
    if (deliveriesMax > 0 && item.deliveries >= deliveriesMax) item.isDead = true
    member.held--
    this.#waiting++
  }

  #onStored(of: Epoch, ends: Ends, isClosed: boolean): void {
    if (!this.isStarted || of !== this.feedingEpoch) return
    let progress = this.#epochs.get(of)
    if (progress === undefined) {
      progress = { isClosed: false, publishers: new Map() }
      this.#epochs.set(of, progress)
    }
    for (const [publisher, end] of ends) {
      const known = progress.publishers.get(publisher)
      if (known === undefined) progress.publishers.set(publisher, { next: 1, end })
      else known.end = Math.max(known.end, end)
    }
    progress.isClosed = isClosed
  }

  #onGap(to: Epoch): void {
    if (!this.isStarted || to <= this.firstEpoch) return
    for (const of of [...this.#epochs.keys()]) if (of < to) this.#epochs.delete(of)
    for (const item of [...this.#items.values()]) {
      if (item.epoch >= to) continue
      this.#items.delete(item.id)
      const member = item.holder === null ? undefined : this.#members.get(item.holder)
      if (member === undefined) this.#waiting--
      else member.held--
    }
    if (this.#epochs.size === 0) this.#epochs.set(to, { isClosed: false, publishers: new Map() })
  }

  /** Forgets what is done: publishers of closed epochs, and those epochs. */
  #prune(): void {
    let open: Set<Epoch> | null = null
    const last = [...this.#epochs.keys()].at(-1)
    for (const [of, { isClosed, publishers }] of [...this.#epochs]) {
      if (!isClosed) return
      for (const [id, { next, end }] of publishers) if (next > end) publishers.delete(id)
      if (publishers.size > 0) return
      open ??= new Set([...this.#items.values()].map((item) => item.epoch))
      if (open.has(of)) continue
      this.#epochs.delete(of)
      if (of === last) this.#epochs.set(nextEpoch(of), { isClosed: false, publishers: new Map() })
    }
  }
}

/** The reader was given it, which counts once for each time that it is held; to be put aside is not to be delivered. */
function handedOver(item: Item): void {
  if (item.isBegun || item.isDead) return
  item.isBegun = true
  item.deliveries++
}
