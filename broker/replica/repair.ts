/**
 * Members of an open epoch bring each other up to date: they exchange vectors when theirs changed and pull what they miss. So
 * a server that fell behind catches up, and a message that a dead publisher left on some servers is stored by all.
 *
 * Departs from the paper's figures, which leave such a message in limbo until the epoch ends: a pulled batch is a store like
 * any other, so completing it in its own epoch is legal, and after the wedge nothing is taken any more.
 */
import { enabledQuorum, isMember, type Member, operationQuorum } from '../../proto/configuration.ts'
import type { Address, ServerName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { contains, type Frontier, heldBy, type MessageSet, sameSet, union } from '../../proto/message-set.ts'
import type { Batch, MessageOf, Source } from '../../proto/wire/messages.ts'
import { grown } from '../epoch/rivalry.ts'
import type { Host, Limits } from '../host.ts'
import type { Intake } from './intake.ts'
import type { TopicState } from './topic-state.ts'

/** Periods of reports until the same is told again. */
const againPeriods = 10

export class Repair {
  readonly #state: TopicState
  readonly #intake: Intake
  readonly #host: Host
  readonly #limits: Limits
  /** What other members told last, of the opened epoch. */
  #peers = new Map<ServerName, MessageSet>()
  #told: MessageSet = new Map()
  #token = 0
  /** Pulls in a row that were not answered in time. */
  #failures = 0
  readonly #reporting: Timer
  readonly #pulling: Timer

  constructor(state: TopicState, intake: Intake, host: Host, limits: Limits) {
    this.#state = state
    this.#intake = intake
    this.#host = host
    this.#limits = limits
    this.#reporting = host.timers.timer('repair-report', state.topic, (out) => this.#exchange(out))
    this.#pulling = host.timers.timer('repair-pull', state.topic, () => {
      this.#token = 0
      this.#failures++
    })
  }

  reset(): void {
    this.#peers = new Map()
    this.#told = new Map()
    this.#ended()
    this.changed()
  }

  /** Something was stored, an epoch was opened, or a member answers again: vectors are exchanged soon. */
  changed(): void {
    this.#reporting.setWithin(this.#limits.reportTicks)
  }

  /** What this server knows to be on the disks of an operation's quorum. */
  durable(): MessageSet {
    const { opened } = this.#state
    if (opened === null) return new Map()
    const sets = [opened.holdings.snapshot(), ...this.#peers.values()]
    return heldBy(sets, operationQuorum(opened.configuration))
  }

  /** Another member's vector. What it holds and this server lacked at its last report too is pulled from it. */
  report(from: Address, name: ServerName, message: MessageOf<'report'>, out: Effect[]): void {
    const { opened } = this.#state
    if (opened === null || !isMember(opened.configuration, name)) return
    const before = this.#peers.get(name)
    const known: MessageSet = message.whole || before === undefined ? message.stored : union([before, message.stored])
    this.#peers.set(name, known)
    if (!sameSet(known, opened.holdings.snapshot())) this.#reporting.setWithin(this.#limits.reportTicks * againPeriods)
    // Who reports has started: so this epoch is known to be enabled here too, by one that has been started again.
    const { configuration } = opened
    if (this.#peers.size + 1 >= enabledQuorum(configuration)) this.#state.noteEnabled(configuration.epoch)
    if (message.asks === true) this.#tell([from], false, out)
    if (before === undefined || this.#token !== 0) return
    const own = opened.holdings.snapshot()
    const lasting = new Map<Batch['publisher'], Frontier>()
    for (const [publisher, frontier] of before) {
      if (frontier.end > (own.get(publisher)?.end ?? 0)) lasting.set(publisher, frontier)
    }
    if (lasting.size > 0) this.#pull(from, out)
  }

  /** A Get wants what these members hold. */
  want(sources: readonly Source[], out: Effect[]): void {
    const { opened } = this.#state
    if (opened === null || this.#token !== 0) return
    const own = opened.holdings.snapshot()
    const source = sources.find(({ member, stored }) => member.name !== this.#host.self.name && !contains(own, stored))
    if (source !== undefined) this.#pull(this.#host.addressOf(source.member), out)
  }

  isOwn(token: number): boolean {
    return token !== 0 && token === this.#token
  }

  /** A batch that was pulled: stored like any other, acknowledged to nobody. */
  batch(batch: Batch, bytes: Uint8Array, out: Effect[]): void {
    if (this.#token !== 0) this.#pulling.set(this.#patience)
    this.#failures = 0
    this.#intake.take(batch, bytes, out)
  }

  pulled(from: Address, message: MessageOf<'pulled'>, out: Effect[]): void {
    this.#ended()
    if (message.more) this.#pull(from, out, message.resume)
  }

  /**
   * Tells the other members what is here, where that is news, and those again that have not told the same. Members that are believed
   * dead are told once they answer again.
   */
  #exchange(out: Effect[]): void {
    const { opened } = this.#state
    if (opened === null || opened.wedgedFor !== null) return
    const { configuration, holdings } = opened
    const stored = holdings.snapshot()
    const others = configuration.members.filter((member) => member.name !== this.#host.self.name)
    const isNews = !sameSet(stored, this.#told)
    const isApart = ({ name }: Member) => {
      const told = this.#peers.get(name)
      return this.#host.isAlive(name) && (told === undefined || !sameSet(told, stored))
    }
    const apart = others.filter(isApart)
    if (isNews || apart.length > 0) this.#reporting.set(this.#limits.reportTicks * againPeriods)
    const to = isNews ? others : apart
    if (to.length === 0) return
    this.#told = stored
    const asks = !isNews && apart.some(({ name }) => !this.#peers.has(name))
    this.#tell(this.#addressesOf(to), asks, out)
  }

  #addressesOf(members: readonly Member[]): Address[] {
    return members.map((member) => this.#host.addressOf(member))
  }

  #tell(to: readonly Address[], asks: boolean, out: Effect[]): void {
    const { opened, topic } = this.#state
    if (opened === null) return
    const { configuration, holdings } = opened
    const stored = holdings.snapshot()
    send(out, to, { kind: 'report', topic, epoch: configuration.epoch, stored, whole: true, ...(asks && { asks }) })
  }

  get #patience(): number {
    return grown(this.#limits.requestTicks, this.#failures)
  }

  #ended(): void {
    this.#token = 0
    this.#pulling.stop()
  }

  #pull(from: Address, out: Effect[], resume = 0): void {
    const { opened, topic } = this.#state
    if (opened === null || opened.wedgedFor !== null || this.#host.room.full) return
    this.#token = this.#host.nextToken()
    this.#pulling.set(this.#patience)
    const since = opened.holdings.snapshot()
    const { epoch } = opened.configuration
    const bytesMax = this.#limits.pullBytes
    send(out, from, { kind: 'pull', topic, epoch, since, bytesMax, resume }, this.#token)
  }
}
