/**
 * Stakes order rival attempts to end one epoch (Figure 6): by round, then coordinator, then its process's incarnation.
 * One proposal per stake.
 */
import type { ServerName } from './ids.ts'

export interface Stake {
  readonly round: number
  readonly coordinator: ServerName
  /** Random at every process start: a restarted coordinator cannot repeat a stake. */
  readonly incarnation: number
}

/** Negative when `one` is lower, 0 when they are the same stake. */
export function compareStakes(one: Stake, other: Stake): number {
  if (one.round !== other.round) return one.round - other.round
  if (one.coordinator !== other.coordinator) return one.coordinator < other.coordinator ? -1 : 1
  return one.incarnation - other.incarnation
}

export function sameStake(one: Stake, other: Stake): boolean {
  return compareStakes(one, other) === 0
}

export function formatStake(stake: Stake): string {
  return `${stake.round}/${stake.coordinator}/${stake.incarnation.toString(16)}`
}
