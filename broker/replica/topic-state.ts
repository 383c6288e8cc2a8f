/**
 * What one server keeps of one topic, and the only place that changes it. What must survive a restart changes only by a record
 * in the log, applied in the same way when it is made and when it is read back. Everything else (configurations heard of, enabled
 * epochs, released bodies, staged bodies dropped as forged) is volatile and found out again after a restart: none of it was
 * promised to another server.
 */
import type { Configuration, Decision, Intent } from '../../proto/configuration.ts'
import { intentOf, isMember } from '../../proto/configuration.ts'
import { InvariantViolation } from '../../proto/errors.ts'
import { beforeFirst, type Epoch, nextEpoch, previousEpoch, type ServerName, type TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Position, RecordKind } from '../../proto/machine/store.ts'
import { endOf, fingerprint, type MessageSet, missingCount, noFrontier } from '../../proto/message-set.ts'
import type { Stake } from '../../proto/stake.ts'
import { messageBytes } from '../../proto/wire/codec.ts'
import type { Batch } from '../../proto/wire/messages.ts'
import type { ReplicaRecord } from '../../proto/wire/records.ts'
import { Acceptor } from '../epoch/acceptor.ts'
import type { Room } from '../host.ts'
import { Holdings } from './holdings.ts'

/** The newest epoch that this server has opened as one of its members. */
export interface OpenedEpoch {
  readonly configuration: Configuration
  readonly holdings: Holdings
  readonly acceptor: Acceptor
  /** What the change wants that wedged it; null while it takes stores. */
  wedgedFor: Intent | null
}

export class TopicState {
  readonly topic: TopicName
  readonly self: ServerName
  opened: OpenedEpoch | null = null
  /** Highest configuration that is known to be decided. */
  newest: Configuration | null = null
  readonly #room: Room
  /** Highest epoch that is known to be enabled. Not kept: it is asked again. */
  #enabledEpoch: Epoch = beforeFirst
  readonly #decisions = new Map<Epoch, Decision>()
  readonly #holdings = new Map<Epoch, Holdings>()
  readonly #staged = new Map<Epoch, Holdings>()
  /** Epochs for whose end this server has said that it holds everything, while it does not know how they ended. */
  readonly #promised = new Set<Epoch>()

  constructor(topic: TopicName, self: ServerName, room: Room) {
    this.topic = topic
    this.self = self
    this.#room = room
  }

  get enabledEpoch(): Epoch {
    return this.#enabledEpoch
  }

  /** Whether the epoch after the opened one, or a later one, is enabled. */
  get successorEnabled(): boolean {
    return this.opened !== null && this.#enabledEpoch > this.opened.configuration.epoch
  }

