/**
 * How far a topic is durable, epoch by epoch, without its bodies: a subscription that gives no credit.
 *
 * Source: as `subscribe.ts`; only the numbers of the reports are used.
 */
import type { Configuration, Decision, Member } from '../../proto/configuration.ts'
import type { EpochcastError } from '../../proto/errors.ts'
import {
  type Address,
  type Epoch,
  isSystemPublisher,
  nextEpoch,
  type PublisherId,
  previousEpoch,
  type ServerName,
} from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import { emptySet } from '../../proto/message-set.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { Follower } from '../follower.ts'
import type { Requests } from '../requests.ts'
import type { Servers } from '../servers.ts'
import type { ClientTimers } from '../timers.ts'
import type { Reader } from './reader.ts'
import { MemberReports } from './reports.ts'

/** Who is told. */
export interface FrontierListener {
  /** These ends of an epoch are durable; `closed`: it has ended, and they are its last. Only what changed is named. */
  stored(epoch: Epoch, ends: ReadonlyMap<PublisherId, number>, closed: boolean): void
  /** What came before `to` is not kept any more. */
  gap(to: Epoch): void
  failed(error: EpochcastError): void
}

export class Frontiers implements Reader {
  readonly token: number
  readonly #follower: Follower
  readonly #servers: Servers
  readonly #listener: FrontierListener
  #epoch: Epoch
  #newest: Configuration | null = null
  #reports: MemberReports | null = null
  #told = new Map<PublisherId, number>()
  #isAsking = false
  #over = false
  readonly #timers: ClientTimers

  constructor(from: Epoch, follower: Follower, servers: Servers, requests: Requests, listener: FrontierListener) {
    this.#epoch = from
    this.#follower = follower
    this.#servers = servers
    this.#listener = listener
    this.token = requests.nextToken()
    this.#timers = follower.timersOf(this)
  }

  get topic() {
    return this.#follower.topic
  }

  begun(configuration: Configuration, out: Effect[]): void {
    this.#newest = configuration
    if (this.#epoch < configuration.floor) {
      this.#epoch = configuration.floor
      this.#listener.gap(configuration.floor)
    }
    this.#read(out)
  }

  moved(decision: Decision, out: Effect[]): void {
    this.#newest = decision.next
    if (this.#epoch === previousEpoch(decision.next.epoch)) this.#end(decision)
    if (!this.#isAsking) this.#read(out)
  }

  failed(error: EpochcastError): void {
    this.#listener.failed(error)
  }

  report(from: ServerName, message: MessageOf<'report'>): void {
    const reports = this.#reports
    if (reports === null || message.epoch !== reports.epoch || message.epoch !== this.#epoch) return
    if (!reports.take(from, message.stored)) return
    const ends = new Map<PublisherId, number>()
    for (const publisher of message.stored.keys()) {
      // Records of a sequencer are nobody's messages.
      if (isSystemPublisher(publisher)) continue
      const end = reports.durableEnd(publisher)
      if (end > (this.#told.get(publisher) ?? 0)) ends.set(publisher, end)
    }
    if (ends.size === 0) return
    for (const [publisher, end] of ends) this.#told.set(publisher, end)
    this.#listener.stored(this.#epoch, ends, false)
  }

  opened(from: Address, message: MessageOf<'opened'>, out: Effect[]): void {
    if (message.epoch === this.#epoch) this.#subscribe([from], out)
  }

  peer(address: Address, up: boolean, out: Effect[]): void {
    if (up && this.#follower.addresses().includes(address)) this.#subscribe([address], out)
  }

  listensTo(): readonly Address[] {
    return this.#reports !== null && this.#epoch === this.#newest?.epoch && !this.#over
      ? this.#follower.addresses()
      : []
  }

  silent(server: Address, out: Effect[]): void {
    const member = this.#memberAt(server)
    if (member === undefined) return
    this.#reports?.silent(member.name)
    this.#subscribe([server], out)
  }

  heard(server: Address): void {
    const member = this.#memberAt(server)
    if (member !== undefined) this.#reports?.heard(member.name)
  }

  #memberAt(server: Address): Member | undefined {
    return this.#newest?.members.find((member) => this.#servers.addressOf(member) === server)
  }

  refused(message: MessageOf<'refused'>, out: Effect[]): void {
    if (message.refusal !== 'not-yet' && message.refusal !== 'wedged') this.#follower.suspect(out)
  }

  batch(): void {}

  pulled(): void {}

  /** It gives nothing early. */
  whenConfirmed(told: () => void): void {
    told()
  }

  close(out: Effect[]): void {
    this.#over = true
    this.#leave()
    this.#follower.remove(this)
    const { topic } = this
    const to = this.#follower.addresses()
    if (this.#reports !== null && to.length > 0) {
      send(out, to, { kind: 'unsubscribe', topic, epoch: this.#epoch }, this.token)
    }
  }

  /** Epochs that are over are told whole; the open one as it grows. */
  #read(out: Effect[]): void {
    const newest = this.#newest
    while (newest !== null && this.#epoch < newest.epoch && !this.#over) {
      const known = this.#follower.decisionOf(this.#epoch)
      if (known === undefined) {
        this.#ask(this.#epoch, out)
        return
      }
      this.#end(known)
    }
    if (newest === null || this.#epoch !== newest.epoch || this.#reports?.epoch === newest.epoch || this.#over) return
    this.#reports = new MemberReports(newest, this.#timers, {
      silent: (member, into) => this.#subscribe([this.#servers.addressOf(member)], into),
      deaf: (into) => this.#follower.suspect(into),
    })
    this.#subscribe(this.#follower.addresses(), out)
  }

  #ask(of: Epoch, out: Effect[]): void {
    this.#isAsking = true
    const told = (decision: Decision | null, into: Effect[]) => {
      this.#isAsking = false
      if (this.#over) return
      if (decision === null && this.#epoch === of) {
        this.#epoch = nextEpoch(of)
        this.#listener.gap(this.#epoch)
      }
      this.#read(into)
    }
    this.#follower.want(of, told, out)
  }

  #end(decision: Decision): void {
    const ends = new Map<PublisherId, number>()
    for (const [publisher, { end }] of decision.closing) if (!isSystemPublisher(publisher)) ends.set(publisher, end)
    this.#listener.stored(this.#epoch, ends, true)
    this.#epoch = decision.next.epoch
    this.#told = new Map()
    this.#leave()
    this.#reports = null
  }

  /** Nothing more is expected of the members of this epoch. */
  #leave(): void {
    this.#reports?.stop()
  }

  #subscribe(to: readonly Address[], out: Effect[]): void {
    if (this.#reports === null || to.length === 0 || this.#over) return
    const { topic } = this
    send(out, to, { kind: 'subscribe', topic, epoch: this.#epoch, since: emptySet, creditBytes: 0 }, this.token)
  }
}
