/**
 * Get at a server: numbers first, bodies by `pull`.
 *
 * Source: Figures 4 to 6, "Upon <collect> request at server and not wedged: return all locally stored messages", and the
 * store-back of Figures 5 and 6.
 * Departs from it: a server returns the vector of what it has on disk; for the store-back the client names what a majority
 * must hold, and members that lack some of it pull it from each other.
 */
import type { Address } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { contains, type MessageSet } from '../../proto/message-set.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { ServerTimers } from '../timers.ts'
import type { Repair } from './repair.ts'
import type { TopicState } from './topic-state.ts'

interface Completion {
  readonly to: Address
  readonly token: number
  readonly goal: MessageSet
  /** Tick at which the client has begun anew. */
  readonly until: number
}

const completionsMax = 1000
const completionTicks = 1000

export class Gets {
  readonly #state: TopicState
  readonly #repair: Repair
  readonly #timers: ServerTimers
  readonly #expiring: Timer
  #completions: Completion[] = []

  constructor(state: TopicState, repair: Repair, timers: ServerTimers) {
    this.#state = state
    this.#repair = repair
    this.#timers = timers
    this.#expiring = timers.timer('get-expires', state.topic, () => this.#expire())
  }

  collect(from: Address, token: number, message: MessageOf<'collect'>, out: Effect[]): void {
    this.#held(from, token, message, out)
  }

  complete(from: Address, token: number, message: MessageOf<'complete'>, out: Effect[]): void {
    const { opened } = this.#state
    if (opened === null) return
    if (contains(opened.holdings.snapshot(), message.goal)) {
      this.#held(from, token, message, out)
      return
    }
    if (this.#completions.length >= completionsMax) return
    this.#completions = this.#completions.filter((known) => known.to !== from || known.token !== token)
    this.#completions.push({ to: from, token, goal: message.goal, until: this.#timers.now + completionTicks })
    this.#expiring.setIfStopped(completionTicks)
    this.#repair.want(message.sources, out)
  }

  /** The end of a turn in which something was stored: who waited for it is told. */
  settle(out: Effect[]): void {
    const { opened } = this.#state
    if (opened === null || this.#completions.length === 0) return
    const stored = opened.holdings.snapshot()
    this.#completions = this.#completions.filter((waiting) => {
      if (!contains(stored, waiting.goal)) return true
      this.#held(waiting.to, waiting.token, opened.configuration, out)
      return false
    })
  }

  /** The epoch ended: the Gets begin again in the next one. */
  clear(): void {
    this.#completions = []
    this.#expiring.stop()
  }

  #expire(): void {
    const { now } = this.#timers
    this.#completions = this.#completions.filter(({ until }) => until > now)
    const [oldest] = this.#completions
    if (oldest !== undefined) this.#expiring.set(oldest.until - now)
  }

  #held(to: Address, token: number, of: Pick<MessageOf<'collect'>, 'topic' | 'epoch'>, out: Effect[]): void {
    const { opened } = this.#state
    if (opened === null) return
    const stored = opened.holdings.snapshot()
    const durable = this.#repair.durable()
    send(out, to, { kind: 'held', topic: of.topic, epoch: of.epoch, stored, durable }, token)
  }
}
