/**
 * One member of a group: a machine without IO that turns what stands in the group's log into what this member holds, and into
 * what it writes there itself.
 *
 * The log is a topic of its own. An epoch of it belongs to the member whose change began it, its leader: only records that name
 * that change count, they come from one publisher and so in one order for everybody, and what the leader wrote and the closing
 * set does not hold never happened. So leaders are chosen by what decides epochs, and a leader that was taken for dead cannot
 * go on: the epoch in which it could write is over.
 */

import { InvariantViolation } from '../../proto/errors.ts'
import { type Epoch, epoch } from '../../proto/ids.ts'
import type { Item } from './hand-out.ts'
import { Leading, type StoredUpdate } from './leading.ts'
import type { LogMessage, MemberId, RecordMessage, Run, Wish, WishMessage } from './messages.ts'
import { GroupState } from './state.ts'

export type NodeEffect =
  | { readonly kind: 'publish'; readonly message: LogMessage }
  /** End this epoch of the log by a change of this id. */
  | { readonly kind: 'claim'; readonly epoch: Epoch; readonly changeId: string }
  /** This member holds these messages from now on. */
  | { readonly kind: 'granted'; readonly items: readonly Item[] }
  /** It was taken for dead: it holds nothing any more, and joins again as somebody else. */
  | { readonly kind: 'expired' }
  /** A wish about messages was applied, except to these, which this member did not hold. */
  | { readonly kind: 'answered'; readonly number: number; readonly refused: readonly string[] }
  /** Tell what is durable in the topic, from this epoch on; null: not any more. */
  | { readonly kind: 'feed'; readonly from: Epoch | null }

export interface NodeOptions {
  readonly leaseMs: number
  readonly join: Extract<Wish, { kind: 'join' }>
  /** Bytes of the log's open epoch after which the leader begins another, with a snapshot. */
  readonly rollBytes: number
  newId(): string
}

interface Pending {
  readonly message: WishMessage
  readonly firstSentMs: number
  sentMs: number
}

const claimPrefix = 'group-'
/** Members, and some that were. */
const heardMax = 10_000

export class GroupNode {
  readonly #options: NodeOptions
  #member: MemberId
  #state: GroupState | null = null
  #epoch: Epoch = epoch(0)
  #claim = ''
  #nextIndex = 0
  #leader: MemberId | null = null
  #leaderSeenMs = 0
  #leading: Leading | null = null
  #claiming: string | null = null
  #epochBytes = 0
  #snapshotBytes = 0
  readonly #heardMs = new Map<MemberId, number>()
  #pending: Pending[] = []
  #number = 0
  #isLeaving = false
  #hasLeft = false
  #confirmedMs = Number.NEGATIVE_INFINITY
  #lastSentMs = Number.NEGATIVE_INFINITY
  #isMoveDue = false

  constructor(options: NodeOptions) {
    this.#options = options
    this.#member = options.newId()
  }

  get member(): MemberId {
    return this.#member
  }

  get state(): GroupState | null {
    return this.#state
  }

  get isLeader(): boolean {
    return this.#leading !== null
  }

  get isJoined(): boolean {
    return this.#state !== null && this.#state.appliedOf(this.#member) !== null
  }

  /** What it asked to leave has been agreed. */
  get hasLeft(): boolean {
    return this.#hasLeft
  }

  /** False when others may have taken this member for dead by now: it does not begin anything new then. */
  isSure(nowMs: number): boolean {
    return this.isJoined && nowMs - this.#confirmedMs < this.#options.leaseMs
  }

  /** @param state of a group without any record yet; null: a record of this or a later epoch brings it */
  begin(of: Epoch, changeId: string, state: GroupState | null, nowMs: number, out: NodeEffect[]): void {
    this.#state = state
    this.#enter(of, changeId, nowMs)
    this.#join(nowMs, out)
  }

