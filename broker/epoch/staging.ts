/**
 * Stage: which next members have every body of the closing set on disk. Only when a quorum of them has, something may be
 * proposed; so a decision never depends on a body that one crash can take away.
 *
 * Source: section 5.2 of the paper moves state "out of band"; that it must be there before the proposal is this project's rule,
 * since a decision here names messages by vectors and does not carry them.
 */
import {
  type Configuration,
  type Decision,
  enabledQuorum,
  type Intent,
  type Member,
  nextConfiguration,
  type ProposalTimes,
} from '../../proto/configuration.ts'
import { nextEpoch, type ServerName } from '../../proto/ids.ts'
import { contains, countOf, type MessageSet } from '../../proto/message-set.ts'
import type { Reports } from './collect.ts'
import { replaceDead } from './target.ts'

export class Staging {
  /** What will be proposed, but for who orders messages then: one of those that have staged. */
  readonly planned: Decision
  readonly #old: Configuration
  readonly #intent: Intent
  readonly #reports: Reports
  /** Messages that each next member still misses, as it told. */
  readonly #missing: Map<ServerName, number>

  constructor(
    old: Configuration,
    intent: Intent,
    reports: Reports,
    members: readonly Member[] = intent.members,
    missing: Map<ServerName, number> = new Map(),
  ) {
    this.#old = old
    this.#intent = intent
    this.#reports = reports
    this.#missing = missing
    const closing = reports.closingSet()
    const next = nextConfiguration(old, { ...intent, members }, nextEpoch(old.epoch), countOf(closing))
    this.planned = { changeId: intent.changeId, next, closing }
    for (const { name } of members) if (this.#holds(name, closing)) this.#missing.set(name, 0)
  }

  /** What is proposed: once it is ready. */
  decide(times: ProposalTimes): Decision {
    const { next } = this.planned
    if (next.order !== 'total') return { ...this.planned, times }
    const staged = next.members.filter(({ name }) => this.#missing.get(name) === 0)
    // Not always the first: so that the sequencers of many topics are spread over their servers.
    const sequencer = staged[next.epoch % Math.max(1, staged.length)]?.name
    return { ...this.planned, next: { ...next, ...(sequencer && { sequencer }) }, times }
  }

  /** Every body is on the disks of the next quorum. */
  get isReady(): boolean {
    const { next } = this.planned
    return next.members.filter(({ name }) => this.#missing.get(name) === 0).length >= enabledQuorum(next)
  }

  /** Next members that do not have everything yet. */
  get unready(): Member[] {
    return this.planned.next.members.filter(({ name }) => this.#missing.get(name) !== 0)
  }

  /** Whether nobody is waited for but next members that have said nothing and are believed dead. */
  waitsForDeadAlone(isAlive: (name: ServerName) => boolean): boolean {
    return this.unready.every(({ name }) => !this.#missing.has(name) && !isAlive(name))
  }

  /** @returns whether that is news */
  told(from: ServerName, missing: number): boolean {
    const isNews = this.#missing.get(from) !== missing
    this.#missing.set(from, missing)
    return isNews
  }

  /**
   * Nothing has moved for as long as the coordinator is patient.
   * @returns `collect-again` when all are alive and something is missing, because its only holder died: other reports may know
   *   other holders, or not have it; staging for other members where some of the intended ones are dead; null to go on waiting
   */
  stuck(): Staging | 'collect-again' | null {
    const { next } = this.planned
    const isLive = (member: Member): boolean => this.#missing.has(member.name)
    if (next.members.filter(isLive).length >= enabledQuorum(next)) return 'collect-again'
    const reporting = this.#old.members.filter((member) => this.#reports.has(member.name))
    const members = replaceDead(next, isLive, reporting)
    return members === null ? null : new Staging(this.#old, this.#intent, this.#reports, members, this.#missing)
  }

  /** A wedged member that reported the whole closing set has nothing to fetch. */
  #holds(name: ServerName, closing: MessageSet): boolean {
    const stored = this.#reports.storedBy(name)
    if (stored === undefined || !contains(stored, closing)) return false
    for (const [publisher, { end, digest }] of closing) {
      const own = stored.get(publisher)
      if (own === undefined || (own.end === end && own.digest !== digest)) return false
    }
    return true
  }
}
