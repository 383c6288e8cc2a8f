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
import { type ServerName, serverIdOf, type TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
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
  readonly #acting: Timer
  /** Tick from which on each dead member counts as dead. */
  readonly #deadSince = new Map<ServerName, number>()
  readonly #met = new Set<ServerName>()
  #actedAt = Number.NEGATIVE_INFINITY
  #pauseTicks = 0
  #nextPauseTicks = pauseTicksMin

  /** @param serving the epoch that takes stores here, if there is one */
  constructor(topic: TopicName, host: Host, limits: Limits, serving: () => Configuration | null) {
    this.#host = host
    this.#limits = limits
    this.#acting = host.timers.timer('replace', topic, (out) => this.#act(serving(), out))
  }

  /** Another epoch takes stores here, or none; or a server has fallen silent, or answers again. */
  look(serving: Configuration | null): void {
    this.#acting.stop()
    if (serving === null || this.#patienceFor(serving) === 0) {
      this.#deadSince.clear()
      return
    }
    this.#watch(serving)
    const since = Math.min(...this.#deadSince.values())
    const { now } = this.#host.timers
    if (this.#deadSince.size > 0) this.#acting.set(Math.max(since + this.#lateness(serving), this.#pausedUntil) - now)
  }

  /** The pause after the last change that was asked for here. */
  get #pausedUntil(): number {
    return this.#actedAt + this.#pauseTicks
  }

  #act(serving: Configuration | null, out: Effect[]): void {
    if (serving === null) return
    const { now } = this.#host.timers
    const late = this.#lateness(serving)
    const deadTicks = ({ name }: Member) => now - (this.#deadSince.get(name) ?? Number.POSITIVE_INFINITY)
    const overdue = serving.members.filter((member) => deadTicks(member) >= late)
    const members = this.#membersWithout(serving, overdue, (member) => deadTicks(member) >= late + shrinkTicks)
    if (members === null) {
      // Others become overdue, and shrinking becomes right, as time passes; spares come as news.
      const moments = [...this.#deadSince.values()].flatMap((since) => [since + late, since + late + shrinkTicks])
      const next = Math.min(...moments.filter((moment) => moment > now))
      if (next < Number.POSITIVE_INFINITY) this.#acting.set(next - now)
      return
    }
    if (now - this.#actedAt > pauseTicksMax) this.#nextPauseTicks = pauseTicksMin
    this.#actedAt = now
    this.#pauseTicks = this.#nextPauseTicks
    this.#nextPauseTicks = Math.min(pauseTicksMax, this.#nextPauseTicks * 2)
    this.#acting.set(this.#pauseTicks)
    this.#host.coordinate(serving.topic, this.#intent(serving, members), out)
  }

  /** Ticks until this server acts: the live members before it come first. */
  #lateness(serving: Configuration): number {
    return this.#patienceFor(serving) + this.#rank(serving) * rankTicks
  }

  #patienceFor({ mode }: Configuration): number {
    if (mode === 'fault-recovery') return this.#limits.recoveryReplaceTicks
    return mode === 'fault-masking' ? this.#limits.maskingReplaceTicks : 0
  }

  #watch(serving: Configuration): void {
    for (const name of this.#deadSince.keys()) {
      if (serving.members.some((member) => member.name === name)) continue
      this.#deadSince.delete(name)
      this.#met.delete(name)
    }
    if (this.#host.isCutOff()) {
      // Who hears nobody knows nothing about the others; afterwards it meets them anew.
      this.#deadSince.clear()
      this.#met.clear()
      return
    }
    const { now } = this.#host.timers
    for (const { name } of serving.members) {
      if (this.#host.isAlive(name)) {
        this.#met.add(name)
        this.#deadSince.delete(name)
      } else if (!this.#deadSince.has(name)) this.#deadSince.set(name, this.#met.has(name) ? now : now + unmetTicks)
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
  #membersWithout(
    serving: Configuration,
    overdue: readonly Member[],
    mayBeLeftOut: (member: Member) => boolean,
  ): Member[] | null {
    if (overdue.length === 0) return null
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
      const isTooLate = mayShrink && isOverdue && mayBeLeftOut(member)
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
