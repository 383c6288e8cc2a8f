/**
 * The end of an epoch at one of its members: wedge, promise, report, accept, vote for the start, and hand the decision on
 * until the next epoch is enabled.
 *
 * Source: Figures 4 to 6, "Upon <wedge>" and "Upon <accept>" at a server.
 * Departs from them: every answer waits for its record on disk; promised and accepted stake are two variables; an accept
 * wedges too, so it may come first; only a member that has opened the epoch answers (one that has not stays silent, instead
 * of reporting an empty set); the start vote is sent again until the next epoch is known to be enabled.
 */
import { enabledQuorum, type Intent, isMember } from '../../proto/configuration.ts'
import type { Address, Epoch, ServerName } from '../../proto/ids.ts'
import { nextEpoch } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { sameStake } from '../../proto/stake.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { Host, Limits } from '../host.ts'
import type { ReplicaPhase } from '../replica/outcomes.ts'
import type { OpenedEpoch, TopicState } from '../replica/topic-state.ts'
import { grown } from './rivalry.ts'

export class Closing {
  readonly #state: TopicState
  readonly #host: Host
  readonly #limits: Limits
  /** Next members that said that they have started. */
  #started = new Set<ServerName>()
  #coordinator: Address | null = null
  readonly #takingOver: Timer
  readonly #voting: Timer
  readonly #handingOver: Timer
  /** Proposers that came after the first one, and have not ended the epoch either: the next one gets more time. */
  #successors = 0

  constructor(state: TopicState, host: Host, limits: Limits) {
    this.#state = state
    this.#host = host
    this.#limits = limits
    this.#takingOver = host.timers.timer('takeover', state.topic, (out) => this.#takeOver(out))
    this.#voting = host.timers.timer('start-vote', state.topic, (out) => this.#voteAgain(out))
    this.#handingOver = host.timers.timer('hand-over', state.topic, (out) => this.#handOver(out))
  }

  reset(): void {
    this.#started = new Set()
    this.#successors = 0
    this.#coordinator = null
    for (const timer of [this.#takingOver, this.#voting, this.#handingOver]) timer.stop()
  }

  /** The end of a turn: sees to it that an end that has begun comes to its end. */
  settle(phase: ReplicaPhase): void {
    if (phase === 'wedged') {
      if (!this.#takingOver.isSet) this.working()
      this.#voting.setIfStopped(this.#limits.resendTicks * 4)
    } else if (phase === 'closed' && !this.#state.successorEnabled) {
      this.#handingOver.setIfStopped(this.#limits.resendTicks * 2)
    }
  }

  /** The coordinator's connection broke: somebody else finishes soon. */
  peerDown(address: Address): void {
    if (address === this.#coordinator && this.#takingOver.isSet)
      this.#takingOver.setWithin(1 + this.#host.random.below(this.#limits.resendTicks * 4))
  }

  /** A coordinator is at work: wait for it. */
  working(from: Address | null = null): void {
    this.#coordinator = from
    const ticks = grown(this.#limits.takeoverTicks, this.#successors)
    this.#takingOver.set(ticks + this.#host.random.below(ticks))
  }

  wedge(opened: OpenedEpoch, from: Address, token: number, message: MessageOf<'wedge'>, out: Effect[]): void {
    const { topic, epoch, stake } = message
    const { acceptor } = opened
    if (!acceptor.allows(stake)) {
      send(out, from, { kind: 'outranked', topic, epoch, promised: acceptor.promised ?? stake }, token)
      return
    }
    const again = opened.wedgedFor !== null && acceptor.promised !== null && sameStake(acceptor.promised, stake)
    if (!again && opened.wedgedFor !== null) this.#successors++
    this.working(from)
    if (!again) this.#state.record(message, out)
    const stored = opened.holdings.snapshot()
    const accepted = acceptor.accepted
    const proposal = accepted === null ? {} : { acceptedStake: accepted.stake, accepted: accepted.decision }
    send(out, from, { kind: 'wedged', topic, epoch, stake, stored, ...proposal }, token)
  }

  accept(opened: OpenedEpoch, from: Address, token: number, message: MessageOf<'accept'>, out: Effect[]): void {
    const { topic, epoch, stake, decision } = message
    const { acceptor } = opened
    if (!acceptor.allows(stake)) {
      send(out, from, { kind: 'outranked', topic, epoch, promised: acceptor.promised ?? stake }, token)
      return
    }
    this.working(from)
    this.#state.record(message, out)
    send(out, from, { kind: 'accepted', topic, epoch, stake }, token)
    const to = decision.next.members.map((member) => this.#host.addressOf(member))
    send(out, to, { kind: 'start', topic, epoch, stake, decision })
  }

  /** A next member has started. Enough of them, and what came before is not needed any more. */
  started(name: ServerName, epoch: Epoch): void {
    const next = this.#next()
    if (next === null || epoch < next.epoch || !isMember(next, name)) return
    this.#started.add(name)
    if (this.#started.size >= enabledQuorum(next)) this.#state.noteEnabled(next.epoch)
  }

  /** The coordinator fell silent: this server finishes its change. */
  #takeOver(out: Effect[]): void {
    const { opened, newest, topic } = this.#state
    if (!this.#isWedged || opened === null || opened.wedgedFor === null) return
    this.working()
    // It is over, only how is not known here: that is asked for, not decided again.
    if ((newest?.epoch ?? 0) > opened.configuration.epoch) return
    const intent: Intent = opened.wedgedFor
    this.#host.coordinate(topic, intent, out)
  }

  /** Wedged, and how the epoch ended is not known here. */
  get #isWedged(): boolean {
    const { opened } = this.#state
    if (opened === null || opened.wedgedFor === null) return false
    return this.#state.decisionOf(opened.configuration.epoch) === undefined
  }

  /** Tells the next members the decision until enough of them have started. */
  #handOver(out: Effect[]): void {
    const { opened, topic, successorEnabled } = this.#state
    const next = this.#next()
    if (opened === null || next === null || successorEnabled) return
    this.#handingOver.set(this.#limits.resendTicks * 2)
    const { epoch } = opened.configuration
    const decision = this.#state.decisionOf(epoch)
    const missing = next.members.filter((member) => !this.#started.has(member.name))
    const to = missing.map((member) => this.#host.addressOf(member))
    if (decision !== undefined && to.length > 0) send(out, to, { kind: 'decided', topic, epoch, decision })
  }

  /** A lost start vote would leave the next members short of a majority. */
  #voteAgain(out: Effect[]): void {
    const { opened } = this.#state
    if (!this.#isWedged || opened === null) return
    this.#voting.set(this.#limits.resendTicks * 4)
    const { accepted } = opened.acceptor
    if (accepted === null) return
    const { stake, decision } = accepted
    const to = decision.next.members.map((member) => this.#host.addressOf(member))
    send(out, to, { kind: 'start', topic: this.#state.topic, epoch: opened.configuration.epoch, stake, decision })
  }

  #next(): MessageOf<'moved'>['newest'] | null {
    const { opened } = this.#state
    if (opened === null) return null
    return this.#state.configurationOf(nextEpoch(opened.configuration.epoch)) ?? null
  }
}
