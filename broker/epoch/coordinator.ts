/**
 * The coordinator of one change of one topic: wedge, collect, stage, decide, start, until the next epoch is enabled. It keeps
 * nothing: any server can finish what another began.
 *
 * Source: `Reconfig(M)` at a client, Figures 4, 5 and 6.
 * Departs from them: it runs on a server; a plan comes first; the bodies are on the disks of the next quorum before anything is
 * proposed (a decision by reference would else depend on what one crash can take away); deciding is one step whoever decides.
 */
import {
  acceptQuorum,
  type Configuration,
  type Decision,
  enabledQuorum,
  type Intent,
  isMember,
  type Member,
} from '../../proto/configuration.ts'
import { withoutInstance } from '../../proto/decider.ts'
import type { Address, ServerName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Ring, Timer } from '../../proto/machine/timers.ts'
import { type Stake, sameStake } from '../../proto/stake.ts'
import type { Message, MessageOf, Refusal } from '../../proto/wire/messages.ts'
import type { Proposal, ProposalListener } from '../engines/engine.ts'
import type { ServerTimer } from '../timers.ts'
import {
  type ChangeListener,
  type ChangePhase,
  type ChangeResult,
  type Coordination,
  describe,
  idsOf,
  PhaseClock,
} from './change.ts'
import { Reports } from './collect.ts'
import { Plan, type PlanListener } from './plan.ts'
import { Rivalry } from './rivalry.ts'
import { Staging } from './staging.ts'

const giveUpTicks = 6_000
/** Sendings that next members get which are believed dead. */
const deadPatience = 4
/** Whoever asked hears this often that the change is still being worked on. */
const keepAliveTicks = 50

type Step = 'plan' | 'wedge' | 'stage' | 'decide' | 'start' | 'over'

export class Coordinator implements PlanListener, ProposalListener {
  readonly old: Configuration
  readonly intent: Intent
  readonly token: number
  readonly #needs: Coordination
  readonly #listener: ChangeListener
  #step: Step = 'plan'
  #plan: Plan | null = null
  #proposal: Proposal | null = null
  #stake: Stake
  #reports: Reports
  /** Decided, or to be decided. */
  #decision: Decision | null = null
  #staging: Staging | null = null
  readonly #accepts = new Set<ServerName>()
  readonly #started = new Set<ServerName>()
  /** Members of the newest epoch known, where that is behind the next one. */
  #later: readonly Member[] = []
  #phase: ChangePhase = 'plan'
  #detail = ''
  readonly #pausing: Timer
  readonly #grace: Timer
  readonly #staged: Timer
  readonly #resending: Timer
  readonly #keepingAlive: Timer
  readonly #givingUp: Timer
  readonly #stalling: Timer
  readonly #rivalry: Rivalry
  readonly #clock: PhaseClock

  constructor(old: Configuration, intent: Intent, needs: Coordination, listener: ChangeListener) {
    this.old = old
    this.intent = intent
    this.token = needs.host.nextToken()
    this.#needs = needs
    this.#listener = listener
    this.#rivalry = new Rivalry(needs.host.random, needs.limits.resendTicks * 2)
    this.#clock = new PhaseClock(needs.nowMs)
    const timer = (name: ServerTimer, ring: Ring) => needs.host.timers.timer(name, old.topic, ring)
    this.#pausing = timer('change-pause', (out) => this.#wedge(out))
    this.#grace = timer('change-grace', (out) => this.#collected(out))
    this.#staged = timer('change-staging', (out) => this.#checkStaging(out))
    this.#resending = timer('change-resend', (out) => this.#resend(out))
    this.#keepingAlive = timer('change-keep-alive', (out) => this.#keepAlive(out))
    // Members that wait for this change finish it by themselves.
    this.#givingUp = timer('change-give-up', () => this.#end())
    this.#stalling = timer('change-stalled', (out) => listener.stalled(out))
    this.#reports = new Reports(old)
    this.#stake = this.#newStake(0)
  }

  get over(): boolean {
    return this.#step === 'over'
  }

  /** Decided long ago, and the next epoch still does not begin: perhaps its members died. */
  get isStalled(): boolean {
    return this.#step === 'start' && !this.#stalling.isSet
  }

