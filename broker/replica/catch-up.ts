/**
 * A server that was down during changes learns how the epochs since its own ended: from whoever turns out to be ahead of it.
 * Perhaps it is a member again.
 */
import { type Configuration, type Decision, isMember } from '../../proto/configuration.ts'
import { type Address, beforeFirst, type Epoch, previousEpoch } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { Host, Limits } from '../host.ts'
import type { TopicState } from './topic-state.ts'

const askTicks = 20

export class CatchUp {
  readonly #state: TopicState
  readonly #host: Host
  readonly #limits: Limits
  readonly #learn: (decision: Decision, out: Effect[]) => void
  readonly #asking: Timer
  #token = 0
  #askedAt = 0
  #lookedUpAt = Number.NEGATIVE_INFINITY

  /** @param learn takes a decision that was made */
  constructor(state: TopicState, host: Host, limits: Limits, learn: (decision: Decision, out: Effect[]) => void) {
    this.#state = state
    this.#host = host
    this.#limits = limits
    this.#learn = learn
    this.#asking = host.timers.timer('catch-up', state.topic, (out) => this.#askOn(out))
  }

  /** Another server is in a later epoch, or says that this one is over. */
  ask(from: Address, out: Effect[], since: Epoch = this.#state.opened?.configuration.epoch ?? beforeFirst): void {
    const { now } = this.#host.timers
    if (this.#token !== 0 && now - this.#askedAt < this.#limits.requestTicks) return
    this.#token = this.#host.nextToken()
    this.#askedAt = now
    const { topic } = this.#state
    send(out, from, { kind: 'chain', topic, epoch: since }, this.#token)
  }

  /** An epoch of which this server is a member, and that it has not opened, is being ended: perhaps that depends on its report. */
  isWaitedFor(from: Address, of: Epoch, out: Effect[]): void {
    const { now } = this.#host.timers
    if (of <= (this.#state.newest?.epoch ?? 0) || now - this.#lookedUpAt < this.#limits.requestTicks) return
    this.#lookedUpAt = now
    this.ask(from, out)
    // Who coordinates need not know how the epoch began.
    this.#host.askNewest(this.#state.topic, (newest, into) => this.hear(newest, into), out)
  }

  moved(from: Address, message: MessageOf<'moved'>, out: Effect[]): void {
    if (message.decision !== undefined) this.#learn(message.decision, out)
    if (message.newest.epoch > (this.#state.newest?.epoch ?? 0)) this.ask(from, out)
    this.#state.hear(message.newest)
  }

  decisions(token: number, message: MessageOf<'decisions'>, out: Effect[]): void {
    // A late answer to an earlier question tells what was decided just as well.
    if (token === this.#token) this.#token = 0
    for (const decision of message.decisions) this.#learn(decision, out)
    this.#state.hear(message.newest)
  }

  /** The end of a turn: sees to it that what is not known here is asked for. */
  settle(): void {
    if (this.#lacks() !== null) this.#asking.setIfStopped(askTicks)
  }

  /**
   * Somebody is in a later epoch than this server has opened: its members are asked in turn, until it is known here how the own
   * epoch ended, and how the newest one began where this server is a member of that.
   */
  #askOn(out: Effect[]): void {
    const { newest } = this.#state
    const lacks = this.#lacks()
    if (newest === null || lacks === null) return
    this.#asking.set(askTicks)
    if (lacks === 'end') this.#pursue(newest, out)
    else this.#rejoin(newest, out)
  }

  #lacks(): 'end' | 'beginning' | null {
    const { newest, opened } = this.#state
    const own = opened?.configuration.epoch ?? beforeFirst
    if (newest === null || newest.epoch <= own) return null
    if (opened !== null && this.#state.decisionOf(own) === undefined) return 'end'
    return isMember(newest, this.#host.self.name) ? 'beginning' : null
  }

  /** Its epoch began without it. Who decided may be gone, and a wedged epoch waits for what this member reports. */
  #rejoin(newest: Configuration, out: Effect[]): void {
    const before = previousEpoch(newest.epoch)
    const decision = this.#state.decisionOf(before)
    if (decision === undefined) this.#pursue(newest, out, before)
    else this.#learn(decision, out)
  }

  /** A later epoch has been decided. */
  hear(newest: Configuration, out: Effect[]): void {
    const isNews = newest.epoch > (this.#state.newest?.epoch ?? 0)
    this.#state.hear(newest)
    if (isNews) this.#pursue(newest, out)
  }

  #pursue(newest: Configuration, out: Effect[], since?: Epoch): void {
    const member = newest.members[this.#host.random.below(newest.members.length)]
    if (member !== undefined) this.ask(this.#host.addressOf(member), out, since)
  }
}
