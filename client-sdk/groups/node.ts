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
import { LogTime, pulseMs } from './log-time.ts'
import type { LogMessage, MemberId, RecordMessage, Run, Wish, WishMessage } from './messages.ts'
import { GroupState } from './state.ts'
import { Unanswered } from './unanswered.ts'

export type NodeEffect =
  | { readonly kind: 'publish'; readonly message: LogMessage }
  /** End this epoch of the log by a change of this id. */
  | { readonly kind: 'claim'; readonly epoch: Epoch; readonly changeId: string }
  /** This member holds these messages from now on. */
  | { readonly kind: 'granted'; readonly items: readonly Item[] }
  /** It was taken for dead: it holds nothing any more, and joins again as another member. */
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
/** How long a leader may leave a wish unanswered, in milliseconds, before another member takes the lead; no lease is waited for. */
const patienceMs = 1_000
/** A leader that writes records is there, and may be busy: so many times as long. */
const busyFactor = 4
/** Each epoch of the log in which its leader did not get to answer anything doubles the patience, so often at the most. */
const doublingsMax = 4
/** Members take the lead one after the other, in the order of joining, this far apart; so many have a turn of their own. */
const turnMs = 50
const turnsMax = 20
/** After a change that failed, before the next is asked for. */
const retryMs = 250
/** A wish without an answer is sent again after half a lease, or this long. */
const repeatMaxMs = 5_000

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
  /** Ids of changes that this member asked for in the open epoch: no other one leads what one of them begins. */
  readonly #claims = new Set<string>()
  /** Since when this member waits for its leader, apart from what it reads. */
  #waitsFromMs = 0
  /** Epochs in a row whose leader wrote nothing but its snapshot. */
  #fruitless = 0
  #time: LogTime
  #tickedMs = 0
  readonly #unanswered = new Unanswered()
  #epochBytes = 0
  #snapshotBytes = 0
  #pending: Pending[] = []
  #number = 0
  #isLeaving = false
  #hasLeft = false
  #confirmedMs = Number.NEGATIVE_INFINITY
  #lastSentMs = Number.NEGATIVE_INFINITY
  #isMoveDue = false

  constructor(options: NodeOptions) {
    this.#options = options
    this.#time = new LogTime(0)
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

  /** Its wish to leave has been agreed. */
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
    this.#time = new LogTime(nowMs)
    this.#tickedMs = nowMs
    this.#enter(of, changeId, nowMs)
    this.#join(nowMs, out)
  }

  /** A durable message of the log. */
  message(message: LogMessage, bytes: number, nowMs: number, out: NodeEffect[]): void {
    this.#epochBytes += bytes
    if (message.kind === 'record') {
      if (message.index === 0) this.#snapshotBytes = bytes
      this.#onRecord(message, nowMs, out)
      return
    }
    const state = this.#state
    this.#unanswered.add(message, state, nowMs)
    if (state !== null) this.#leading?.wish(message, state, this.#time.advance(nowMs, state))
  }

  /** An epoch of the log has ended: every message of it was given before. */
  ended(next: Epoch, changeId: string, nowMs: number, out: NodeEffect[]): void {
    if (this.#leading !== null) out.push({ kind: 'feed', from: null })
    this.#leading = null
    const isMine = this.#claims.has(changeId)
    if (isClaim(this.#claim) && this.#nextIndex <= 1) this.#fruitless++
    this.#enter(next, changeId, nowMs)
    const state = this.#state
    if (!isMine || state === null) return
    const leading = new Leading(changeId, this.#member)
    this.#leading = leading
    this.#isMoveDue = false
    const timeMs = this.#time.advance(nowMs, state)
    // Its own come first: until it has joined, the only members to hand out to may be dead.
    const own = this.#pending.map(({ message }) => message)
    for (const wish of [...own, ...this.#unanswered.ofMembers(state)]) leading.wish(wish, state, timeMs)
  }

  /** Messages that are durable in the topic, for the leader. */
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
    this.#waitsFromMs = nowMs + retryMs
  }

  /** A record of this leader was not taken by the log: those behind it count for nothing, so it begins another epoch. */
  recordLost(): void {
    if (this.#leading !== null) this.#isMoveDue = true
  }

  /**
   * @param done answered by the reader
   * @param begun handed to the reader now
   * @returns number that `answered` will name
   */
  work(done: readonly Run[], begun: readonly Run[], nowMs: number, out: NodeEffect[]): number {
    return this.#wish({ kind: 'work', done, begun }, nowMs, out)
  }

  nak(runs: readonly Run[], delayMs: number, nowMs: number, out: NodeEffect[]): number {
    return this.#wish({ kind: 'nak', runs, delayMs }, nowMs, out)
  }

  /** @param unread begun, and not handed to the reader after all */
  leave(unread: readonly Run[], nowMs: number, out: NodeEffect[]): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    // Its wish to join may be applied yet: then it is a member until it says that it leaves.
    this.#wish({ kind: 'leave', unread }, nowMs, out)
    // Without a member no leader lives that could agree to it.
    if ((this.#state?.memberIds().length ?? 0) === 0) this.#hasLeft = true
  }

  tick(nowMs: number, out: NodeEffect[]): void {
    const { leaseMs } = this.#options
    const state = this.#state
    // This process stood still: the leader was not silent, it was not heard.
    if (nowMs - this.#tickedMs > this.#patienceMs() / 2) this.#waitsFromMs = Math.max(this.#waitsFromMs, nowMs)
    this.#tickedMs = nowMs
    const oldest = this.#pending[0]
    if (oldest !== undefined && nowMs - oldest.sentMs > Math.min(leaseMs / 2, repeatMaxMs)) this.#repeat(nowMs, out)
    else if (this.#pending.length === 0 && this.isJoined && nowMs - this.#lastSentMs >= leaseMs / 3) {
      this.#wish({ kind: 'alive' }, nowMs, out)
    }
    if (state !== null) {
      const timeMs = this.#time.advance(nowMs, state)
      this.#leading?.tick(state, nowMs, timeMs)
    }
    this.#considerClaim(nowMs, out)
  }

  /** The end of a turn: the leader's record of it leaves. */
  settle(nowMs: number, out: NodeEffect[]): void {
    if (this.#state === null || this.#leading === null) return
    const timeMs = this.#time.advance(nowMs, this.#state)
    for (const message of this.#leading.records(this.#state, nowMs, timeMs)) out.push({ kind: 'publish', message })
    const from = this.#leading.feedFrom(this.#state)
    if (from !== null) out.push({ kind: 'feed', from })
  }

  #enter(of: Epoch, changeId: string, nowMs: number): void {
    this.#epoch = of
    this.#claim = changeId
    this.#claiming = null
    this.#claims.clear()
    this.#nextIndex = 0
    this.#leaderSeenMs = nowMs
    this.#waitsFromMs = nowMs
    this.#epochBytes = 0
  }

  #onRecord(record: RecordMessage, nowMs: number, out: NodeEffect[]): void {
    // Only this epoch's leader has a say in it.
    if (record.claim !== this.#claim || !isClaim(record.claim) || record.index !== this.#nextIndex) return
    this.#nextIndex++
    if (record.index > 0) this.#fruitless = 0
    this.#leader = record.by
    this.#leaderSeenMs = nowMs
    if (record.snapshot !== undefined) this.#onSnapshot(record.snapshot, nowMs, out)
    const state = this.#state
    if (state === null) return
    const { granted, refused } = state.apply(record)
    this.#time.read(state.timeMs, this.#leading !== null, nowMs)
    this.#unanswered.settle(state)
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
    // Wishes that the leader before did not get to may not have been kept: they are asked for again.
    this.#repeat(nowMs, out)
  }

  #settlePending(nowMs: number, out: NodeEffect[]): void {
    const state = this.#state
    if (state === null) return
    const applied = state.appliedOf(this.#member)
    if (applied === null) {
      // It has not joined yet.
      if (!state.hasLeft(this.#member) && this.#pending[0]?.message.wish.kind === 'join') return
      if (this.#isLeaving) {
        this.#hasLeft = true
        this.#pending = []
        return
      }
      out.push({ kind: 'expired' })
      this.#member = this.#options.newId()
      this.#number = 0
      this.#join(nowMs, out)
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
    const state = this.#state
    if (this.#claiming !== null || this.#hasLeft || state === null) return
    const waitedMs = nowMs - this.#waitsFromMs
    if (waitedMs < 0) return
    const isLong = this.#epochBytes > Math.max(this.#options.rollBytes, this.#snapshotBytes * 8)
    const isWanted = this.#leading === null ? this.#isVacant(state, nowMs) : isLong || this.#isMoveDue
    if (!isWanted) return
    this.#claiming = `${claimPrefix}${this.#options.newId()}`
    this.#claims.add(this.#claiming)
    out.push({ kind: 'claim', epoch: this.#epoch, changeId: this.#claiming })
  }

  /** Whether it is this member's turn to take the lead. */
  #isVacant(state: GroupState, nowMs: number): boolean {
    const members = state.memberIds()
    const turn = this.#turnMs(members)
    const waitedMs = nowMs - this.#waitsFromMs
    // A leader may lead before it has joined.
    const hasLeaderLeft = this.#leader === null ? members.length === 0 : state.hasLeft(this.#leader)
    // No member leads an epoch that none began: the old leader takes it back at once.
    if (!isClaim(this.#claim)) {
      const isFirst = hasLeaderLeft || this.#leader === this.#member
      return waitedMs >= turn + (isFirst ? 0 : this.#patienceMs() / 4)
    }
    if (hasLeaderLeft && this.#nextIndex > 0) return waitedMs >= turn
    return this.#isMissed(state, nowMs - turn)
  }

  /** Whether the leader of this epoch should have written something by then, and has not. */
  #isMissed(state: GroupState, thenMs: number): boolean {
    const patience = this.#patienceMs()
    const seenMs = this.#leaderSeenMs
    const owedMs = this.#nextIndex === 0 ? seenMs : this.#unanswered.sinceMs(state)
    const isOver = (sinceMs: number, ms: number) => thenMs - Math.max(sinceMs, this.#waitsFromMs) >= ms
    if (owedMs !== null && (isOver(Math.max(owedMs, seenMs), patience) || isOver(owedMs, patience * busyFactor))) {
      return true
    }
    const pulse = this.isJoined ? pulseMs(state, this.#leader) : null
    return pulse !== null && isOver(seenMs, pulse + patience)
  }

  #patienceMs(): number {
    const doublings = Math.min(this.#fruitless, doublingsMax)
    return Math.min(this.#options.leaseMs, patienceMs) * 2 ** doublings
  }

  #turnMs(members: readonly MemberId[]): number {
    const others = members.filter((id) => id !== this.#leader)
    const place = others.indexOf(this.#member)
    const rank = place < 0 ? others.length : place
    return turnMs * (rank < turnsMax ? rank : turnsMax + (rank % turnsMax))
  }
}

function isClaim(changeId: string): boolean {
  return changeId.startsWith(claimPrefix)
}
