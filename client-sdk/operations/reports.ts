/** What the members of one epoch told a subscriber to have on disk, and who of them is silent. */
import { type Configuration, type Member, operationQuorum } from '../../proto/configuration.ts'
import type { PublisherId, ServerName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { heldBy, type MessageSet } from '../../proto/message-set.ts'
import type { ClientTimer, ClientTimers } from '../timers.ts'

/** Every member repeats its report at least this often. */
const reportSilenceTicks = 150
/** Until its first report a member is asked this often. */
const firstReportTicks = 20
/** So long too few members report before the topic is looked for; while that lasts, it is said again as often as `deafAgainTicks`. */
const deafTicks = 21
const deafAgainTicks = 5

/** What a subscriber does about silence. */
export interface ReportListener {
  /** A member is to be asked again. */
  silent(member: Member, out: Effect[]): void
  /** No quorum has reported for a while: the topic may have moved. */
  deaf(out: Effect[]): void
}

/** One member that is listened to. */
interface Listened {
  /** Rings after its silence. */
  readonly silence: Timer<ClientTimer>
  /** Has reported lately. */
  isHeard: boolean
  /** When its last report came, in ticks. */
  heardAt: number
}

export class MemberReports {
  readonly #configuration: Configuration
  readonly #timers: ClientTimers
  readonly #reports = new Map<ServerName, Map<PublisherId, number>>()
  readonly #members = new Map<ServerName, Listened>()
  /** Set while no quorum is heard. */
  readonly #deaf: Timer<ClientTimer>
  #heardCount = 0

  constructor(configuration: Configuration, timers: ClientTimers, listener: ReportListener) {
    this.#configuration = configuration
    this.#timers = timers
    const { topic } = configuration
    for (const member of configuration.members) {
      const ring = (out: Effect[]) => this.#onSilence(member, listener, out)
      const silence = timers.timer('report', topic, ring)
      this.#members.set(member.name, { silence, isHeard: false, heardAt: Number.NEGATIVE_INFINITY })
      silence.set(firstReportTicks)
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
    for (const { silence } of this.#members.values()) silence.stop()
    this.#deaf.stop()
  }

  /** @returns false for a report of somebody who is not a member */
  take(from: ServerName, stored: MessageSet): boolean {
    const member = this.#members.get(from)
    if (member === undefined) return false
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
      const silentTicks = this.#timers.now - (this.#members.get(name)?.heardAt ?? 0)
      if (silentTicks <= reportSilenceTicks * 2) farthest = Math.max(farthest, known.get(publisher) ?? 0)
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

  #heard(member: Listened): void {
    member.heardAt = this.#timers.now
    // What is over is not listened to again.
    if (member.silence.isSet) member.silence.set(reportSilenceTicks)
    if (member.isHeard) return
    member.isHeard = true
    if (++this.#heardCount >= operationQuorum(this.#configuration)) this.#deaf.stop()
  }

  #onSilence(member: Member, listener: ReportListener, out: Effect[]): void {
    const listened = this.#members.get(member.name)
    if (listened === undefined) return
    listened.silence.set(this.#reports.has(member.name) ? reportSilenceTicks : firstReportTicks)
    if (listened.isHeard) {
      listened.isHeard = false
      if (--this.#heardCount < operationQuorum(this.#configuration)) this.#deaf.setIfStopped(deafTicks)
    }
    listener.silent(member, out)
  }
}

function toSet(known: ReadonlyMap<PublisherId, number>): MessageSet {
  const set = new Map()
  for (const [publisher, end] of known) set.set(publisher, { end, digest: 0 })
  return set
}
