/**
 * When a member of a topic is dead, and who takes its place. Policy alone: it asks for an epoch change like anybody else, and a
 * wrong suspicion costs one change, nothing more.
 *
 * In fault-recovery mode one dead member stops the topic, so it is replaced as soon as it is believed dead; where no spare
 * server is alive, the topic goes on with fewer members after a while, never with fewer than its minimum or than the mode takes:
 * a topic of two waits for a spare. In fault-masking mode nothing stands still: a dead member is replaced without hurry, and only
 * by a spare.
 *
 * The first live member acts; the others follow, one after the other, in case it does not. Changes asked for here keep a growing
 * distance, so that a server that comes and goes does not keep a topic busy.
 */
import { type Configuration, type Intent, type Member, maySucceed } from '../../proto/configuration.ts'
import { type ServerName, serverIdOf } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Host, Limits } from '../host.ts'
import { place } from './placement.ts'

/** Ticks that each further member waits for those before it. */
const rankTicks = 20
/** Ticks without a live spare until a fault-recovery topic goes on with fewer members. */
const shrinkTicks = 100
/** So much more for a member that this process has not met: it may just not have been heard of yet. */
const unmetTicks = 200
const pauseTicksMin = 100
const pauseTicksMax = 6_000

export class Policy {
  readonly #host: Host
  readonly #limits: Limits
  /** Ticks since each dead member was last alive. */
  readonly #deadTicks = new Map<ServerName, number>()
  readonly #met = new Set<ServerName>()
  #pauseTicks = 0
  #nextPauseTicks = pauseTicksMin
  #quietTicks = 0

  constructor(host: Host, limits: Limits) {
    this.#host = host
    this.#limits = limits
  }

  /** All members answer, and it has not acted for so long that it would act at once. */
  get isCalm(): boolean {
    return this.#deadTicks.size === 0 && this.#pauseTicks === 0 && this.#nextPauseTicks === pauseTicksMin
  }

  /** @param serving the epoch that takes stores here, if there is one */
  tick(serving: Configuration | null, out: Effect[]): void {
    if (this.#pauseTicks > 0) this.#pauseTicks--
    if (++this.#quietTicks > pauseTicksMax) this.#nextPauseTicks = pauseTicksMin
    const patience = serving === null ? 0 : this.#patienceFor(serving)
    if (serving === null || patience === 0) {
      this.#deadTicks.clear()
      return
    }
    this.#watch(serving)
    const late = patience + this.#rank(serving) * rankTicks
    const overdue = serving.members.filter(({ name }) => (this.#deadTicks.get(name) ?? 0) >= late)
    if (overdue.length === 0 || this.#pauseTicks > 0) return
    const members = this.#membersWithout(serving, overdue, late)
    if (members === null) return
    this.#quietTicks = 0
    this.#pauseTicks = this.#nextPauseTicks
    this.#nextPauseTicks = Math.min(pauseTicksMax, this.#nextPauseTicks * 2)
    this.#host.coordinate(serving.topic, this.#intent(serving, members), out)
  }

  #patienceFor({ mode }: Configuration): number {
    if (mode === 'fault-recovery') return this.#limits.recoveryReplaceTicks
    return mode === 'fault-masking' ? this.#limits.maskingReplaceTicks : 0
  }

  #watch(serving: Configuration): void {
    for (const name of this.#deadTicks.keys()) {
      if (serving.members.some((member) => member.name === name)) continue
      this.#deadTicks.delete(name)
      this.#met.delete(name)
    }
    if (this.#host.isCutOff()) {
      // Who hears nobody knows nothing about the others; afterwards it meets them anew.
      this.#deadTicks.clear()
      this.#met.clear()
      return
    }
    for (const { name } of serving.members) {
      if (this.#host.isAlive(name)) {
        this.#met.add(name)
        this.#deadTicks.delete(name)
      } else {
        const before = this.#deadTicks.get(name) ?? (this.#met.has(name) ? 0 : -unmetTicks)
        this.#deadTicks.set(name, before + 1)
      }
    }
  }

  /** How many live members stand before this server. */
  #rank(serving: Configuration): number {
    const live = serving.members.filter(({ name }) => this.#host.isAlive(name))
    return Math.max(
      0,
      live.findIndex(({ name }) => name === this.#host.self.name),
    )
  }

  /** @returns null while nothing can be done about them */
  #membersWithout(serving: Configuration, overdue: readonly Member[], late: number): Member[] | null {
    const alive = this.#host.alive()
    const isSameServer = (one: Member, other: Member) => serverIdOf(one.name) === serverIdOf(other.name)
    const spares = alive.filter((one) => !serving.members.some((member) => isSameServer(one, member)))
    const replacements = place(serving.topic, spares, overdue.length)
    // A server that came back without its disk is another one, and the nearest spare for what it was.
    const renewed = (member: Member) => alive.find((one) => isSameServer(one, member))
    const mayShrink = serving.mode === 'fault-recovery'
    const members: Member[] = []
    let isChanged = false
    for (const member of serving.members) {
      const isOverdue = overdue.includes(member)
      const replacement = isOverdue ? (renewed(member) ?? replacements.shift()) : undefined
      const isTooLate = mayShrink && isOverdue && (this.#deadTicks.get(member.name) ?? 0) >= late + shrinkTicks
      if (replacement !== undefined) members.push(replacement)
      else if (!isTooLate) members.push(member)
      if (replacement !== undefined || isTooLate) isChanged = true
    }
    return isChanged && maySucceed(serving, members) ? members : null
  }

  #intent({ epoch, mode, decider, membersMin, order }: Configuration, members: Member[]): Intent {
    const changeId = `replace-${epoch}-${serverIdOf(this.#host.self.name)}`
    return { changeId, members, mode, decider, membersMin, order }
  }
}
