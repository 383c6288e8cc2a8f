/**
 * One write-once decision's acceptor: the promised stake and the accepted proposal, two variables. Members of a topic close
 * their epoch with it, and the arbiters keep one for each register.
 *
 * Source: Figure 6, `highst` and `highRC` at a server.
 * Departs from it: the promise of phase 1 is kept apart from the accepted stake, and both are records on disk. With one
 * variable for both, a wedge would make a server forget which stake its proposal was accepted under.
 */
import type { Decision } from '../../proto/configuration.ts'
import { InvariantViolation } from '../../proto/errors.ts'
import { fingerprint } from '../../proto/message-set.ts'
import { compareStakes, formatStake, type Stake, sameStake } from '../../proto/stake.ts'

export interface AcceptedProposal {
  readonly stake: Stake
  readonly decision: Decision
}

export class Acceptor {
  promised: Stake | null = null
  accepted: AcceptedProposal | null = null

  /** Whether a promise or an accept of this stake is allowed: nothing higher was promised. */
  allows(stake: Stake): boolean {
    return this.promised === null || compareStakes(stake, this.promised) >= 0
  }

  promise(stake: Stake): void {
    if (this.allows(stake)) this.promised = stake
  }

  accept(stake: Stake, decision: Decision): void {
    if (!this.allows(stake)) return
    const before = this.accepted
    if (before !== null && sameStake(before.stake, stake) && !sameDecision(before.decision, decision)) {
      throw new InvariantViolation('I10', `stake ${formatStake(stake)} proposes two decisions`)
    }
    this.promised = stake
    this.accepted = { stake, decision }
  }
}

function sameDecision(one: Decision, other: Decision): boolean {
  return one.changeId === other.changeId && fingerprint(one.closing) === fingerprint(other.closing)
}

/** Of the proposals that reports carry, the one of the highest stake: it may have been decided. */
export function highestProposal(proposals: Iterable<AcceptedProposal>): AcceptedProposal | null {
  let highest: AcceptedProposal | null = null
  for (const proposal of proposals) {
    if (highest === null || compareStakes(proposal.stake, highest.stake) > 0) highest = proposal
  }
  return highest
}
