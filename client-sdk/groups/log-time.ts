/**
 * Log time: how many milliseconds a group has been led, as far as its log shows. Delays and leases are counted in it, so no wall
 * clock decides anything, and a new leader goes on counting where the one before stopped.
 *
 * Every record carries it. Between records a member lets it go on by its own monotonic clock, but not further past the last
 * record that it read than a share of the shortest lease: while the log does not answer, or this process stands still, time
 * stands still too: no member was silent then. So log time is never faster than the clocks by which it was counted.
 */
import { aheadShare, type MemberId } from './messages.ts'
import type { GroupState } from './state.ts'

/** Share of the shortest lease after which the leader writes a record for time alone. */
const pulseShare = 5
/** A leader that has nothing else to write shows within this time that it lives, however long the leases are. */
const pulseMaxMs = 2_000

export class LogTime {
  #recordMs = 0
  #timeMs = 0
  #atMs: number

  /** @param nowMs of this process, as in all other calls: of a monotonic clock */
  constructor(nowMs: number) {
    this.#atMs = nowMs
  }

  /** @returns log time now, in whole milliseconds */
  advance(nowMs: number, state: GroupState): number {
    const aheadMaxMs = (state.leaseMinMs ?? 0) / aheadShare
    const elapsedMs = Math.max(0, nowMs - this.#atMs)
    this.#atMs = nowMs
    this.#timeMs = Math.max(this.#timeMs, Math.min(this.#timeMs + elapsedMs, this.#recordMs + aheadMaxMs))
    return Math.floor(this.#timeMs)
  }

  /** A record was read. The leader's own count is ahead of it already; every other member goes on from there. */
  read(timeMs: number, isOwn: boolean, nowMs: number): void {
    this.#recordMs = Math.max(this.#recordMs, timeMs)
    if (isOwn && this.#timeMs >= this.#recordMs) return
    this.#timeMs = this.#recordMs
    this.#atMs = nowMs
  }
}

/**
 * How often a leader writes a record at the least, in milliseconds; null when nobody waits for one: it is alone, and no message
 * waits for its time.
 */
export function pulseMs(state: GroupState, leader: MemberId | null): number | null {
  const { leaseMinMs } = state
  if (leaseMinMs === null) return null
  const hasOthers = state.memberIds().some((id) => id !== leader)
  if (hasOthers) return Math.min(pulseMaxMs, leaseMinMs / pulseShare)
  return state.isDelaying ? leaseMinMs / pulseShare : null
}