  /** @param finishing the old epoch is wedged already: there is nothing to plan */
  begin(finishing: boolean, out: Effect[]): void {
    const { host, limits, deciders } = this.#needs
    this.#keepingAlive.set(keepAliveTicks)
    this.#enter('plan', describe(this.old, this.intent), out)
    if (!finishing) this.#plan = new Plan(this.old, this.intent, this.token, host, limits, this)
    const { topic, epoch, decider } = this.old
    if (decider !== 'stakes') this.#proposal = deciders.open(decider, topic, epoch, this, out)
    if (this.#plan !== null) this.#plan.begin(out)
    else this.#wedge(out)
  }

  take(from: ServerName, message: Message, out: Effect[]): void {
    switch (message.kind) {
      case 'condition':
      case 'preloaded':
        return this.#plan?.take(from, message, out)
      case 'wedged':
        return this.#onWedged(from, message, out)
      case 'staged':
        return this.#onStaged(from, message, out)
      case 'accepted':
        return this.#onAccepted(from, message, out)
      case 'started':
        return this.#onStarted(from, message, out)
      case 'enabled':
        return this.#onLaterEnabled(message, out)
      case 'outranked':
        return this.#onOutranked(message)
      case 'moved':
        return this.#onMoved(message, out)
      default:
        return
    }
  }

  #keepAlive(out: Effect[]): void {
    this.#keepingAlive.set(keepAliveTicks)
    this.#listener.phase(this.#phase, this.#detail, out)
    // Members that have started may know by now that a later epoch is enabled.
    if (this.#step === 'start' && this.#decision !== null)
      this.#tellDecided(unique([...this.#decision.next.members, ...this.#later]), out)
  }

  #resend(out: Effect[]): void {
    this.#resending.set(this.#needs.limits.resendTicks)
    this.#repeat(out)
    const { topic, epoch } = this.old
    this.#tell(this.old.members, { kind: 'working', topic, epoch, stake: this.#stake }, out)
  }

