/** Hears of every epoch change of a topic without reading it: a subscription that asks for no bodies. */
import type { Configuration, Decision } from '../../proto/configuration.ts'
import type { EpochcastError } from '../../proto/errors.ts'
import type { Address, TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import { emptySet } from '../../proto/message-set.ts'
import type { EpochFollower, Follower } from '../follower.ts'
import type { Requests } from '../requests.ts'
import type { Listener } from './reader.ts'

/** Who watches: told the first configuration that is known, then each that follows. */
export interface Watcher {
  begun(configuration: Configuration): void
  moved(decision: Decision): void
  failed(error: EpochcastError): void
}

export class Watch implements EpochFollower, Listener {
  readonly token: number
  readonly #follower: Follower
  readonly #watcher: Watcher
  #configuration: Configuration | null = null

  constructor(follower: Follower, requests: Requests, watcher: Watcher) {
    this.#follower = follower
    this.#watcher = watcher
    this.token = requests.nextToken()
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
    this.#follower.remove(this)
    const { topic } = this
    const to = this.#follower.addresses()
    if (this.#configuration === null || to.length === 0) return
    send(out, to, { kind: 'unsubscribe', topic, epoch: this.#configuration.epoch }, this.token)
  }

  peer(server: Address, up: boolean, out: Effect[]): void {
    if (up && this.listensTo().includes(server)) this.#again(server, out)
  }

  listensTo(): readonly Address[] {
    return this.#configuration === null ? [] : this.#follower.addresses()
  }

  /** The topic may have left it. */
  silent(server: Address, out: Effect[]): void {
    this.#again(server, out)
    this.#follower.suspect(out)
  }

  heard(): void {}

  #again(server: Address, out: Effect[]): void {
    if (this.#configuration !== null) this.#subscribe(this.#configuration, out, [server])
  }

  #subscribe({ topic, epoch }: Configuration, out: Effect[], to = this.#follower.addresses()): void {
    send(out, to, { kind: 'subscribe', topic, epoch, since: emptySet, creditBytes: 0 }, this.token)
  }
}
