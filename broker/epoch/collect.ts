/**
 * Collect: what the reports of wedged members say about how the epoch ends.
 *
 * Source: Figure 4 (any one report; the union of those that answer is as good), Figure 5 (union over a majority), Figure 6
 * ("if any (st, RC) is non-empty choose RC of highest (st, RC) pair; else let RC <- (M, union)").
 * Departs from it: reports carry vectors and digests; bodies follow while staging, before anything is proposed.
 */
import { type Configuration, reportsNeeded } from '../../proto/configuration.ts'
import type { ServerName } from '../../proto/ids.ts'
import { type MessageSet, union } from '../../proto/message-set.ts'
import type { MessageOf, Source } from '../../proto/wire/messages.ts'
import { type AcceptedProposal, highestProposal } from './acceptor.ts'

export type Report = MessageOf<'wedged'>

/** Reports of one attempt, one per member. */
export class Reports {
  readonly #old: Configuration
  readonly #reports = new Map<ServerName, Report>()

  constructor(old: Configuration) {
    this.#old = old
  }

  /** Takes a report of a member of the epoch that ends; others do not count. */
  add(from: ServerName, report: Report): boolean {
    const known = this.#old.members.some((member) => member.name === from)
    if (known) this.#reports.set(from, report)
    return known
  }

  get enough(): boolean {
    return this.#reports.size >= reportsNeeded(this.#old)
  }

  has(name: ServerName): boolean {
    return this.#reports.has(name)
  }

  storedBy(name: ServerName): MessageSet | undefined {
    return this.#reports.get(name)?.stored
  }

  /** Every completed operation is in it, and perhaps some others. */
  closingSet(): MessageSet {
    return union([...this.#reports.values()].map((report) => report.stored))
  }

  /** The proposal that may have been decided already, to be adopted whole and unchanged. */
  highestAccepted(): AcceptedProposal | null {
    const accepted: AcceptedProposal[] = []
    for (const report of this.#reports.values()) {
      if (report.acceptedStake && report.accepted)
        accepted.push({ stake: report.acceptedStake, decision: report.accepted })
    }
    return highestProposal(accepted)
  }

  /** Where the bodies are. */
  sources(): Source[] {
    const sources: Source[] = []
    for (const member of this.#old.members) {
      const report = this.#reports.get(member.name)
      if (report !== undefined) sources.push({ member, stored: report.stored })
    }
    return sources
  }
}
