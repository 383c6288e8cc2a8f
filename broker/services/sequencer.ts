/**
 * Orders the messages of one epoch of a topic of order `total`: says of whatever has been stored here in a turn in which order
 * it comes, causes before effects, in one record. A record is a batch like any other, under a publisher id that nobody else may
 * use: it goes to every member, is durable by the same quorum, and belongs to its epoch only.
 *
 * Source: section 7 of the paper (total order needs a primary for each epoch).
 * Departs from it: the primary orders what is stored already and forwards nothing; publishers and their quorums do not wait for
 * it. It belongs to the process that opened the epoch: a later process of that server does not know what was said, so it says
 * nothing, and the epoch is ended.
 */
import { crc32 } from 'node:zlib'
import { FullServers } from '../../client-sdk/full-servers.ts'
import { EpochWindow, type WindowPorts } from '../../client-sdk/operations/epoch-window.ts'
import { Outgoing } from '../../client-sdk/operations/outgoing.ts'
import { CausalQueue, type Stamped } from '../../proto/causal-queue.ts'
import type { Configuration, Member } from '../../proto/configuration.ts'
import { isSystemPublisher, type PublisherId, type ServerName, sequencerPublisher } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Batch, End, MessageOf } from '../../proto/wire/messages.ts'
import type { ServerTimers } from '../timers.ts'

/** Records that may be under way; what is stored meanwhile goes into the next one. */
const recordsMax = 256
/** One entry without anything in it: records are told by their envelope. */
const emptyBody = new Uint8Array([1, 0])
const emptyCheck = crc32(emptyBody)
const windowLimits = { batchBytesMax: 1, windowBytesMax: 1024 * 1024, pendingBytesMax: 1, retainedBytesMax: 64 * 1024 }

export class Sequencer {
  readonly configuration: Configuration
  readonly #window: EpochWindow
  readonly #queue = new CausalQueue<Stamped>()
  readonly #timers: ServerTimers
  /** Whether a batch that every member has stored comes before all that is stored later. */
  readonly #keepsArrival: boolean
  /** Without a place yet, as they came; kept where their order counts. */
  #arrived: Stamped[] = []
  /** Some of them are from a turn before. */
  #isBehind = false
  #time = 0
  #blockedSince: number | null = null

  constructor(configuration: Configuration, addressOf: (member: Member) => Member['address'], timers: ServerTimers) {
    this.configuration = configuration
    this.#timers = timers
    this.#keepsArrival = configuration.mode !== 'fault-masking'
    // Its records have no caller that could give up.
    const reach = { addressOf, isUp: () => true, full: new FullServers(timers) }
    const ofWindow: WindowPorts['timers'] = {
      get now() {
        return timers.now
      },
      timer: (_name, key, ring) => timers.timer('sequencer-records', key, ring),
    }
    const ports = { timers: ofWindow, isWaiting: () => false, stuck: () => {} }
    this.#window = new EpochWindow(configuration, sequencerPublisher, reach, windowLimits, ports)
  }

  /** Tick since which something waits for a cause that is not here; null while nothing does. */
  get blockedSince(): number | null {
    return this.#blockedSince
  }

  /** A batch has been stored here. Its body is not kept. */
  stored({ publisher, first, last, time, after }: Batch): void {
    if (isSystemPublisher(publisher)) return
    const item = { publisher, first, last, time, ...(after && { after }) }
    this.#queue.add(item)
    if (this.#keepsArrival) this.#arrived.push(item)
  }

  /** The end of a turn: one record for everything that has a place now. */
  settle(out: Effect[]): void {
    // Records wait for no member: what is put in order together, later, does not keep the order in which it came.
    if (this.#queue.isEmpty || !this.#window.isOpen || this.#window.pendingCount >= recordsMax) return
    const taken = this.#takeAll()
    this.#noteBlocked(taken.length > 0)
    if (taken.length === 0) return
    const ends: End[] = []
    for (const { publisher, last, time } of taken) {
      if (ends[ends.length - 1]?.publisher === publisher) ends.pop()
      ends.push({ publisher, end: last })
      this.#time = Math.max(this.#time, time)
    }
    this.#window.add(new Outgoing(emptyBody, 1, emptyCheck, this.#time, [], { ranks: { ends } }), out)
  }

  /** What gets its place in this turn, in order. */
  #takeAll(): Stamped[] {
    const taken: Stamped[] = []
    if (this.#isBehind) this.#takeAsArrived(taken)
    else for (let item = this.#queue.take(); item !== undefined; item = this.#queue.take()) taken.push(item)
    if (this.#keepsArrival) {
      this.#arrived = this.#arrived.filter(({ publisher, last }) => this.#queue.doneOf(publisher) < last)
      this.#isBehind = this.#arrived.length > 0
    }
    return taken
  }

  /** Something from a turn before waits for a cause: what came behind it may have begun after it was done, and comes behind it. */
  #takeAsArrived(taken: Stamped[]): void {
    for (const { publisher, last } of this.#arrived) if (!this.#takeUpTo(publisher, last, taken, new Set())) return
  }

  /** Takes what a publisher stored up to `end`, causes first. @returns false where one of them is not here */
  #takeUpTo(publisher: PublisherId, end: number, taken: Stamped[], behind: Set<Stamped>): boolean {
    while (this.#queue.doneOf(publisher) < end) {
      const head = this.#queue.headOf(publisher)
      // Stamps that name each other in a circle stand for nothing that could be.
      if (head === undefined || behind.has(head)) return false
      behind.add(head)
      for (let cause = this.#queue.missingOf(head); cause !== null; cause = this.#queue.missingOf(head))
        if (!this.#takeUpTo(cause.publisher, cause.end, taken, behind)) return false
      const item = this.#queue.takeOf(publisher)
      if (item !== undefined) taken.push(item)
    }
    return true
  }

  answered(from: ServerName, message: MessageOf<'stored' | 'expected' | 'refused' | 'room'>, out: Effect[]): void {
    if (message.kind === 'stored') this.#window.stored(from, message, out)
    else if (message.kind === 'expected') this.#window.expected(from, message, out)
    else if (message.kind === 'room') this.#window.room(from, message, out)
    else this.#window.refused(from, message)
  }

  opened(from: ServerName, message: MessageOf<'opened'>, out: Effect[]): void {
    this.#window.opened(from, message, out)
  }

  /** Its epoch is over: nothing is sent any more. */
  end(): void {
    this.#window.close()
  }

  /** @param hasMoved something found its place in this turn */
  #noteBlocked(hasMoved: boolean): void {
    if (this.#queue.isEmpty) this.#blockedSince = null
    else if (hasMoved || this.#blockedSince === null) this.#blockedSince = this.#timers.now
  }
}
