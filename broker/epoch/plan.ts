/**
 * Plan: everything that can be found out and carried over before anything is stopped. The decider answers, enough of the next
 * members answer, and new ones have fetched what there is, in rounds until little is left. A plan that fails has changed nothing.
 *
 * Source: section 3 ("s' speculatively copies the state from s ... before the reconfiguration is even initiated"), section 9.3.
 */
import {
  acceptQuorum,
  type Configuration,
  enabledQuorum,
  type Intent,
  isMember,
  type Member,
  reportsNeeded,
} from '../../proto/configuration.ts'
import { outsideEngine } from '../../proto/decider.ts'
import type { ServerName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { Message, MessageOf, Refusal, Source } from '../../proto/wire/messages.ts'
import type { Host, Limits } from '../host.ts'
import { idsOf } from './change.ts'
import { Rounds } from './rounds.ts'

/** An engine outside of the cluster that is away comes back, or is mended: a plan waits so long for it. */
const engineTicksMax = 6_000

export interface PlanListener {
  /** Everything is ready; the old epoch may be wedged. */
  planned(out: Effect[]): void
  preloading(detail: string, out: Effect[]): void
  failed(refusal: Refusal, reason: string, out: Effect[]): void
  /** The epoch to be ended has a successor already. */
  outdated(newest: Configuration, out: Effect[]): void
}

export class Plan {
  readonly #old: Configuration
  readonly #intent: Intent
  readonly #token: number
  readonly #host: Host
  readonly #limits: Limits
  readonly #listener: PlanListener
  readonly #conditions = new Map<ServerName, MessageOf<'condition'>>()
  /** Messages that next members still miss, as they told. */
  readonly #missing = new Map<ServerName, number>()
  #engineReady: boolean
  /** Why the engine that decides is waited for; nothing is stopped meanwhile. */
  #silence: string | null = null
  readonly #rounds: Rounds
  /** Old members that told again what they hold, before the next round. */
  readonly #refreshed = new Set<ServerName>()
  #phase: 'asking' | 'preloading' | 'refreshing' | 'over' = 'asking'
  /** Rings at every tick of a plan: what it waits for is looked at, as servers come and go. */
  readonly #looking: Timer
  readonly #resending: Timer
  /** Ticks at which it began to ask, at which anything moved last, and at which the old members were asked again. */
  #askedAt: number
  #movedAt: number
  #refreshedAt = 0

  constructor(old: Configuration, intent: Intent, token: number, host: Host, limits: Limits, listener: PlanListener) {
    this.#old = old
    this.#intent = intent
    this.#token = token
    this.#host = host
    this.#limits = limits
    this.#listener = listener
    this.#engineReady = old.decider === 'stakes'
    this.#rounds = new Rounds(limits, host.timers)
    this.#looking = host.timers.timer('change-plan', old.topic, (into) => this.#look(into))
    this.#resending = host.timers.timer('change-resend', old.topic, (into) => {
      this.#resending.set(limits.resendTicks * 4)
      this.#repeat(into)
    })
    this.#askedAt = host.timers.now
    this.#movedAt = host.timers.now
  }

  begin(out: Effect[]): void {
    this.#looking.set(1)
    this.#resending.set(this.#limits.resendTicks * 4)
    this.#ask(this.#everyone(), { kind: 'inquire', topic: this.#old.topic, epoch: this.#old.epoch }, out)
  }

  engineSilent(reason: string): void {
    this.#silence = reason
  }

  engineReady(out: Effect[]): void {
    this.#engineReady = true
    this.#movedAt = this.#host.timers.now
    // It took long: who answered before may be gone.
    if (this.#silence !== null) {
      this.#silence = null
      this.#conditions.clear()
      this.#askedAt = this.#host.timers.now
      this.begin(out)
    }
    this.#goOn(out)
  }

  take(from: ServerName, message: Message, out: Effect[]): void {
    if (this.#phase === 'over') return
    if (message.kind === 'condition') this.#onCondition(from, message, out)
    if (message.kind === 'preloaded') {
      if (this.#missing.get(from) !== message.missing) this.#movedAt = this.#host.timers.now
      this.#missing.set(from, message.missing)
      this.#goOn(out)
    }
  }

  /** The plan is over, or nobody wants it any more. */
  end(): void {
    this.#phase = 'over'
    this.#looking.stop()
    this.#resending.stop()
  }

  #look(out: Effect[]): void {
    const isOutside = !this.#engineReady && outsideEngine(this.#old.decider) !== null
    if (this.#stillTicks > (isOutside ? engineTicksMax : this.#limits.planTicks)) {
      this.end()
      this.#listener.failed(...this.#whyNot(), out)
      return
    }
    this.#looking.set(1)
    this.#goOn(out)
  }

  /** Ticks since anything moved. */
  get #stillTicks(): number {
    return this.#host.timers.now - this.#movedAt
  }

  #onCondition(from: ServerName, message: MessageOf<'condition'>, out: Effect[]): void {
    const newest = message.configuration
    if (newest !== undefined && newest.epoch > this.#old.epoch) {
      this.end()
      this.#listener.outdated(newest, out)
      return
    }
    if (!this.#conditions.has(from)) this.#movedAt = this.#host.timers.now
    this.#conditions.set(from, message)
    this.#refreshed.add(from)
    this.#goOn(out)
  }

  #goOn(out: Effect[]): void {
    if (this.#phase === 'asking' && this.#answered()) {
      const fetching = this.#fetching()
      if (fetching.length > 0) this.#listener.preloading(idsOf(fetching), out)
      this.#beginRound(out)
    }
    if (this.#phase === 'refreshing' && this.#isRefreshed()) this.#beginRound(out)
    if (this.#phase !== 'preloading' || !this.#oldAnswer()) return
    if (this.#isComplete()) this.#endRound(out)
    // Somebody does not get what it lacks: enough others are ready.
    else if (this.#isReady() && this.#stillTicks > this.#limits.stageTicks) {
      this.end()
      this.#listener.planned(out)
    }
  }

  #beginRound(out: Effect[]): void {
    this.#phase = 'preloading'
    this.#missing.clear()
    this.#preload(this.#fetching(), out)
  }

  #endRound(out: Effect[]): void {
    switch (this.#rounds.ended()) {
      case 'again':
        this.#phase = 'refreshing'
        this.#refreshed.clear()
        this.#refreshedAt = this.#host.timers.now
        this.#ask(this.#old.members, { kind: 'inquire', topic: this.#old.topic, epoch: this.#old.epoch }, out)
        return
      case 'enough':
        this.end()
        this.#listener.planned(out)
        return
      case 'hopeless':
        this.end()
        this.#listener.failed('transfer-failed', 'new members fetch no faster than others publish', out)
        return
    }
  }

  /** The old members told what they hold by now; one that does not any more is not waited for. */
  #isRefreshed(): boolean {
    const silent = this.#old.members.filter((member) => this.#isOpenAt(member) && !this.#refreshed.has(member.name))
    return silent.length === 0 || this.#host.timers.now - this.#refreshedAt >= this.#limits.resendTicks * 2
  }

  /** Enough members answered; those that did not are waited for a moment. */
  #answered(): boolean {
    if (!this.#engineReady) return false
    const silent = this.#everyone().filter((member) => !this.#conditions.has(member.name))
    if (silent.length === 0) return true
    const ticks = this.#host.timers.now - this.#askedAt
    const isHopeless = ticks > 0 && silent.every((member) => !this.#host.isAlive(member.name))
    const isLong = ticks >= this.#limits.resendTicks * 4
    return (isHopeless || isLong) && this.#oldAnswer() && this.#nextAnswer()
  }

  #oldAnswer(): boolean {
    const alive = this.#old.members.filter((member) => this.#isOpenAt(member))
    const needed = this.#old.decider === 'stakes' ? acceptQuorum(this.#old) : reportsNeeded(this.#old)
    return alive.length >= needed
  }

  #nextAnswer(): boolean {
    const alive = this.#intent.members.filter((member) => this.#conditions.has(member.name))
    return alive.length >= enabledQuorum(this.#intent)
  }

  /** Every next member that answers has what was asked of it. */
  #isComplete(): boolean {
    const answering = this.#intent.members.filter((member) => this.#conditions.has(member.name))
    return this.#ready().length >= answering.length
  }

  #isReady(): boolean {
    return this.#ready().length >= enabledQuorum(this.#intent)
  }

  #ready(): Member[] {
    return this.#intent.members.filter(
      ({ name }) => (isMember(this.#old, name) && this.#conditions.has(name)) || this.#missing.get(name) === 0,
    )
  }

  #repeat(out: Effect[]): void {
    // Also those that answered without having opened the epoch: they may be catching up.
    const unsure = this.#everyone().filter(
      (member) => !this.#conditions.has(member.name) || (isMember(this.#old, member.name) && !this.#isOpenAt(member)),
    )
    this.#ask(unsure, { kind: 'inquire', topic: this.#old.topic, epoch: this.#old.epoch }, out)
    if (this.#phase !== 'preloading') return
    const unready = this.#newcomers().filter((member) => this.#missing.get(member.name) !== 0)
    this.#preload(unready, out)
  }

  #preload(to: readonly Member[], out: Effect[]): void {
    const sources: Source[] = []
    for (const member of this.#old.members) {
      const stored = this.#conditions.get(member.name)?.stored
      if (stored !== undefined && this.#isOpenAt(member)) sources.push({ member, stored })
    }
    // Each begins with another source, so that no old member carries them all.
    for (const [at, member] of to.entries()) {
      const first = at % Math.max(1, sources.length)
      const inTurn = [...sources.slice(first), ...sources.slice(0, first)]
      this.#ask([member], { kind: 'preload', topic: this.#old.topic, epoch: this.#old.epoch, sources: inTurn }, out)
    }
  }

  #isOpenAt(member: Member): boolean {
    const condition = this.#conditions.get(member.name)
    return condition?.configuration?.epoch === this.#old.epoch && condition.phase !== 'absent'
  }

  #newcomers(): Member[] {
    return this.#intent.members.filter((member) => !isMember(this.#old, member.name))
  }

  /** New members that answered. */
  #fetching(): Member[] {
    return this.#newcomers().filter((member) => this.#conditions.has(member.name))
  }

  #everyone(): Member[] {
    return [...this.#old.members, ...this.#newcomers()]
  }

  #ask(to: readonly Member[], message: Message, out: Effect[]): void {
    if (to.length > 0)
      send(
        out,
        to.map((member) => this.#host.addressOf(member)),
        message,
        this.#token,
      )
  }

  #whyNot(): [Refusal, string] {
    const silent = this.#everyone().filter((member) => !this.#conditions.has(member.name))
    const names = silent.map((member) => `${member.name} (${member.address})`).join(', ')
    if (!this.#engineReady) return ['no-decider', this.#silence ?? 'the decision engine does not answer']
    if (!this.#oldAnswer())
      return ['no-decider', `too few members of epoch ${this.#old.epoch} answer; silent: ${names}`]
    if (!this.#nextAnswer()) return ['transfer-failed', `too few of the next members answer; silent: ${names}`]
    return ['transfer-failed', this.#whyNotFetched()]
  }

  #whyNotFetched(): string {
    const late = this.#fetching().filter(({ name }) => this.#missing.get(name) !== 0)
    const full = late.filter((member) => this.#host.isFull(member))
    if (full.length > 0) {
      const where = full.length === 1 ? 'the disk of' : 'the disks of'
      return `${where} ${idsOf(full)} ${full.length === 1 ? 'is' : 'are'} full, and what is there already does not fit: make space there, or name other servers`
    }
    const lacking = late
      .map((member) => `${idsOf([member])} lacks ${this.#missing.get(member.name) ?? 'all'}`)
      .join(', ')
    return `new members did not get the messages that are there already: ${lacking}`
  }
}
