/**
 * The beginning of an epoch at one of its members: stage what the closing set holds, count the votes of the old members, and
 * open the epoch with exactly the closing set once its decision is known.
 *
 * Source: Figure 6, "Upon obtaining <start, st, RC> from a majority of previous epoch: store S locally and start service";
 * Figures 4 and 5, "Upon learning (M', S) from decide()".
 * Departs from them: a start carries vectors, and the bodies are staged before; a server may also start from somebody who
 * knows that the decision was made. Votes are counted per member and per stake.
 */
import { acceptQuorum, type Decision, isMember } from '../../proto/configuration.ts'
import { type Address, type Epoch, nextEpoch, previousEpoch, type ServerName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { type Stake, sameStake } from '../../proto/stake.ts'
import type { MessageOf, Source } from '../../proto/wire/messages.ts'
import type { Host, Limits } from '../host.ts'
import type { TopicState } from '../replica/topic-state.ts'
import type { Transfer } from '../replica/transfer.ts'

interface Waiting {
  readonly to: Address
  readonly token: number
  readonly answer: MessageOf<'stage'> | MessageOf<'preload'>
}

/** Servers at most that wait to hear that this one has started. */
const interestedMax = 1_000

export class Opening {
  readonly #state: TopicState
  readonly #transfer: Transfer
  readonly #host: Host
  readonly #limits: Limits
  /** Votes for the start of the epoch after each, by member of that one. */
  readonly #votes = new Map<Epoch, Map<ServerName, Stake>>()
  /** Coordinators that are told how far staging is, by the number of their request. */
  readonly #waiting = new Map<number, Waiting>()
  /** Epoch for whose end this process was asked last to fetch or stage; what has been promised is in the topic's state. */
  #askedFor: Epoch | null = null
  /** A decision that names this server, until the epoch is open. */
  #pending: Decision | null = null
  /** Addresses that are told when this server has started. */
  readonly #interested = new Set<Address>()
  readonly #reporting: Timer
  readonly #forgotten: Timer
  readonly #abandoned: Timer

  readonly #onOpened: (out: Effect[]) => void

  readonly #askForEnd: (of: Epoch, out: Effect[]) => void

  /**
   * @param onOpened called when an epoch has been opened, after its record
   * @param askForEnd asks how an epoch ended for which something is kept here, while no coordinator asks for anything
   */
  constructor(
    state: TopicState,
    transfer: Transfer,
    host: Host,
    limits: Limits,
    onOpened: (out: Effect[]) => void,
    askForEnd: (of: Epoch, out: Effect[]) => void,
  ) {
    this.#onOpened = onOpened
    this.#askForEnd = askForEnd
    this.#reporting = host.timers.timer('staging-report', state.topic, (out) => this.#report(out))
    this.#forgotten = host.timers.timer('staged-for-nobody', state.topic, (out) => this.#ask(out))
    // The plan that asked came to nothing: nobody is read along with any more.
    this.#abandoned = host.timers.timer('preload-abandoned', state.topic, () => {
      if (this.#pending === null) this.#transfer.stop()
    })
    this.#state = state
    this.#transfer = transfer
    this.#host = host
    this.#limits = limits
  }

  get staging(): boolean {
    return this.#waiting.size > 0 || this.#pending !== null
  }

  /** Whether this server is to keep what it has until it knows how some epoch ended. */
  get isHolding(): boolean {
    return this.#held() !== null
  }

  /** The epoch that this server is to begin, or may be, as far as it knows. */
  get upcoming(): Epoch | null {
    if (this.#pending !== null) return this.#pending.next.epoch
    const held = this.#held()
    return held === null ? null : nextEpoch(held)
  }

  /** Whether the end of this epoch decides what becomes of what is staged here. */
  awaits(end: Epoch): boolean {
    return this.#askedFor === end || this.#state.promised.has(end)
  }

  #held(): Epoch | null {
    for (const promised of this.#state.promised) return promised
    const asked = this.#askedFor
    return asked !== null && this.#state.decisionOf(asked) === undefined ? asked : null
  }

  preload(from: Address, token: number, message: MessageOf<'preload'>, out: Effect[]): void {
    this.#waiting.set(token, { to: from, token, answer: message })
    this.#askedFor = message.epoch
    this.#wasAsked()
    this.#transfer.aim(message.epoch, null, message.sources, out)
    this.#answer(true, out)
  }

  stage(from: Address, token: number, message: MessageOf<'stage'>, out: Effect[]): void {
    this.#waiting.set(token, { to: from, token, answer: message })
    this.#askedFor = message.epoch
    this.#wasAsked()
    this.#transfer.aim(message.epoch, message.closing, message.sources, out)
    this.#answer(true, out)
  }

  /** Somebody waits for this server to start the epoch after `closed`. */
  expect(from: Address, closed: Epoch, out: Effect[]): void {
    const { opened, topic } = this.#state
    const epoch = nextEpoch(closed)
    if (opened !== null && opened.configuration.epoch >= epoch) send(out, from, { kind: 'started', topic, epoch })
    else if (this.#interested.size < interestedMax) this.#interested.add(from)
  }

  /** @returns the decision, once a majority of the old members accepted it under one stake */
  vote(from: ServerName, message: MessageOf<'start'>): Decision | null {
    const old = this.#state.configurationOf(message.epoch)
    if (old === undefined || !isMember(old, from)) return null
    const votes = this.#votes.get(message.epoch) ?? new Map<ServerName, Stake>()
    this.#votes.set(message.epoch, votes)
    votes.set(from, message.stake)
    const same = [...votes.values()].filter((stake) => sameStake(stake, message.stake))
    return same.length >= acceptQuorum(old) ? message.decision : null
  }

  /** A decision names this server: opens the epoch as soon as everything is here. */
  decided(decision: Decision, out: Effect[]): void {
    const opened = this.#state.opened?.configuration.epoch ?? 0
    if (decision.next.epoch <= opened || !isMember(decision.next, this.#host.self.name)) return
    if (this.#pending !== null && this.#pending.next.epoch >= decision.next.epoch) return
    this.#pending = decision
    if (!this.#open(out)) this.#fetch(decision, out)
  }

  /** The end of a turn: something may have been staged in it. */
  settle(out: Effect[]): void {
    if (this.#held() !== null) this.#forgotten.setIfStopped(this.#limits.takeoverTicks * 2)
    if (!this.staging) return
    if (this.#pending !== null) this.#open(out)
    this.#answer(false, out)
    if (this.staging) this.#reporting.setIfStopped(this.#limits.resendTicks)
  }

  #wasAsked(): void {
    this.#forgotten.set(this.#limits.takeoverTicks * 2)
    this.#abandoned.set(this.#limits.planTicks)
  }

  /** What is kept for an attempt whose coordinator is silent: perhaps it lost, and this server is not needed. */
  #ask(out: Effect[]): void {
    const held = this.#held()
    if (held === null) return
    this.#forgotten.set(this.#limits.takeoverTicks * 2)
    this.#askForEnd(held, out)
  }

  #report(out: Effect[]): void {
    if (!this.staging) return
    this.#reporting.set(this.#limits.resendTicks)
    this.#answer(true, out)
    if (this.#pending !== null && !this.#transfer.busy) this.#fetch(this.#pending, out)
  }

  /** The decision of `closed` does not name this server: what was staged for an attempt that lost is of no use. */
  forget(closed: Epoch): void {
    for (const [token, { answer }] of this.#waiting) if (answer.epoch <= closed) this.#waiting.delete(token)
    if (this.#askedFor === closed) this.#askedFor = null
    if (this.#pending === null) this.#transfer.stopBefore(nextEpoch(closed))
  }

  #open(out: Effect[]): boolean {
    const decision = this.#pending
    if (decision === null) return false
    const closed = previousEpoch(decision.next.epoch)
    if (closed > 0 && this.#transfer.missing(closed, decision.closing) > 0) return false
    const { topic } = this.#state
    const { epoch } = decision.next
    this.#pending = null
    // A late member may be staging for the end of a later epoch already: that goes on.
    for (const [token, { answer }] of this.#waiting) if (answer.epoch < epoch) this.#waiting.delete(token)
    this.#transfer.stopBefore(epoch)
    this.#state.record({ kind: 'opening', topic, epoch, decision }, out)
    send(out, [...this.#interested], { kind: 'started', topic, epoch })
    this.#interested.clear()
    this.#votes.clear()
    this.#onOpened(out)
    return true
  }

  /** Asks the old members and the other next members: any of them may hold what is missing. */
  #fetch(decision: Decision, out: Effect[]): void {
    const closed = previousEpoch(decision.next.epoch)
    const old = this.#state.configurationOf(closed)?.members ?? []
    const everyone = [...old, ...decision.next.members]
    const sources: Source[] = everyone.map((member) => ({ member, stored: decision.closing }))
    this.#transfer.aim(closed, decision.closing, sources, out)
  }

  /** Tells the coordinator: at once when everything is on disk here, else now and then how much is missing. */
  #answer(unfinished: boolean, out: Effect[]): void {
    for (const { to, token, answer } of [...this.#waiting.values()]) {
      const { topic, epoch } = answer
      const missing = this.#transfer.missing(epoch, answer.kind === 'stage' ? answer.closing : null)
      if (missing > 0 && !unfinished) continue
      if (answer.kind === 'stage' && missing === 0) this.#state.promise(epoch, answer.stake, out)
      if (answer.kind === 'stage') send(out, to, { kind: 'staged', topic, epoch, stake: answer.stake, missing }, token)
      else send(out, to, { kind: 'preloaded', topic, epoch, missing }, token)
      if (missing === 0) this.#waiting.delete(token)
    }
  }
}
