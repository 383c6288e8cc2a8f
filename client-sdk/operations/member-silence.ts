/** How long each member of one epoch has owed a publisher an acknowledgement, and what follows from that. */
import type { Effect } from '../../proto/machine/contract.ts'
import type { Ring, Timer } from '../../proto/machine/timers.ts'

export const resendTicks = 20
/** A member that has not begun the epoch is asked again this often, should it not tell. */
const absentTicks = 5
/** While nothing can become durable, so often that is said again. */
const stuckTicks = 5
export const never = Number.POSITIVE_INFINITY

/** What of a member its silence is judged by. */
export interface SilentMember {
  /** It said that it has not begun this epoch; it tells when it has. */
  absent: boolean
  /** Tick of its last sign of life, or from which on it has owed one. */
  silentSince: number
  /** Tick at which it was last sent something again. */
  resentAt: number
}

/** What is done about silence. */
export interface SilencePorts<Member extends SilentMember> {
  /** For how many ticks a member's silence does not count: endless for one that owes nothing, 0 where it counts. */
  excusedTicks(member: Member): number
  /** The member is to be sent again what it lacks. */
  again(member: Member, out: Effect[]): void
  /** So many members are silent. @returns whether nothing can become durable by that */
  silent(count: number, out: Effect[]): boolean
}

/** The timer is set while a member owes something, and for one round more. */
export class MemberSilence<Member extends SilentMember> {
  readonly #members: readonly Member[]
  readonly #time: { readonly now: number }
  readonly #ports: SilencePorts<Member>
  readonly #timer: Timer

  constructor(
    members: readonly Member[],
    time: { readonly now: number },
    timer: (ring: Ring) => Timer,
    ports: SilencePorts<Member>,
  ) {
    this.#members = members
    this.#time = time
    this.#ports = ports
    this.#timer = timer((out) => this.#review(out))
  }

  /** Something is owed from now on, if nothing was before. */
  expect(): void {
    if (this.#timer.isSet) return
    for (const member of this.#members) member.silentSince = this.#time.now
    this.#timer.set(this.#members.some(({ absent }) => absent) ? absentTicks : resendTicks)
  }

  /** What is known of a member has changed: its silence may count sooner than it did. */
  lookSoon(): void {
    if (this.#timer.isSet) this.#timer.setWithin(absentTicks)
  }

  stop(): void {
    this.#timer.stop()
  }

  #review(out: Effect[]): void {
    const { now } = this.#time
    let due = never
    let count = 0
    for (const member of this.#members) {
      const excused = this.#ports.excusedTicks(member)
      if (excused > 0) {
        due = Math.min(due, now + excused)
        member.silentSince = now + (excused === never ? 0 : excused)
        continue
      }
      const patience = member.absent ? absentTicks : resendTicks
      const isSilent = now - member.silentSince >= patience
      if (isSilent && now - member.resentAt >= patience) this.#ports.again(member, out)
      due = Math.min(due, (isSilent ? member.resentAt : member.silentSince) + patience)
      if (isSilent) count++
    }
    if (this.#ports.silent(count, out)) due = Math.min(due, now + stuckTicks)
    if (due < never) this.#timer.setWithin(due - now)
  }
}
