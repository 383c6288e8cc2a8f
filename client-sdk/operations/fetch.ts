/** Fetches bodies of one epoch, page by page, from one member at a time. */
import type { Address, Epoch, PublisherId, TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { contains, endOf, type Frontier, type MessageSet } from '../../proto/message-set.ts'
import type { Batch, MessageOf } from '../../proto/wire/messages.ts'
import type { ClientTimer, ClientTimers } from '../timers.ts'

/** Takes batches while they continue their publisher's prefix. */
export class Prefix {
  readonly #frontiers: Map<PublisherId, Frontier>

  constructor(from: MessageSet) {
    this.#frontiers = new Map(from)
  }

  endOf(publisher: PublisherId): number {
    return this.#frontiers.get(publisher)?.end ?? 0
  }

  /** @returns how many of the batch's messages are old, or -1 when it does not continue what is here */
  take(batch: Batch): number {
    const end = this.endOf(batch.publisher)
    if (batch.last <= end || batch.first > end + 1) return -1
    this.#frontiers.set(batch.publisher, { end: batch.last, digest: 0 })
    return end + 1 - batch.first
  }

  set(publisher: PublisherId, end: number): void {
    this.#frontiers.set(publisher, { end, digest: 0 })
  }

  snapshot(): MessageSet {
    return new Map(this.#frontiers)
  }

  holds(set: MessageSet): boolean {
    return contains(this.#frontiers, set)
  }
}

export interface FetchListener {
  readonly timers: ClientTimers
  /** `skip` of the batch's messages, at its beginning, are known already. */
  fetched(batch: Batch, skip: number, out: Effect[]): void
  /** Everything up to the goal has been handed over. */
  complete(out: Effect[]): void
  /** Whether another page may come now. */
  hasRoom(): boolean
  /** In how many ticks that server has sent bodies to this client, to this fetch or to others. */
  busyTicks(from: Address): number
  /** Whether that server is connected, as far as this client heard. */
  isUp(server: Address): boolean
  /** Nobody gave anything for a while. */
  stalled(out: Effect[]): void
}

export interface FetchWanted {
  readonly topic: TopicName
  readonly epoch: Epoch
  readonly until: MessageSet
  readonly prefix: Prefix
  /** Without bodies, and perhaps some beyond `until`, which need not be the end of a batch. */
  readonly bare?: boolean
}

const pageBytes = 512 * 1024
/** Silence of the member that is asked, until the next one is asked; twice as long after every time in a row. */
const patienceTicksMin = 30
const patienceTicksMax = 960
/** The longest wait for a member that sends other things meanwhile: what it was asked may have been lost. */
const busyTicksMax = 1_000

export class Fetch {
  readonly #topic: TopicName
  readonly #epoch: Epoch
  readonly #until: MessageSet
  readonly #isBare: boolean
  readonly #prefix: Prefix
  readonly #token: number
  readonly #members: () => readonly Address[]
  readonly #listener: FetchListener
  #source: number
  #resume = 0
  #waiting = false
  /** Who is asked, while an answer is due. */
  #asked: Address | null = null
  /** Tick at which it was asked, or sent something; and how many it had been busy in by then. */
  #heardAt = 0
  #busyBefore = 0
  /** Rings when the member that was asked is silent for too long, or when another one may be asked. */
  readonly #pause: Timer<ClientTimer>
  #patience = patienceTicksMin
  #over = false

  constructor(
    of: FetchWanted,
    token: number,
    members: () => readonly Address[],
    firstSource: number,
    listener: FetchListener,
  ) {
    this.#topic = of.topic
    this.#epoch = of.epoch
    this.#until = of.until
    this.#isBare = of.bare === true
    this.#prefix = of.prefix
    this.#token = token
    this.#members = members
    this.#source = firstSource
    this.#listener = listener
    this.#pause = listener.timers.timer('page', of.topic, (out) => this.#goOn(out))
  }

  /** Everything up to the goal is here. */
  get isWhole(): boolean {
    return this.#prefix.holds(this.#until)
  }

  /** Asks for the next page, if there is room and none is on its way. */
  next(out: Effect[]): void {
    if (this.#over || this.#waiting) return
    if (this.#prefix.holds(this.#until)) {
      this.cancel()
      this.#listener.complete(out)
      return
    }
    if (!this.#listener.hasRoom()) return
    const to = this.#chosen()
    if (to === undefined) return
    this.#waiting = true
    this.#asked = to
    this.#heard()
    this.#pause.set(this.#patience)
    const [topic, epoch, since] = [this.#topic, this.#epoch, this.#prefix.snapshot()]
    const which = this.#isBare ? { bare: true } : { until: this.#until }
    send(
      out,
      to,
      { kind: 'pull', topic, epoch, since, bytesMax: pageBytes, resume: this.#resume, ...which },
      this.#token,
    )
  }

  batch(batch: Batch, out: Effect[]): void {
    if (this.#over || batch.epoch !== this.#epoch) return
    // What a server pushed before it heard that the epoch is over may lie beyond the closing set: it is nobody's message.
    if ((this.#isBare ? batch.first : batch.last) > endOf(this.#until, batch.publisher)) return
    this.#heard()
    const skip = this.#prefix.take(batch)
    if (skip >= 0) this.#listener.fetched(batch, skip, out)
  }

  pulled(message: MessageOf<'pulled'>, out: Effect[]): void {
    if (this.#over || !this.#waiting) return
    this.#waiting = false
    this.#patience = patienceTicksMin
    if (message.more) {
      this.#resume = message.resume
      this.next(out)
      return
    }
    this.#another()
    if (this.#prefix.holds(this.#until)) {
      this.next(out)
      return
    }
    // This member does not have it all: the next one is asked at the next tick.
    this.#pause.set(1)
    // Servers that have been retired since let go of what they held: then there are newer ones.
    this.#listener.stalled(out)
  }

  /** The member asked cannot serve this epoch. */
  refused(): void {
    this.#waiting = false
    this.#another()
    if (!this.#over) this.#pause.set(1)
  }

  /**
   * A connection broke, and with it the question that went there: another member is asked. Or one came up, while a member is asked that is
   * not there.
   */
  peer(server: Address, isUp: boolean, out: Effect[]): void {
    if (this.#over || !this.#waiting || this.#asked === null) return
    const isLost = isUp
      ? this.#members().includes(server) && (server === this.#asked || !this.#listener.isUp(this.#asked))
      : server === this.#asked
    if (!isLost) return
    this.#waiting = false
    if (server !== this.#asked || !isUp) this.#another()
    if (isUp) {
      this.#patience = patienceTicksMin
      this.next(out)
    } else this.#pause.set(1)
  }

  /** Nothing more is asked for, and nothing handed over. */
  cancel(): void {
    this.#over = true
    this.#pause.stop()
  }

  #heard(): void {
    this.#heardAt = this.#listener.timers.now
    this.#busyBefore = this.#busyTicks()
  }

  #busyTicks(): number {
    return this.#asked === null ? 0 : this.#listener.busyTicks(this.#asked)
  }

  #goOn(out: Effect[]): void {
    if (!this.#waiting) {
      this.next(out)
      return
    }
    const waitedTicks = this.#listener.timers.now - this.#heardAt
    const silentTicks = waitedTicks - (this.#busyTicks() - this.#busyBefore)
    const ticksLeft = Math.min(busyTicksMax - waitedTicks, this.#patience - silentTicks)
    if (ticksLeft > 0) {
      this.#pause.set(ticksLeft)
      return
    }
    this.#patience = Math.min(patienceTicksMax, this.#patience * 2)
    this.#waiting = false
    this.#another()
    this.#listener.stalled(out)
    this.next(out)
  }

  /** The member whose turn it is, or the next one that is connected. */
  #chosen(): Address | undefined {
    const members = this.#members()
    for (let turn = 0; turn < members.length; turn++) {
      const member = members[(this.#source + turn) % members.length]
      if (member === undefined || !this.#listener.isUp(member)) continue
      if (turn > 0) this.#resume = 0
      this.#source += turn
      return member
    }
    return members[this.#source % Math.max(1, members.length)]
  }

  #another(): void {
    this.#source++
    this.#resume = 0
  }
}