  noteEnabled(epoch: Epoch): void {
    if (epoch > this.#enabledEpoch) this.#enabledEpoch = epoch
  }

  /** Somebody who knows told of a decided configuration; kept only until the next restart. */
  hear(configuration: Configuration): void {
    if (this.newest === null || configuration.epoch > this.newest.epoch) this.newest = configuration
  }

  /** The decision that closed `epoch`, if this server knows it. */
  decisionOf(of: Epoch): Decision | undefined {
    return this.#decisions.get(of)
  }

  /** The decision that a change led to, if this server knows it. */
  findChange(changeId: string): Decision | undefined {
    for (const decision of this.#decisions.values()) if (decision.changeId === changeId) return decision
    return undefined
  }

  /** The configuration of an epoch, known from the decision that made it. */
  configurationOf(of: Epoch): Configuration | undefined {
    return of < 1 ? undefined : this.#decisions.get(previousEpoch(of))?.next
  }

  /** What may be read of an epoch here: null unless it is the opened one or a closed one that is complete. */
  readable(of: Epoch): Holdings | null {
    return this.#holdings.get(of) ?? null
  }

  /** Epochs of which a coordinator may count on what is staged here, the oldest first. */
  get promised(): ReadonlySet<Epoch> {
    return this.#promised
  }

  /**
   * Whether no other server may need anything that this one holds: a later epoch than its own is enabled, no epoch that is still to
   * be enabled names it, and every promise to keep what is staged has been settled by the decision of its epoch.
   */
  get isSpent(): boolean {
    const { newest, opened, self } = this
    const enabled = this.#enabledEpoch
    if (newest === null || newest.epoch < enabled || isMember(newest, self)) return false
    if (enabled <= (opened?.configuration.epoch ?? 0) || this.#promised.size > 0) return false
    for (let of = enabled; of < newest.epoch; of = nextEpoch(of)) {
      const next = this.#decisions.get(of)?.next
      if (next !== undefined && isMember(next, self)) return false
    }
    return true
  }

  staged(of: Epoch): Holdings {
    let holdings = this.#staged.get(of)
    if (holdings === undefined) {
      holdings = new Holdings()
      this.#staged.set(of, holdings)
    }
    return holdings
  }

  get heldEpochs(): number {
    return this.#holdings.size
  }

  get stagedCount(): number {
    let count = 0
    for (const holdings of this.#staged.values()) count += holdings.index.length
    return count
  }

  /** What is on this server of an epoch, stored and staged together: what a state transfer need not fetch. */
  present(of: Epoch): MessageSet {
    const present = new Map(this.#holdings.get(of)?.snapshot())
    for (const [publisher, frontier] of this.#staged.get(of)?.snapshot() ?? []) present.set(publisher, frontier)
    return present
  }

  /** Messages of `closing` that are not on this server. */
  missing(of: Epoch, closing: MessageSet): number {
    return this.#holdings.get(of)?.closed === true ? 0 : missingCount(closing, this.present(of))
  }

  /**
   * Publishers whose batches here are others than those in `closing`: a client sent different bytes under one id. What was
   * staged of them is forgotten, so that it is fetched from a server that holds what counts.
   */
  dropForgeries(of: Epoch, closing: MessageSet): void {
    for (const [publisher, { end, digest }] of closing) {
      const staged = this.#staged.get(of)
      const isStaged = staged?.has(publisher) === true && staged.baseOf(publisher) < end
      const from = isStaged ? staged : this.#holdings.get(of)
      if (from === undefined || from.endOf(publisher) < end || from.digestAt(publisher, end) === digest) continue
      staged?.discard(publisher)
      this.staged(of).continueFrom(publisher, { end: 0, digest: 0 })
    }
  }

  /**
   * A batch of the same publisher with other boundaries than those here: one of the two was forged, so it begins anew.
   * @returns whether that was so
   */
  dropMismatch(batch: Batch): boolean {
    const staged = this.#staged.get(batch.epoch)
    const end = this.#stagedEnd(batch)
    if (batch.first > end || batch.last <= end) return false
    staged?.discard(batch.publisher)
    this.staged(batch.epoch).continueFrom(batch.publisher, noFrontier)
    return true
  }

  /**
   * Takes a batch into the opened epoch. The caller has checked that it is its publisher's next one.
   * @returns false where nothing was done because the disk has no room for it
   */
  store(batch: Batch, bytes: Uint8Array, out: Effect[]): boolean {
    const { opened } = this
    if (opened === null || opened.wedgedFor !== null || opened.configuration.epoch !== batch.epoch) {
      throw new InvariantViolation('I7', `batch of epoch ${batch.epoch} stored while it is not open`)
    }
    if (!this.#room.admits(bytes.length)) return false
    const slot = opened.holdings.add(batch)
    out.push({ kind: 'persist', record: 'batch', bytes, placement: opened.holdings.index, slot })
    return true
  }

  /**
   * Keeps a batch for an epoch change: apart from what is stored, told to nobody, read by nobody until it is decided.
   * @returns false where nothing was done because the disk has no room for it
   */
  stage(batch: Batch, bytes: Uint8Array, out: Effect[]): boolean {
    if (!this.#room.admits(bytes.length)) return false
    const holdings = this.#stageable(batch)
    const slot = holdings.add(batch)
    out.push({ kind: 'persist', record: 'staged', bytes, placement: holdings.index, slot })
    return true
  }

  /**
   * Promises to keep what is staged for the end of an epoch until its decision is known. On disk before a coordinator is told, so
   * that it outlives this process as the staged bodies do.
   */
  promise(of: Epoch, stake: Stake, out: Effect[]): void {
    if (this.#promised.has(of) || this.#decisions.has(of)) return
    this.record({ kind: 'staged', topic: this.topic, epoch: of, stake, missing: 0 }, out)
  }

  /** Whether the batch is what state transfer wants next of its publisher. */
  stageContinues(batch: Batch): boolean {
    return batch.first === this.#stagedEnd(batch) + 1
  }

  /** Whether one before it is not here. */
  stageSkips(batch: Batch): boolean {
    return batch.first > this.#stagedEnd(batch) + 1
  }

  /** Checks that a decision which is told again is the one that is known. */
  confirm(of: Epoch, decision: Decision): void {
    const known = this.#decisions.get(of)
    if (known === undefined) return
    if (fingerprint(known.closing) === fingerprint(decision.closing) && known.changeId === decision.changeId) return
    throw new InvariantViolation('I4', `epoch ${of} of ${this.topic} has two decisions`)
  }

  /** Makes a change of protocol state: applied now, on disk before anything that is told after it. */
  record(record: Exclude<ReplicaRecord, Batch>, out: Effect[]): void {
    out.push({ kind: 'persist', record: 'protocol', bytes: messageBytes(record) })
    this.#apply(record)
  }

  /** A record that survived a restart. */
  recover(kind: RecordKind, record: ReplicaRecord, position: Position): void {
    if (record.kind !== 'batch') {
      this.#apply(record)
      return
    }
    const holdings = kind === 'staged' ? this.#stageable(record) : this.opened?.holdings
    if (holdings === undefined) throw new InvariantViolation('log', `batch of epoch ${record.epoch} before its opening`)
    holdings.index.place(holdings.add(record), position)
  }

  /** Forgets bodies that nobody needs: a later epoch is enabled, and this server is not one of its members. */
  release(): void {
    this.#holdings.clear()
    this.#staged.clear()
  }

  #stageable(batch: Batch): Holdings {
    const staged = this.staged(batch.epoch)
    const stored = this.#holdings.get(batch.epoch)
    if (batch.first === 1 && staged.has(batch.publisher)) staged.discard(batch.publisher)
    else if (batch.first > 1 && !staged.has(batch.publisher) && stored !== undefined) {
      staged.continueFrom(batch.publisher, stored.frontierOf(batch.publisher))
    }
    return staged
  }

  #stagedEnd(batch: Batch): number {
    const staged = this.#staged.get(batch.epoch)
    return staged?.has(batch.publisher) === true ? staged.endOf(batch.publisher) : this.#storedEnd(batch)
  }

  #storedEnd(batch: Batch): number {
    return this.#holdings.get(batch.epoch)?.endOf(batch.publisher) ?? 0
  }

  #apply(record: Exclude<ReplicaRecord, Batch>): void {
    switch (record.kind) {
      case 'wedge':
        return this.#wedge(record.epoch, (acceptor) => acceptor.promise(record.stake), record.intent)
      case 'accept': {
        const { stake, decision } = record
        return this.#wedge(record.epoch, (acceptor) => acceptor.accept(stake, decision), intentOf(decision))
      }
      case 'decided':
        return this.#learn(record.epoch, record.decision)
      case 'opening':
        return this.#open(record.decision)
      case 'staged':
        if (!this.#decisions.has(record.epoch)) this.#promised.add(record.epoch)
        return
    }
  }

  #wedge(of: Epoch, vote: (acceptor: Acceptor) => void, intent: Intent): void {
    const { opened } = this
    if (opened === null || opened.configuration.epoch !== of) return
    vote(opened.acceptor)
    opened.wedgedFor = intent
  }

  #learn(of: Epoch, decision: Decision): void {
    if (this.#decisions.has(of)) {
      this.confirm(of, decision)
      return
    }
    this.#decisions.set(of, decision)
    this.#promised.delete(of)
    if (this.newest === null || decision.next.epoch > this.newest.epoch) this.newest = decision.next
    // What is staged for an epoch whose successor does not name this server is of no use to anybody.
    if (!isMember(decision.next, this.self)) this.#staged.delete(of)
  }

  #open(decision: Decision): void {
    const { next } = decision
    const closed = previousEpoch(next.epoch)
    if (!isMember(next, this.self))
      throw new InvariantViolation('I5', `opens epoch ${next.epoch} without being a member`)
    this.#learn(closed, decision)
    for (let past = next.floor; past <= closed; past = nextEpoch(past)) this.#close(past)
    const holdings = new Holdings()
    this.#holdings.set(next.epoch, holdings)
    this.opened = { configuration: next, holdings, acceptor: new Acceptor(), wedgedFor: null }
  }

  #close(past: Epoch): void {
    const closing = this.#decisions.get(past)?.closing
    if (closing === undefined)
      throw new InvariantViolation('I6', `epoch ${past} is opened over without its closing set`)
    const staged = this.#staged.get(past)
    // Who stored nothing of it keeps what was staged as it stands: going through it would hold up the beginning of the next.
    const holdings = this.#holdings.get(past) ?? staged ?? new Holdings()
    if (holdings.closed) return
    holdings.close(closing, holdings === staged ? undefined : staged)
    this.#staged.delete(past)
    this.#holdings.set(past, holdings)
    for (const [publisher, { end }] of closing) {
      if (holdings.endOf(publisher) < end) {
        throw new InvariantViolation(
          'I6',
          `epoch ${past} lacks messages of ${publisher} up to ${endOf(closing, publisher)}`,
        )
      }
    }
  }
}
