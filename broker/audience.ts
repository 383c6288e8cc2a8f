/**
 * Clients that read here, whatever topics they read. A client asks each server now and then for the number of its subscriptions and of the
 * reports that it was sent (`attend`), and compares: so a lost report, a lost subscription and a server that stands still
 * are noticed without a message for each topic. A client that does not ask for long is gone.
 */
import type { Address } from '../proto/ids.ts'
import { type Effect, send } from '../proto/machine/contract.ts'
import type { Timer } from '../proto/machine/timers.ts'
import type { ServerTimers } from './timers.ts'

interface Listener {
  subscriptions: number
  /** Reports that it was sent since it asked last. */
  reports: number
  readonly silence: Timer
}

export class Audience {
  readonly #timers: ServerTimers
  readonly #silentTicksMax: number
  readonly #tellGone: (address: Address) => void
  readonly #listeners = new Map<Address, Listener>()

  /** @param tellGone a client has been silent for `silentTicksMax` */
  constructor(timers: ServerTimers, silentTicksMax: number, tellGone: (address: Address) => void) {
    this.#timers = timers
    this.#silentTicksMax = silentTicksMax
    this.#tellGone = tellGone
  }

  /** A subscription began. */
  joined(address: Address): void {
    let listener = this.#listeners.get(address)
    if (listener === undefined) {
      const silence = this.#timers.timer('listener-silence', address, () => this.#tellGone(address))
      listener = { subscriptions: 0, reports: 0, silence }
      this.#listeners.set(address, listener)
      silence.set(this.#silentTicksMax)
    }
    listener.subscriptions++
  }

  /** A subscription ended. */
  left(address: Address): void {
    const listener = this.#listeners.get(address)
    if (listener === undefined || --listener.subscriptions > 0) return
    listener.silence.stop()
    this.#listeners.delete(address)
  }

  /** These clients are sent one report. */
  reported(to: readonly Address[]): void {
    for (const address of to) {
      const listener = this.#listeners.get(address)
      if (listener !== undefined) listener.reports++
    }
  }

  subscriptionsOf(address: Address): number {
    return this.#listeners.get(address)?.subscriptions ?? 0
  }

  attend(from: Address, out: Effect[]): void {
    const listener = this.#listeners.get(from)
    const { subscriptions = 0, reports = 0 } = listener ?? {}
    send(out, from, { kind: 'attendance', subscriptions, reports })
    if (listener === undefined) return
    listener.reports = 0
    listener.silence.set(this.#silentTicksMax)
  }
}
