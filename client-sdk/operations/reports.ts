/** What the members of one epoch told a subscriber to have on disk, and who of them is silent. */
import { type Configuration, type Member, operationQuorum } from '../../proto/configuration.ts'
import type { PublisherId, ServerName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { heldBy, type MessageSet } from '../../proto/message-set.ts'
import type { ClientTimer, ClientTimers } from '../timers.ts'

/** What a member reported counts for so long after it fell silent. */
const countedTicks = 150
/** Until its first report a member is asked this often. */
const firstReportTicks = 20
/** So long too few members report before the topic is looked for; while that lasts, it is said again as often as `deafAgainTicks`. */
const deafTicks = 21
const deafAgainTicks = 5

/** What a subscriber does about silence. */
export interface ReportListener {
  /** A member that has not reported yet is to be asked again. */
  silent(member: Member, out: Effect[]): void
  /** No quorum has reported for a while: the topic may have moved. */
  deaf(out: Effect[]): void
}

/** One member that is listened to. */
interface Listened {
  /** Rings until its first report has come. */
  readonly asking: Timer<ClientTimer>
  /** Has reported, and is not silent. */
  isHeard: boolean
  /** Tick at which it fell silent. */
  silentAt: number
}

export class MemberReports {
  readonly #configuration: Configuration
  readonly #timers: ClientTimers
  readonly #reports = new Map<ServerName, Map<PublisherId, number>>()
  readonly #members = new Map<ServerName, Listened>()
  /** Set while no quorum is heard. */
  readonly #deaf: Timer<ClientTimer>
  #heardCount = 0
  #isOver = false

  constructor(configuration: Configuration, timers: ClientTimers, listener: ReportListener) {
    this.#configuration = configuration
    this.#timers = timers
    const { topic } = configuration
    for (const member of configuration.members) {
      const asking = timers.timer('report', topic, (out) => {
        asking.set(firstReportTicks)
        listener.silent(member, out)
      })
      this.#members.set(member.name, { asking, isHeard: false, silentAt: Number.NEGATIVE_INFINITY })
      asking.set(firstReportTicks)
    }
    this.#deaf = timers.timer('deaf', topic, (out) => {
      this.#deaf.set(deafAgainTicks)
      listener.deaf(out)
    })
    this.#deaf.set(deafTicks)
  }

  get epoch(): number {
    return this.#configuration.epoch
  }

  /** Whether enough members reported to know what is durable. */
  get isQuorum(): boolean {
    return this.#reports.size >= operationQuorum(this.#configuration)
  }

  /** Nobody is listened to any more. */
  stop(): void {
    for (const { asking } of this.#members.values()) asking.stop()
    this.#deaf.stop()
    this.#isOver = true
  }

  /** @returns false for a report of somebody who is not a member */
  take(from: ServerName, stored: MessageSet): boolean {
    const member = this.#members.get(from)
    if (member === undefined) return false
    member.asking.stop()
    this.#heard(member)
    let known = this.#reports.get(from)
    if (known === undefined) {
      known = new Map()
      this.#reports.set(from, known)
    }
    for (const [publisher, { end }] of stored) known.set(publisher, Math.max(end, known.get(publisher) ?? 0))
    return true
  }

  /** Up to where any member holds a publisher's messages, of those that were heard of lately. */
  farthest(publisher: PublisherId): number {
    let farthest = 0
    for (const [name, known] of this.#reports) {
      const member = this.#members.get(name)
      if (member === undefined) continue
      const counts = member.isHeard || this.#timers.now - member.silentAt <= countedTicks
      if (counts) farthest = Math.max(farthest, known.get(publisher) ?? 0)
    }
    return farthest
  }

  /** Per publisher the quorum-th largest of what members reported. */
  durableEnd(publisher: PublisherId): number {
    const quorum = operationQuorum(this.#configuration)
    let durable = 0
    // Asked for at every report and every batch: members are few, and nothing is made to sort them.
    for (const known of this.#reports.values()) {
      const end = known.get(publisher) ?? 0
      if (end > durable && this.#countFrom(publisher, end) >= quorum) durable = end
    }
    return durable
  }

  /** Members that reported to hold a publisher's messages at least up to `end`. */
  #countFrom(publisher: PublisherId, end: number): number {
    let count = 0
    for (const known of this.#reports.values()) if ((known.get(publisher) ?? 0) >= end) count++
    return count
  }

  durable(): MessageSet {
    return heldBy([...this.#reports.values()].map(toSet), operationQuorum(this.#configuration))
  }

  /** Whether something is durable that `received` does not reach. */
  goesBeyond(received: (publisher: PublisherId) => number): boolean {
    for (const known of this.#reports.values()) {
      for (const publisher of known.keys()) if (this.durableEnd(publisher) > received(publisher)) return true
    }
    return false
  }

  /** A member that has reported answers again. */
  heard(name: ServerName): void {
    const member = this.#members.get(name)
    if (member !== undefined && this.#reports.has(name)) this.#heard(member)
  }

  /** A member does not answer any more. */
  silent(name: ServerName): void {
    const member = this.#members.get(name)
    if (member === undefined || !member.isHeard) return
    member.isHeard = false
    member.silentAt = this.#timers.now
    if (--this.#heardCount < operationQuorum(this.#configuration) && !this.#isOver) this.#deaf.setIfStopped(deafTicks)
  }

  #heard(member: Listened): void {
    if (member.isHeard) return
    member.isHeard = true
    if (++this.#heardCount >= operationQuorum(this.#configuration)) this.#deaf.stop()
  }
}

function toSet(known: ReadonlyMap<PublisherId, number>): MessageSet {
  const set = new Map()
  for (const [publisher, end] of known) set.set(publisher, { end, digest: 0 })
  return set
}
