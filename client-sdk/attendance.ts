/**
 * Whether the servers that a client reads from are there and know what it reads. Each is asked now and then (`attend`), once for all
 * topics: one that does not answer is silent, and one that counts other subscriptions, or has sent more reports than came, is
 * subscribed to again.
 */
import type { Address } from '../proto/ids.ts'
import { type Effect, send } from '../proto/machine/contract.ts'
import type { Timer } from '../proto/machine/timers.ts'
import type { MessageOf } from '../proto/wire/messages.ts'
import type { ClientTimer, ClientTimers } from './timers.ts'

const attendTicks = 100
/** Silence after a question after which its server counts as silent. */
const answerTicks = 50

/** What reads here, and what it does about news of a server. */
export interface Listening {
  /** Subscriptions that each server should have by now. */
  subscriptions(): ReadonlyMap<Address, number>
  again(server: Address, out: Effect[]): void
  silent(server: Address, out: Effect[]): void
  heard(server: Address, out: Effect[]): void
}

interface Attended {
  /** Subscriptions at the moment of the question that is not answered yet. */
  asked: number | null
  /** Reports that came since the last answer. */
  reports: number
  isSilent: boolean
  heardAt: number
}

export class Attendance {
  readonly #timers: ClientTimers
  readonly #listening: Listening
  readonly #servers = new Map<Address, Attended>()
  readonly #asking: Timer<ClientTimer>
  readonly #checking: Timer<ClientTimer>

  constructor(timers: ClientTimers, listening: Listening) {
    this.#timers = timers
    this.#listening = listening
    this.#asking = timers.timer('attend', '', (out) => this.#ask(out))
    this.#checking = timers.timer('attendance', '', (out) => this.#check(out))
  }

  /** Something reads from now on. */
  begin(): void {
    this.#asking.setIfStopped(attendTicks)
  }

  reported(from: Address, out: Effect[]): void {
    const server = this.#server(from)
    server.reports++
    this.#heard(from, server, out)
  }

  answered(from: Address, message: MessageOf<'attendance'>, out: Effect[]): void {
    const server = this.#servers.get(from)
    if (server === undefined) return
    const { asked } = server
    const isComplete = message.reports === server.reports
    server.reports = 0
    server.asked = null
    this.#heard(from, server, out)
    // What has changed since the question is on its way there.
    const hasChanged = asked === null || asked !== (this.#listening.subscriptions().get(from) ?? 0)
    const isKnown = hasChanged || message.subscriptions === asked
    if (!isComplete || !isKnown) this.#listening.again(from, out)
  }

  #ask(out: Effect[]): void {
    const subscriptions = this.#listening.subscriptions()
    for (const address of [...this.#servers.keys()]) if (!subscriptions.has(address)) this.#servers.delete(address)
    if (subscriptions.size === 0) return
    this.#asking.set(attendTicks)
    this.#checking.setIfStopped(answerTicks)
    for (const [address, count] of subscriptions) this.#server(address).asked = count
    send(out, [...subscriptions.keys()], { kind: 'attend' })
  }

  #check(out: Effect[]): void {
    for (const [address, server] of [...this.#servers]) {
      if (server.asked === null || this.#timers.now - server.heardAt < answerTicks) continue
      server.isSilent = true
      this.#listening.silent(address, out)
    }
  }

  #heard(address: Address, server: Attended, out: Effect[]): void {
    server.heardAt = this.#timers.now
    if (!server.isSilent) return
    server.isSilent = false
    this.#listening.heard(address, out)
  }

  #server(address: Address): Attended {
    let server = this.#servers.get(address)
    if (server === undefined) {
      server = { asked: null, reports: 0, isSilent: false, heardAt: this.#timers.now }
      this.#servers.set(address, server)
    }
    return server
  }
}
