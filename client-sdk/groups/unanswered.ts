/**
 * Wishes that stand in the log and in no record yet. A leader that lives answers them within a round trip, so their age says
 * whether it does, whatever the leases are; and a new leader takes over what the one before did not get to.
 */
import type { MemberId, WishMessage } from './messages.ts'
import type { GroupState } from './state.ts'

/** Beyond, the oldest are forgotten: their members ask again. */
const wishesMax = 10_000

export class Unanswered {
  /** By member and number, in the order of reading. */
  readonly #wishes = new Map<string, { readonly message: WishMessage; readonly readMs: number }>()

  /** @param state null while no snapshot was read: then everything may be waited for */
  add(message: WishMessage, state: GroupState | null, nowMs: number): void {
    const { member, number, wish } = message
    const key = keyOf(member, number)
    if (this.#wishes.has(key)) return
    if (state !== null) {
      const applied = state.appliedOf(member)
      const isOpen = applied === null ? wish.kind === 'join' && state.mayJoin(member) : number > applied
      if (!isOpen) return
    }
    this.#wishes.set(key, { message, readMs: nowMs })
    const [oldest] = this.#wishes.keys()
    if (this.#wishes.size > wishesMax && oldest !== undefined) this.#wishes.delete(oldest)
  }

  /** Forgets what has been applied, or never can be. */
  settle(state: GroupState): void {
    for (const [key, { message }] of this.#wishes) {
      const { member, number } = message
      const isApplied = number <= (state.appliedOf(member) ?? 0)
      if (isApplied || state.hasLeft(member)) this.#wishes.delete(key)
    }
  }

  /** When the oldest one was read that a leader would answer now; null without any. */
  sinceMs(state: GroupState): number | null {
    for (const { message, readMs } of this.#wishes.values()) {
      if (state.awaits(message.member, message.number)) return readMs
    }
    return null
  }

  /** Wishes of members, for the next leader. A process that wished to join may be gone; it asks again when it is not. */
  ofMembers(state: GroupState): WishMessage[] {
    const wishes = [...this.#wishes.values()].map(({ message }) => message)
    return wishes.filter(({ member }) => state.appliedOf(member) !== null).sort((a, b) => a.number - b.number)
  }
}

function keyOf(member: MemberId, number: number): string {
  return `${number} ${member}`
}
