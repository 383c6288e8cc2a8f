/** Hears of every epoch change of a topic without reading it: a subscription that asks for no bodies. */
import type { Configuration, Decision } from '../../proto/configuration.ts'
import type { EpochcastError } from '../../proto/errors.ts'
import type { TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { emptySet } from '../../proto/message-set.ts'
import type { EpochFollower, Follower } from '../follower.ts'
import type { Requests } from '../requests.ts'
import type { ClientTimer } from '../timers.ts'

/** Who watches: told the first configuration that is known, then each that follows. */
export interface Watcher {
  begun(configuration: Configuration): void
  moved(decision: Decision): void
  failed(error: EpochcastError): void
}

/** Members forget a silent subscriber; this is well before that, and soon after a lost message. */
const renewTicks = 100

export class Watch implements EpochFollower {
  readonly token: number
  readonly #follower: Follower
  readonly #watcher: Watcher
  #configuration: Configuration | null = null
  readonly #renewal: Timer<ClientTimer>

  constructor(follower: Follower, requests: Requests, watcher: Watcher) {
    this.#follower = follower
    this.#watcher = watcher
    this.token = requests.nextToken()
    this.#renewal = follower.timersOf(this).timer('keep-alive', follower.topic, (out) => {
      if (this.#configuration !== null) this.#subscribe(this.#configuration, out)
    })
  }

  get topic(): TopicName {
    return this.#follower.topic
  }

  begun(configuration: Configuration, out: Effect[]): void {
    this.#configuration = configuration
    this.#watcher.begun(configuration)
    this.#subscribe(configuration, out)
  }

  moved(decision: Decision, out: Effect[]): void {
    this.#configuration = decision.next
    this.#watcher.moved(decision)
    this.#subscribe(decision.next, out)
  }

  failed(error: EpochcastError): void {
    this.#watcher.failed(error)
  }

  opened(out: Effect[]): void {
    if (this.#configuration !== null) this.#subscribe(this.#configuration, out)
  }

  close(out: Effect[]): void {
    this.#renewal.stop()
    this.#follower.remove(this)
    const { topic } = this
    const to = this.#follower.addresses()
    if (this.#configuration === null || to.length === 0) return
    send(out, to, { kind: 'unsubscribe', topic, epoch: this.#configuration.epoch }, this.token)
  }

  #subscribe({ topic, epoch }: Configuration, out: Effect[]): void {
    this.#renewal.set(renewTicks)
    const to = this.#follower.addresses()
    send(out, to, { kind: 'subscribe', topic, epoch, since: emptySet, creditBytes: 0 }, this.token)
  }
}
