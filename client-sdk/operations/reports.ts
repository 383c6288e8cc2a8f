/** What the members of one epoch told a subscriber to have on disk, and who of them is silent. */
import { type Configuration, type Member, operationQuorum } from '../../proto/configuration.ts'
import type { PublisherId, ServerName } from '../../proto/ids.ts'
import { heldBy, type MessageSet } from '../../proto/message-set.ts'

/** Every member repeats its report at least this often. */
const reportSilenceTicks = 150
/** Until its first report a member is asked this often. */
const firstReportTicks = 20

export class MemberReports {
  readonly #configuration: Configuration
  readonly #reports = new Map<ServerName, Map<PublisherId, number>>()
  /** Ticks since each member's last report. */
  readonly #silence = new Map<ServerName, number>()
  /** When each member's last report came, in ticks. */
  readonly #heard = new Map<ServerName, number>()
  #ticks = 0
  /** Ticks without reports of a quorum. */
  #deafTicks = 0

  constructor(configuration: Configuration) {
    this.#configuration = configuration
  }

  get epoch(): number {
    return this.#configuration.epoch
  }

  /** Whether enough members reported to know what is durable. */
  get isQuorum(): boolean {
    return this.#reports.size >= operationQuorum(this.#configuration)
  }

  /** True while no quorum has reported for a while: the topic may have moved. */
  get isDeaf(): boolean {
    return this.#deafTicks > firstReportTicks
  }

  /** @returns false for a report of somebody who is not a member */
  take(from: ServerName, stored: MessageSet): boolean {
    if (!this.#configuration.members.some((member) => member.name === from)) return false
    this.#silence.set(from, 0)
    this.#heard.set(from, this.#ticks)
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
      const isHeard = this.#ticks - (this.#heard.get(name) ?? 0) <= reportSilenceTicks * 2
      if (isHeard) farthest = Math.max(farthest, known.get(publisher) ?? 0)
    }
    return farthest
  }

  /** Per publisher the quorum-th largest of what members reported. */
  durableEnd(publisher: PublisherId): number {
    const quorum = operationQuorum(this.#configuration)
    let durable = 0
    // Asked for every tick and every batch: members are few, and nothing is made to sort them.
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

  /** @returns members that are to be asked again */
  tick(): Member[] {
    this.#ticks++
    let heard = 0
    const silent: Member[] = []
    for (const member of this.#configuration.members) {
      const ticks = (this.#silence.get(member.name) ?? 0) + 1
      const patience = this.#reports.has(member.name) ? reportSilenceTicks : firstReportTicks
      this.#silence.set(member.name, ticks >= patience ? 0 : ticks)
      if (ticks >= patience) silent.push(member)
      const heardAt = this.#heard.get(member.name)
      if (heardAt !== undefined && this.#ticks - heardAt <= reportSilenceTicks) heard++
    }
    this.#deafTicks = heard < operationQuorum(this.#configuration) ? this.#deafTicks + 1 : 0
    return silent
  }
}

function toSet(known: ReadonlyMap<PublisherId, number>): MessageSet {
  const set = new Map()
  for (const [publisher, end] of known) set.set(publisher, { end, digest: 0 })
  return set
}