  /** A durable message of the log. */
  message(message: LogMessage, bytes: number, nowMs: number, out: NodeEffect[]): void {
    this.#epochBytes += bytes
    if (message.kind === 'record') {
      if (message.index === 0) this.#snapshotBytes = bytes
      this.#onRecord(message, nowMs, out)
    } else {
      this.#hear(message.member, nowMs)
      if (this.#state !== null) this.#leading?.wish(message, this.#state)
    }
  }

  /** An epoch of the log has ended: every message of it was given before. */
  ended(next: Epoch, changeId: string, nowMs: number, out: NodeEffect[]): void {
    if (this.#leading !== null) out.push({ kind: 'feed', from: null })
    this.#leading = null
    const isMine = changeId === this.#claiming && this.#state !== null
    this.#enter(next, changeId, nowMs)
    if (!isMine || this.#state === null) return
    this.#leading = new Leading(changeId, this.#member, this.#heardMs, nowMs)
    this.#isMoveDue = false
  }

  /** What is durable in the topic, for the leader. */
  stored(update: StoredUpdate): void {
    this.#leading?.stored(update)
  }

  /** The log is to follow its topic onto other servers. */
  moveLog(): void {
    this.#isMoveDue = true
  }

  claimFailed(changeId: string, nowMs: number): void {
    if (this.#claiming !== changeId) return
    this.#claiming = null
    this.#leaderSeenMs = nowMs
  }

  /** @returns number that `answered` will name */
  ack(runs: readonly Run[], nowMs: number, out: NodeEffect[]): number {
    return this.#wish({ kind: 'ack', runs }, nowMs, out)
  }

  nak(runs: readonly Run[], delayMs: number, nowMs: number, out: NodeEffect[]): number {
    return this.#wish({ kind: 'nak', runs, delayMs }, nowMs, out)
  }

  leave(unread: readonly Run[], nowMs: number, out: NodeEffect[]): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    if (this.isJoined) this.#wish({ kind: 'leave', unread }, nowMs, out)
    else this.#hasLeft = true
  }

  tick(nowMs: number, wallMs: number, out: NodeEffect[]): void {
    const { leaseMs } = this.#options
    const oldest = this.#pending[0]
    if (oldest !== undefined && nowMs - oldest.sentMs > leaseMs / 2) this.#repeat(nowMs, out)
    else if (this.#pending.length === 0 && this.isJoined && nowMs - this.#lastSentMs >= leaseMs / 3) {
      this.#wish({ kind: 'alive' }, nowMs, out)
    }
    if (this.#state !== null) this.#leading?.tick(this.#state, nowMs, wallMs, leaseMs)
    this.#considerClaim(nowMs, out)
  }

  /** The end of a turn: the leader's record of it leaves. */
  settle(wallMs: number, out: NodeEffect[]): void {
    if (this.#state === null || this.#leading === null) return
    for (const message of this.#leading.records(this.#state, wallMs)) out.push({ kind: 'publish', message })
    const from = this.#leading.feedFrom(this.#state)
    if (from !== null) out.push({ kind: 'feed', from })
  }

  /** Everybody notes it, so that a new leader knows who has been silent for how long. */
  #hear(member: MemberId, nowMs: number): void {
    this.#heardMs.delete(member)
    this.#heardMs.set(member, nowMs)
    const [longest] = this.#heardMs.keys()
    if (this.#heardMs.size > heardMax && longest !== undefined) this.#heardMs.delete(longest)
  }

  #enter(of: Epoch, changeId: string, nowMs: number): void {
    this.#epoch = of
    this.#claim = changeId
    this.#claiming = null
    this.#nextIndex = 0
    this.#leaderSeenMs = nowMs
    this.#epochBytes = 0
  }

  #onRecord(record: RecordMessage, nowMs: number, out: NodeEffect[]): void {
    // Not of this epoch's leader: it was written by somebody who has no say in it.
    if (record.claim !== this.#claim || !isClaim(record.claim) || record.index !== this.#nextIndex) return
    this.#nextIndex++
    this.#leader = record.by
    this.#leaderSeenMs = nowMs
    if (record.snapshot !== undefined) this.#onSnapshot(record.snapshot, nowMs, out)
    if (this.#state === null) return
    const { granted, refused } = this.#state.apply(record)
    this.#settlePending(nowMs, out)
    const own = granted.filter((item) => item.holder === this.#member)
    for (const { member, number, ids } of refused) {
      if (member === this.#member) out.push({ kind: 'answered', number, refused: ids })
    }
    if (own.length > 0) out.push({ kind: 'granted', items: own })
  }

  #onSnapshot(snapshot: NonNullable<RecordMessage['snapshot']>, nowMs: number, out: NodeEffect[]): void {
    if (this.#state === null) this.#state = GroupState.restore(snapshot)
    else if (JSON.stringify(this.#state.snapshot()) !== JSON.stringify(snapshot)) {
      throw new InvariantViolation('I13', `two members disagree about their group at the start of epoch ${this.#epoch}`)
    }
    // What the leader before did not get to may not have been kept: it is asked for again.
    this.#repeat(nowMs, out)
  }

  #settlePending(nowMs: number, out: NodeEffect[]): void {
    const applied = this.#state?.appliedOf(this.#member) ?? null
    const isNew = this.#pending[0]?.message.wish.kind === 'join'
    if (applied === null) {
      if (isNew) return
      if (this.#isLeaving) this.#hasLeft = true
      else {
        out.push({ kind: 'expired' })
        this.#member = this.#options.newId()
        this.#number = 0
        this.#join(nowMs, out)
      }
      return
    }
    for (;;) {
      const [oldest] = this.#pending
      if (oldest === undefined || oldest.message.number > applied) return
      this.#confirmedMs = Math.max(this.#confirmedMs, oldest.firstSentMs)
      this.#pending.shift()
    }
  }

  #join(nowMs: number, out: NodeEffect[]): void {
    this.#pending = []
    this.#confirmedMs = Number.NEGATIVE_INFINITY
    this.#wish(this.#options.join, nowMs, out)
  }

  #wish(wish: Wish, nowMs: number, out: NodeEffect[]): number {
    const message: WishMessage = { kind: 'wish', member: this.#member, number: ++this.#number, wish }
    this.#pending.push({ message, firstSentMs: nowMs, sentMs: nowMs })
    this.#lastSentMs = nowMs
    out.push({ kind: 'publish', message })
    return message.number
  }

  #repeat(nowMs: number, out: NodeEffect[]): void {
    for (const pending of this.#pending) {
      pending.sentMs = nowMs
      out.push({ kind: 'publish', message: pending.message })
    }
  }

  #considerClaim(nowMs: number, out: NodeEffect[]): void {
    if (this.#claiming !== null || this.#hasLeft || this.#state === null) return
    const isSilent = this.#leading === null && nowMs - this.#leaderSeenMs >= this.#patienceMs()
    const isLong =
      this.#leading !== null && this.#epochBytes > Math.max(this.#options.rollBytes, this.#snapshotBytes * 8)
    const isMoveDue = this.#leading !== null && this.#isMoveDue
    if (!isSilent && !isLong && !isMoveDue) return
    this.#claiming = `${claimPrefix}${this.#options.newId()}`
    out.push({ kind: 'claim', epoch: this.#epoch, changeId: this.#claiming })
  }

  /** How long this member waits for a record before it takes the lead; one after the other, in the order of joining. */
  #patienceMs(): number {
    const { leaseMs } = this.#options
    const members = this.#state?.memberIds() ?? []
    const others = members.filter((id) => id !== this.#leader)
    const place = others.indexOf(this.#member)
    const rank = place < 0 ? others.length : place
    // A leader may lead before it has joined.
    const isLeaderGone = this.#leader === null ? members.length === 0 : this.#state?.hasLeft(this.#leader) === true
    // Nobody leads an epoch that no member began: the old leader takes it back at once.
    if (!isClaim(this.#claim)) {
      if (isLeaderGone) return (rank * leaseMs) / 4
      return this.#leader === this.#member ? 0 : ((rank + 1) * leaseMs) / 4
    }
    return isLeaderGone && this.#nextIndex > 0 ? (rank * leaseMs) / 4 : leaseMs + (rank * leaseMs) / 2
  }
}

function isClaim(changeId: string): boolean {
  return changeId.startsWith(claimPrefix)
}
