/**
 * Get at the client, in three levels.
 * - linearizable: the figures. Fault-recovery: every member answers, and the intersection counts. Fault-masking: a majority
 *   answers, the union counts, and what a majority does not hold yet is stored back first.
 * - durable: what is known durable. Safe, perhaps behind, never behind what this client was acknowledged or given.
 * - early: whatever is stored.
 *
 * Source: Figures 4 to 6, "Operation Get() at client".
 * Departs from it: numbers are collected first and bodies fetched once, from one member; for the store-back members pull from
 * each other. A member that is wedged, or that has moved on, begins the Get again in the next epoch.
 */
import { type Configuration, type Decision, majority, operationQuorum } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import {
  type Address,
  type Epoch,
  epoch,
  isSystemPublisher,
  type MessageId,
  nextEpoch,
  type ServerName,
} from '../../proto/ids.ts'
import { type Effect, type Settleable, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { contains, emptySet, endOf, heldBy, intersection, type MessageSet, union } from '../../proto/message-set.ts'
import type { Batch, GetLevel, MessageOf, Source } from '../../proto/wire/messages.ts'
import type { Position } from '../cursor.ts'
import type { EpochFollower, Follower } from '../follower.ts'
import type { Requests } from '../requests.ts'
import type { Servers } from '../servers.ts'
import type { ClientTimer, ClientTimers } from '../timers.ts'
import { Fetch, type FetchListener, Prefix } from './fetch.ts'

/** A batch and how many of its first messages the caller has already. */
export interface Given {
  readonly batch: Batch
  readonly skip: number
}

export interface GetResult {
  readonly given: readonly Given[]
  readonly position: Position
  readonly floor: Epoch
}

const resendTicks = 20
const graceTicks = 5
/** A store-back that takes longer begins again from the collect; the next one may take twice as long, up to eight times. */
const storeBackTicks = 100
const storeBackDoublings = 3

export class Get implements EpochFollower, FetchListener, Settleable {
  readonly token: number
  readonly timers: ClientTimers
  readonly #grace: Timer<ClientTimer>
  readonly #resend: Timer<ClientTimer>
  readonly #storeBackLimit: Timer<ClientTimer>
  /** Set while no member has what is lacking. */
  readonly #again: Timer<ClientTimer>
  readonly #level: GetLevel
  readonly #since: Position | null
  readonly #wantsBodies: boolean
  readonly #about: MessageId | null
  readonly #follower: Follower
  readonly #servers: Servers
  readonly #requests: Requests
  readonly #done: (result: GetResult | EpochcastError) => void
  #configuration: Configuration | null = null
  #step: 'waiting' | 'collecting' | 'completing' | 'fetching' | 'over' = 'waiting'
  readonly #held = new Map<ServerName, MessageOf<'held'>>()
  readonly #completed = new Map<ServerName, MessageSet>()
  #result: MessageSet = emptySet
  #given: Given[] = []
  #fetch: Fetch | null = null
  #at: Epoch = epoch(0)
  /** Tick at which its present step began. */
  #stepAt = 0
  /** Store-backs that took too long. */
  #storeBacks = 0
  /** Members that were asked for bodies in vain, one after the other. */
  #vainCount = 0
  #outcome: GetResult | EpochcastError | null = null
  #told: () => void = () => {}

  /**
   * @param since leaves out what came before; `numbers`: no bodies at all, only the position
   * @param about of a linearizable Get of numbers: one message that is asked for; the answer need not be complete once so many
   *   members are without it that no quorum holds it
   */
  constructor(
    level: GetLevel,
    since: Position | 'numbers' | null,
    follower: Follower,
    servers: Servers,
    requests: Requests,
    done: (result: GetResult | EpochcastError) => void,
    about: MessageId | null = null,
  ) {
    this.#about = about
    this.#level = level
    this.#since = since === 'numbers' ? null : since
    this.#wantsBodies = since !== 'numbers'
    this.#follower = follower
    this.#servers = servers
    this.#requests = requests
    this.#done = done
    this.token = requests.nextToken()
    this.timers = follower.timersOf(this)
    const timer = (name: ClientTimer, ring: (of: Configuration, out: Effect[]) => void) =>
      this.timers.timer(name, follower.topic, (out) => {
        if (this.#configuration !== null) ring(this.#configuration, out)
      })
    this.#grace = timer('get-grace', (of, out) => this.#collected(of, out))
    this.#resend = timer('get-resend', (of, out) => this.#onSilence(of, out))
    this.#storeBackLimit = timer('get-store-back', (of, out) => this.#onSlowStoreBack(of, out))
    this.#again = timer('get-again', (of, out) => this.#onVain(of, out))
  }

  /** Calls back once it has ended. */
  whenOver(told: () => void): void {
    this.#told = told
  }

  begun(configuration: Configuration, out: Effect[]): void {
    this.#begin(configuration, out)
  }

  moved(decision: Decision, out: Effect[]): void {
    this.#begin(decision.next, out)
  }

  failed(error: EpochcastError, out: Effect[]): void {
    this.#end(error, out)
  }

  held(from: ServerName, message: MessageOf<'held'>, out: Effect[]): void {
    const configuration = this.#configuration
    if (configuration === null || message.epoch !== configuration.epoch) return
    if (!configuration.members.some((member) => member.name === from)) return
    if (this.#step === 'collecting') {
      this.#held.set(from, message)
      this.#collected(configuration, out)
    } else if (this.#step === 'completing') {
      this.#completed.set(from, message.stored)
      this.#checkCompleted(configuration, out)
    }
  }

  refused(message: MessageOf<'refused'>, out: Effect[]): void {
    if (this.#step === 'fetching') {
      this.#fetch?.refused()
      this.#inVain()
    } else if (message.refusal !== 'wedged' && message.refusal !== 'not-yet') this.#follower.suspect(out)
  }

  batch(batch: Batch, out: Effect[]): void {
    this.#fetch?.batch(batch, out)
  }

  pulled(message: MessageOf<'pulled'>, out: Effect[]): void {
    this.#fetch?.pulled(message, out)
  }

  #onSilence(configuration: Configuration, out: Effect[]): void {
    this.#collected(configuration, out)
    if (this.#step !== 'collecting' && this.#step !== 'completing') return
    this.#resend.set(resendTicks)
    this.#ask(configuration, out)
    this.#follower.suspect(out)
  }

  /** A holder may be dead, and then what it alone held need not be in the answer; or the members are slow. */
  #onSlowStoreBack(configuration: Configuration, out: Effect[]): void {
    this.#storeBacks = Math.min(this.#storeBacks + 1, storeBackDoublings)
    this.#begin(configuration, out)
  }

  /** A member was asked for bodies in vain. Where no other one is left to ask, the only holder of what is lacking died after the collect. */
  #inVain(): void {
    this.#vainCount++
    if (this.#isVain) this.#again.setIfStopped(1)
  }

  get #isVain(): boolean {
    const configuration = this.#configuration
    return configuration !== null && this.#vainCount >= configuration.members.length
  }

  #onVain(configuration: Configuration, out: Effect[]): void {
    if (this.#isVain && this.#fetch?.isWhole === false) this.#begin(configuration, out)
    else this.#fetch?.next(out)
  }

  fetched(batch: Batch, skip: number): void {
    this.#vainCount = 0
    if (!isSystemPublisher(batch.publisher)) this.#given.push({ batch, skip })
  }

  complete(out: Effect[]): void {
    const configuration = this.#configuration
    if (configuration === null) return
    if (this.#at < configuration.epoch) this.#fetchEpoch(nextEpoch(this.#at), configuration, out)
    else this.#finish(configuration, out)
  }

  hasRoom(): boolean {
    return !this.#isVain
  }

  peer(server: Address, isUp: boolean, out: Effect[]): void {
    this.#fetch?.peer(server, isUp, out)
  }

  isUp(server: Address): boolean {
    return this.#follower.isUp(server)
  }

  busyTicks(from: Address): number {
    return this.#follower.busyTicks(from)
  }

  stalled(out: Effect[]): void {
    this.#follower.suspect(out)
    this.#inVain()
  }

  settle(): void {
    if (this.#outcome !== null) this.#done(this.#outcome)
  }

  #begin(configuration: Configuration, out: Effect[]): void {
    if (this.#step === 'over') return
    this.#configuration = configuration
    this.#stopTimers()
    this.#step = 'collecting'
    this.#stepAt = this.timers.now
    this.#grace.set(graceTicks)
    this.#resend.set(resendTicks)
    this.#vainCount = 0
    this.#held.clear()
    this.#completed.clear()
    this.#fetch = null
    this.#given = []
    this.#ask(configuration, out)
  }

  #ask(configuration: Configuration, out: Effect[]): void {
    const { topic, epoch: of } = configuration
    const to = (answered: ReadonlyMap<ServerName, unknown>) =>
      configuration.members.filter(({ name }) => !answered.has(name)).map((member) => this.#servers.addressOf(member))
    if (this.#step === 'collecting') {
      send(out, to(this.#held), { kind: 'collect', topic, epoch: of, level: this.#level }, this.token)
    } else if (this.#step === 'completing') {
      const sources: Source[] = []
      for (const member of configuration.members) {
        const stored = this.#held.get(member.name)?.stored
        if (stored !== undefined) sources.push({ member, stored })
      }
      send(out, to(this.#completed), { kind: 'complete', topic, epoch: of, goal: this.#result, sources }, this.token)
    }
  }

  #collected(configuration: Configuration, out: Effect[]): void {
    if (this.#step !== 'collecting') return
    const answers = [...this.#held.values()]
    const stored = answers.map((answer) => answer.stored)
    const quorum = operationQuorum(configuration)
    const isAll = answers.length === configuration.members.length
    switch (this.#level) {
      case 'linearizable': {
        if (this.#about !== null && isShort(stored, this.#about, configuration)) {
          this.#deliver(heldBy(stored, quorum), configuration, out)
          return
        }
        if (answers.length < quorum) return
        if (configuration.mode !== 'fault-masking') {
          this.#deliver(intersection(stored), configuration, out)
          return
        }
        const all = union(stored)
        if (contains(heldBy(stored, quorum), all)) this.#deliver(all, configuration, out)
        else this.#storeBack(all, configuration, out)
        return
      }
      case 'durable': {
        if (
          answers.length === 0 ||
          (!isAll && (answers.length < quorum || this.#elapsed < graceTicks) && !this.#waitedLong)
        )
          return
        const known = answers.map((answer) => answer.durable)
        this.#deliver(union([heldBy(stored, quorum), ...known, this.#follower.known]), configuration, out)
        return
      }
      case 'early':
        if (answers.length > 0 && (isAll || this.#elapsed >= graceTicks))
          this.#deliver(union(stored), configuration, out)
        return
    }
  }

  /** A member of a fault-recovery epoch may be dead: then what the others know durable is the answer. */
  get #waitedLong(): boolean {
    return this.#elapsed >= resendTicks
  }

  /** Ticks since the present step began. */
  get #elapsed(): number {
    return this.timers.now - this.#stepAt
  }

  /** Figures 5 and 6: what is returned must be on the disks of a majority. */
  #storeBack(all: MessageSet, configuration: Configuration, out: Effect[]): void {
    this.#step = 'completing'
    this.#result = all
    this.#stepAt = this.timers.now
    this.#resend.set(resendTicks)
    this.#storeBackLimit.set(storeBackTicks * 2 ** this.#storeBacks + 1)
    this.#ask(configuration, out)
  }

  #checkCompleted(configuration: Configuration, out: Effect[]): void {
    const complete = [...this.#completed.values()].filter((stored) => contains(stored, this.#result))
    if (complete.length >= majority(configuration.members.length)) this.#deliver(this.#result, configuration, out)
  }

  #deliver(result: MessageSet, configuration: Configuration, out: Effect[]): void {
    this.#stopTimers()
    this.#step = 'fetching'
    this.#result = result
    if (!this.#wantsBodies) {
      this.#finish(configuration, out)
      return
    }
    const from = this.#since?.epoch ?? configuration.floor
    this.#fetchEpoch(from < configuration.floor ? configuration.floor : from, configuration, out)
  }

  #fetchEpoch(of: Epoch, configuration: Configuration, out: Effect[]): void {
    this.#at = of
    if (of >= configuration.epoch) {
      this.#fetchUntil(of, this.#result, configuration, out)
      return
    }
    const told = (decision: Decision | null, into: Effect[]) => {
      if (this.#step !== 'fetching' || this.#configuration !== configuration || this.#at !== of) return
      if (decision === null)
        this.#end(new EpochcastError('EC_OUTCOME_EXPIRED', `epoch ${of} is not kept any more`), into)
      else this.#fetchUntil(of, decision.closing, configuration, into)
    }
    this.#follower.want(of, told, out)
  }

  #fetchUntil(of: Epoch, until: MessageSet, configuration: Configuration, out: Effect[]): void {
    const seen = this.#since?.epoch === of ? this.#since.seen : emptySet
    const { topic } = configuration
    this.#vainCount = 0
    const members = () => configuration.members.map((member) => this.#servers.addressOf(member))
    this.#fetch = new Fetch(
      { topic, epoch: of, until, prefix: new Prefix(seen) },
      this.token,
      members,
      this.token,
      this,
    )
    this.#fetch.next(out)
  }

  #finish(configuration: Configuration, out: Effect[]): void {
    const position = { epoch: configuration.epoch, seen: this.#result }
    const given = trimmed(this.#given, configuration.epoch, this.#result)
    for (const { batch } of given) {
      if (this.#level === 'early') this.#follower.noteGivenEarly(batch, batch.last)
      else this.#follower.noteGiven(batch, batch.last)
    }
    if (this.#level !== 'early')
      for (const [publisher, { end }] of this.#result) this.#follower.noteKnown(configuration.epoch, publisher, end)
    this.#end({ given, position, floor: configuration.floor }, out)
  }

  #end(outcome: GetResult | EpochcastError, out: Effect[]): void {
    if (this.#step === 'over') return
    this.#step = 'over'
    this.#stopTimers()
    this.#outcome = outcome
    this.#requests.withdraw(this.token)
    this.#follower.remove(this)
    out.push({ kind: 'settle', target: this })
    this.#told()
  }

  #stopTimers(): void {
    for (const timer of [this.#grace, this.#resend, this.#storeBackLimit, this.#again]) timer.stop()
    this.#fetch?.cancel()
  }
}

/** So many of the answers are without a message of this epoch that no quorum can hold it. */
function isShort(answers: readonly MessageSet[], id: MessageId, configuration: Configuration): boolean {
  const without = answers.filter((stored) => endOf(stored, id.publisher) < id.sequence).length
  return id.epoch === configuration.epoch && without > configuration.members.length - operationQuorum(configuration)
}

/** Leaves out what a page brought beyond the result. */
function trimmed(given: readonly Given[], of: Epoch, result: MessageSet): Given[] {
  return given.filter(({ batch }) => batch.epoch < of || batch.last <= (result.get(batch.publisher)?.end ?? 0))
}