  /** A step begins: its message is sent at once, and again while it lasts. */
  #begin(step: Step): void {
    this.#step = step
    for (const timer of [this.#grace, this.#staged, this.#pausing]) timer.stop()
    this.#resending.set(this.#needs.limits.resendTicks)
    this.#givingUp.set(giveUpTicks)
  }

  // Plan.

  planned(out: Effect[]): void {
    this.#plan = null
    this.#wedge(out)
  }

  preloading(detail: string, out: Effect[]): void {
    this.#enter('preload', detail, out)
  }

  failed(refusal: Refusal, reason: string, out: Effect[]): void {
    this.#end()
    this.#listener.failed(refusal, reason, out)
  }

  outdated(newest: Configuration, out: Effect[]): void {
    this.#end()
    this.#listener.outdated(newest, out)
  }

  ready(out: Effect[]): void {
    this.#plan?.engineReady(out)
  }

  /** The engine does not answer: before the wedge nothing has been stopped, and whoever asked hears what is waited for. */
  waiting(reason: string, out: Effect[]): void {
    this.#plan?.engineSilent(reason)
    if (this.#step !== 'plan' && this.#step !== 'decide') return
    this.#detail = reason
    this.#listener.phase(this.#phase, reason, out)
  }

  // Wedge and collect.

  #wedge(out: Effect[]): void {
    this.#begin('wedge')
    this.#grace.set(this.#needs.limits.graceTicks)
    this.#reports = new Reports(this.old)
    this.#staging = null
    this.#accepts.clear()
    this.#enter('wedge', idsOf(this.old.members), out)
    this.#repeat(out)
  }

  #onWedged(from: ServerName, report: MessageOf<'wedged'>, out: Effect[]): void {
    if (this.#step !== 'wedge' || !sameStake(report.stake, this.#stake)) return
    if (this.#reports.add(from, report)) this.#collected(out)
  }

  /** Enough reports: in fault-masking mode at once, else after a moment for those that also answer. */
  #collected(out: Effect[]): void {
    if (this.#step !== 'wedge' || this.#pausing.isSet || !this.#reports.enough) return
    const isPatient = this.old.mode !== 'fault-masking' && this.#grace.isSet
    const { host } = this.#needs
    // Those that are believed dead are not waited for.
    if (isPatient && this.old.members.some(({ name }) => !this.#reports.has(name) && host.isAlive(name))) return
    this.#enter('collect', '', out)
    const adopted = this.old.decider === 'stakes' ? this.#reports.highestAccepted() : null
    if (adopted !== null) this.#decide(adopted.decision, out)
    else this.#stage(new Staging(this.old, this.intent, this.#reports), out)
  }

  // Stage.

  #stage(staging: Staging, out: Effect[]): void {
    this.#begin('stage')
    this.#staging = staging
    this.#staged.set(this.#stagingPatience)
    this.#decision = staging.planned
    this.#enter('stage', idsOf(staging.planned.next.members), out)
    if (staging.isReady) this.#decide(staging.decide(this.#clock.proposalTimes()), out)
    else this.#repeat(out)
  }

  #onStaged(from: ServerName, message: MessageOf<'staged'>, out: Effect[]): void {
    if (this.#step !== 'stage' || !sameStake(message.stake, this.#stake)) return
    if (this.#staging?.told(from, message.missing) === true) this.#staged.set(this.#stagingPatience)
    if (this.#staging?.isReady === true) this.#decide(this.#staging.decide(this.#clock.proposalTimes()), out)
  }

  #checkStaging(out: Effect[]): void {
    this.#staged.set(this.#stagingPatience)
    const change = this.#staging?.stuck() ?? null
    if (change === 'collect-again') this.#retry(this.#stake.round)
    else if (change !== null) this.#stage(change, out)
  }

  /** Rivals that each waited for the dead once more, for longer each time, would outrank each other for as long. */
  get #stagingPatience(): number {
    const { host, limits } = this.#needs
    const isForDead = host.isSettled() && this.#staging?.waitsForDeadAlone((name) => host.isAlive(name)) === true
    return isForDead ? limits.resendTicks * deadPatience : 1 + this.#rivalry.patience(limits.stageTicks)
  }

  // Decide.

  #decide(decision: Decision, out: Effect[]): void {
    this.#begin('decide')
    this.#decision = decision
    this.#enter('decide', withoutInstance(this.old.decider), out)
    if (this.#proposal !== null) this.#proposal.propose(decision, out)
    else this.#repeat(out)
  }

  #onAccepted(from: ServerName, message: MessageOf<'accepted'>, out: Effect[]): void {
    if (this.#step !== 'decide' || !sameStake(message.stake, this.#stake) || !isMember(this.old, from)) return
    this.#accepts.add(from)
    if (this.#accepts.size >= acceptQuorum(this.old) && this.#decision !== null) this.decided(this.#decision, out)
  }

  #onOutranked(message: MessageOf<'outranked'>): void {
    if (this.#step !== 'wedge' && this.#step !== 'decide') return
    if (this.old.decider !== 'stakes' && this.#step === 'decide') return
    if (message.promised.round >= this.#stake.round) this.#retry(message.promised.round)
  }

  /** Another round after a random pause that grows, so that rivals do not outrank each other for ever. */
  #retry(round: number): void {
    if (this.#pausing.isSet) return
    this.#stake = this.#newStake(round)
    this.#step = 'wedge'
    this.#resending.stop()
    this.#staged.stop()
    this.#pausing.set(this.#rivalry.pause())
  }

  // Start.

  /**
   * What ended the epoch: this change, or another that is now brought to its end all the same.
   * @param later members of a later epoch, which may know that one to be enabled where the next epoch never was
   */
  decided(decision: Decision, out: Effect[], later: readonly Member[] = []): void {
    if (this.#step === 'start' || this.#step === 'over') return
    this.#later = later
    this.#endPlan()
    this.#begin('start')
    this.#stalling.set(this.#needs.limits.stageTicks + 1)
    this.#decision = decision
    this.#proposal?.cancel()
    this.#enter('start', idsOf(decision.next.members), out)
    this.#listener.decided(this.#result(decision, false), out)
    this.#tellDecided(this.#concerned(decision), out)
  }

  closed(newest: Configuration, out: Effect[]): void {
    this.outdated(newest, out)
  }

  #onMoved(message: MessageOf<'moved'>, out: Effect[]): void {
    if (this.#step === 'over' || message.epoch !== this.old.epoch) return
    if (message.decision !== undefined) {
      this.#endPlan()
      this.decided(message.decision, out)
    } else if (message.newest.epoch > this.old.epoch) this.outdated(message.newest, out)
  }

  #onStarted(from: ServerName, message: MessageOf<'started'>, out: Effect[]): void {
    const decision = this.#decision
    if (this.#step !== 'start' || decision === null || message.epoch < decision.next.epoch) return
    if (!isMember(decision.next, from)) return
    this.#started.add(from)
    if (this.#started.size >= enabledQuorum(decision.next)) this.#finish(decision, out)
  }

  /** The next epoch may never have been enabled; a later one is, and with it this change is complete too. */
  #onLaterEnabled(message: MessageOf<'enabled'>, out: Effect[]): void {
    const decision = this.#decision
    if (this.#step === 'start' && decision !== null && message.epoch > decision.next.epoch) this.#finish(decision, out)
  }

  #finish(decision: Decision, out: Effect[]): void {
    this.#end()
    this.#enter('enabled', '', out)
    const { topic, epoch } = decision.next
    this.#tell(this.#concerned(decision), { kind: 'enabled', topic, epoch }, out)
    const result = this.#result(decision, true)
    this.#listener.ended({ ...result, retirable: [] }, out)
    // Clients that slept through many epochs look here, so only now the old servers may stop.
    this.#needs.registry.note(decision.next, (into) => this.#listener.retirable(result, into), out)
  }

  /** Members of the old and the next epoch, and of the later one that is asked. */
  #concerned(decision: Decision): Member[] {
    return unique([...this.old.members, ...decision.next.members, ...this.#later])
  }

  /** Sends this step's message again to those that have not answered. */
  #repeat(out: Effect[]): void {
    const { topic, epoch } = this.old
    const stake = this.#stake
    const decision = this.#decision
    switch (this.#step) {
      case 'wedge': {
        const silent = this.old.members.filter((member) => !this.#reports.has(member.name))
        this.#tell(silent, { kind: 'wedge', topic, epoch, stake, intent: this.intent }, out)
        break
      }
      case 'stage': {
        if (decision === null || this.#staging === null) return
        const sources = this.#reports.sources()
        const { closing } = decision
        this.#tell(this.#staging.unready, { kind: 'stage', topic, epoch, stake, closing, sources }, out)
        break
      }
      case 'decide': {
        if (decision === null || this.#proposal !== null) break
        const silent = this.old.members.filter((member) => !this.#accepts.has(member.name))
        this.#tell(silent, { kind: 'accept', topic, epoch, stake, decision }, out)
        break
      }
      case 'start': {
        if (decision === null) return
        const silent = decision.next.members.filter(({ name }) => !this.#started.has(name))
        this.#tellDecided(silent, out)
        break
      }
      default:
        return
    }
  }

  #tellDecided(to: readonly Member[], out: Effect[]): void {
    const { topic, epoch } = this.old
    if (this.#decision !== null) this.#tell(to, { kind: 'decided', topic, epoch, decision: this.#decision }, out)
  }

  #tell(to: readonly Member[], message: Message, out: Effect[]): void {
    const addresses: Address[] = to.map((member) => this.#needs.host.addressOf(member))
    if (addresses.length > 0) send(out, addresses, message, this.token)
  }

  #end(): void {
    this.#step = 'over'
    this.#endPlan()
    this.#proposal?.cancel()
    for (const timer of [this.#pausing, this.#grace, this.#staged, this.#resending]) timer.stop()
    for (const timer of [this.#keepingAlive, this.#givingUp, this.#stalling]) timer.stop()
    this.#listener.over()
  }

  #endPlan(): void {
    this.#plan?.end()
    this.#plan = null
  }

  #newStake(above: number): Stake {
    const { host } = this.#needs
    return {
      round: this.#needs.nextRound(this.old.topic, above),
      coordinator: host.self.name,
      incarnation: host.incarnation,
    }
  }

  #enter(phase: ChangePhase, detail: string, out: Effect[]): void {
    this.#clock.enter(phase)
    this.#phase = phase
    this.#detail = detail
    this.#listener.phase(phase, detail, out)
  }

  #result(decision: Decision, enabled: boolean): ChangeResult {
    const superseded = decision.changeId !== this.intent.changeId
    const retired = this.old.members.filter((member) => !isMember(decision.next, member.name))
    const retirable = enabled ? retired.map((member) => member.name) : []
    return { decision, enabled, superseded, retirable, times: this.#clock.times() }
  }
}

function unique(members: readonly Member[]): Member[] {
  return members.filter(({ name }, at) => members.findIndex((other) => other.name === name) === at)
}
