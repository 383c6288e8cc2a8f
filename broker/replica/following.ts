/**
 * A new member reads along with an old one before the epoch ends: a subscription to bodies alone. What is published while it
 * fetches what was there comes by itself, and little is left to fetch when the epoch stands still.
 *
 * Source: section 9.3 (transfer in advance).
 */
import type { Address, Epoch, ServerName, TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { MessageSet } from '../../proto/message-set.ts'
import type { ServerTimers } from '../timers.ts'

export class Following {
  readonly #topic: TopicName
  /** Bytes of bodies that may be on their way. */
  readonly #windowBytes: number
  readonly #timers: ServerTimers
  /** Nobody needs it any more; the source is told a tick later, unless it is begun anew by then. */
  readonly #ending: Timer
  #to: Address | null = null
  #token = 0
  #creditBytes = 0
  #receivedBytes = 0
  source: ServerName | null = null
  epoch: Epoch | null = null
  /** Tick at which something came last, or was asked for. */
  #heard = 0

  constructor(topic: TopicName, windowBytes: number, timers: ServerTimers) {
    this.#topic = topic
    this.#windowBytes = windowBytes
    this.#timers = timers
    this.#ending = timers.timer('following-ends', topic, (out) => this.#stop(out))
  }

  /** Ticks since something came, or was asked for. */
  get silentTicks(): number {
    return this.#timers.now - this.#heard
  }

  get #isOver(): boolean {
    return this.#ending.isSet
  }

  isOf(epoch: Epoch): boolean {
    return this.epoch === epoch && !this.#isOver
  }

  isOwn(token: number): boolean {
    return this.#token !== 0 && token === this.#token && !this.#isOver
  }

  begin(epoch: Epoch, source: ServerName, to: Address, token: number, since: MessageSet, out: Effect[]): void {
    this.#stop(out)
    this.#to = to
    this.#token = token
    this.source = source
    this.epoch = epoch
    this.#creditBytes = this.#windowBytes
    this.#receivedBytes = 0
    this.#heard = this.#timers.now
    const creditBytes = this.#creditBytes
    send(out, to, { kind: 'subscribe', topic: this.#topic, epoch, since, creditBytes, quiet: true }, token)
  }

  /** A batch came: there is room for more once half of what was granted has been used. */
  received(bytes: number, out: Effect[]): void {
    this.#heard = this.#timers.now
    this.#receivedBytes += bytes
    if (this.#to === null || this.epoch === null) return
    if (this.#creditBytes - this.#receivedBytes > this.#windowBytes / 2) return
    this.#creditBytes = this.#receivedBytes + this.#windowBytes
    const { epoch } = this
    send(out, this.#to, { kind: 'credit', topic: this.#topic, epoch, creditBytes: this.#creditBytes }, this.#token)
  }

  end(): void {
    if (this.#to !== null) this.#ending.setIfStopped(1)
  }

  peerDown(address: Address): void {
    if (address === this.#to) this.end()
  }

  #stop(out: Effect[]): void {
    if (this.#to !== null && this.epoch !== null) {
      send(out, this.#to, { kind: 'unsubscribe', topic: this.#topic, epoch: this.epoch }, this.#token)
    }
    this.#to = null
    this.#token = 0
    this.source = null
    this.epoch = null
    this.#ending.stop()
  }
}
