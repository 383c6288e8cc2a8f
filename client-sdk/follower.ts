/**
 * Follows one topic from epoch to epoch: which configuration is the newest that this client was told of (Definition 2), and
 * how the epochs before it ended.
 */
import { type Configuration, type Decision, isStamped } from '../proto/configuration.ts'
import type { EpochcastError } from '../proto/errors.ts'
import {
  type Address,
  type Epoch,
  epoch,
  type MessageId,
  nextEpoch,
  type PublisherId,
  previousEpoch,
  type TopicName,
} from '../proto/ids.ts'
import type { Effect } from '../proto/machine/contract.ts'
import type { Timer } from '../proto/machine/timers.ts'
import { endOf, type Frontier } from '../proto/message-set.ts'
import type { Batch, Message, MessageOf } from '../proto/wire/messages.ts'
import type { CausalPast, HybridClock } from './causal-past.ts'
import type { Faults } from './faults.ts'
import { refusalError } from './refusals.ts'
import { ofOneServer, type Requests } from './requests.ts'
import type { Servers } from './servers.ts'
import type { ClientTimer, ClientTimers } from './timers.ts'

/** What was decided about this client's own messages of an epoch. */
export interface OwnOutcomes {
  readonly included: readonly MessageId[]
  readonly dropped: readonly MessageId[]
}

/** Operations that live in epochs. */
export interface EpochFollower {
  /** Publishers: they judge their messages before anybody is told that the epoch ended. */
  readonly isPublisher?: true
  /** The first configuration is known. */
  begun(configuration: Configuration, out: Effect[]): void
  /** The epoch that this client was in has ended; `decision.next` is the new one. */
  moved(decision: Decision, out: Effect[]): void
  /** The topic cannot be followed: it does not exist, or may not be created. */
  failed(error: EpochcastError, out: Effect[]): void
}

/** What a follower needs of its client. */
export interface FollowerPorts {
  readonly servers: Servers
  readonly requests: Requests
  readonly past: CausalPast
  readonly clock: HybridClock
  readonly faults: Faults
  /** Timers of one operation, or of none: what throws as one of them rings ends that operation alone. */
  timersOf(operation: EpochFollower | null): ClientTimers
}

const suspectTicks = 25
/** A question where the topic is could not be sent, or its answer not be taken: it is asked again. */
const lookAgainTicks = 25
/** One roll is asked for in so many ticks. */
const rollTicks = 500
const ownOutcomeEpochsMax = 100

export class Follower {
  readonly topic: TopicName
  configuration: Configuration | null = null
  /** What this client was acknowledged or given in the current epoch: a Get never falls behind it. */
  readonly known = new Map<PublisherId, Frontier>()
  readonly ownOutcomes = new Map<Epoch, OwnOutcomes>()
  readonly past: CausalPast
  readonly clock: HybridClock
  readonly #servers: Servers
  readonly #requests: Requests
  readonly #faults: Faults
  readonly #decisions = new Map<Epoch, Decision>()
  readonly #followers = new Set<EpochFollower>()
  /** Operations for which the topic is made while it is looked for. */
  readonly #creators = new Set<EpochFollower>()
  readonly #wanted = new Map<Epoch, ((decision: Decision | null, out: Effect[]) => void)[]>()
  #locating = 0
  #isCreating = false
  /** Somebody wants the topic made while it is only looked for. */
  #createNext = false
  #chaining = 0
  #rolling = 0
  readonly #ports: FollowerPorts
  readonly #timers: ClientTimers
  /** Set while somebody waits for the topic and nobody is asked about it. */
  readonly #look: Timer<ClientTimer>
  readonly #rollPause: Timer<ClientTimer>
  /** Tick of the last suspicion. */
  #suspectedAt = Number.NEGATIVE_INFINITY

  constructor(topic: TopicName, ports: FollowerPorts) {
    this.topic = topic
    this.past = ports.past
    this.clock = ports.clock
    this.#ports = ports
    this.#faults = ports.faults
    this.#servers = ports.servers
    this.#requests = ports.requests
    this.#timers = ports.timersOf(null)
    this.#look = this.#timers.timer('look', topic, (out) => this.#lookAgain(out))
    this.#rollPause = this.#timers.timer('roll', topic, () => this.#mayRollAgain())
  }

  /** Timers of an operation that follows this topic. */
  timersOf(operation: EpochFollower): ClientTimers {
    return this.#ports.timersOf(operation)
  }

  /** Operations that follow this topic, its publisher aside. */
  get followerCount(): number {
    let count = 0
    for (const one of this.#followers) if (one.isPublisher !== true) count++
    return count
  }

  get epoch(): Epoch | null {
    return this.configuration?.epoch ?? null
  }

  /** Notes what this client was acknowledged or given of an epoch; what it knows never falls. */
  noteKnown(of: Epoch, publisher: PublisherId, end: number): void {
    if (of === this.epoch && end > endOf(this.known, publisher)) this.known.set(publisher, { end, digest: 0 })
  }

  /**
   * Notes that this client was given messages of a batch up to `end`, by whatever means: they are causes of what it publishes
   * next. Every reader passes here.
   */
  noteGiven({ topic, epoch: of, publisher, time }: Batch, end: number): void {
    this.clock.witness(time)
    if (this.configuration === null || !isStamped(this.configuration.order)) return
    this.past.note(topic, of, publisher, end)
  }

  /**
   * The same of messages that were given early. They may be dropped yet, and then nobody finds their causes by way of them: those
   * in other topics are causes of what this client publishes next, too.
   */
  noteGivenEarly(batch: Batch, end: number): void {
    this.noteGiven(batch, end)
    if (this.configuration === null || !isStamped(this.configuration.order)) return
    for (const { topic, epoch: of, ends } of batch.after?.others ?? [])
      for (const cause of ends) this.past.note(topic, of, cause.publisher, cause.end)
  }

  /** Notes how this client's own messages of an epoch ended; the last hundred epochs are kept. */
  noteOwn(of: Epoch, outcomes: OwnOutcomes): void {
    const known = this.ownOutcomes.get(of)
    const included = [...(known?.included ?? []), ...outcomes.included]
    this.ownOutcomes.set(of, { included, dropped: [...(known?.dropped ?? []), ...outcomes.dropped] })
    const [oldest] = this.ownOutcomes.keys()
    if (this.ownOutcomes.size > ownOutcomeEpochsMax && oldest !== undefined) this.ownOutcomes.delete(oldest)
  }

  decisionOf(of: Epoch): Decision | undefined {
    return this.#decisions.get(of)
  }

  /** Whether a server is connected, as far as this client heard. */
  isUp(server: Address): boolean {
    return this.#servers.isUp(server)
  }

  /** In how many ticks bodies have come to this client from a server. */
  busyTicks(from: Address): number {
    return this.#servers.busyTicks(from)
  }

  addresses(): Address[] {
    return (this.configuration?.members ?? []).map((member) => this.#servers.addressOf(member))
  }

  /** @param create the topic comes into being by this use, where the servers allow that */
  add(follower: EpochFollower, out: Effect[], create = true): void {
    this.#followers.add(follower)
    const { configuration } = this
    if (configuration !== null) this.#each([follower], (one) => one.begun(configuration, out), out)
    else if (create) this.create(follower, out)
    else this.#locate(false, out)
  }

  remove(follower: EpochFollower): void {
    this.#followers.delete(follower)
    this.unwant(follower)
  }

  /** The topic comes into being for this operation, where the servers allow that, for as long as it wants it. */
  create(follower: EpochFollower, out: Effect[]): void {
    this.#creators.add(follower)
    this.#locate(true, out)
  }

  /**
   * An operation gave up: no server is asked any more to make the topic for it, and none is asked about it where nobody waits. A
   * server that was asked may make it yet.
   */
  unwant(follower: EpochFollower): void {
    this.#creators.delete(follower)
    if (this.configuration !== null || this.#locating === 0 || this.#creators.size > 0) return
    this.#createNext = false
    const isLookedFor = this.followerCount > 0
    if (!this.#isCreating && isLookedFor) return
    this.#requests.withdraw(this.#locating)
    this.#locating = 0
    if (isLookedFor) this.#look.set(1)
  }

  /** Finds the topic; makes it when `create` and the servers allow it. */
  #locate(create: boolean, out: Effect[]): void {
    if (this.#locating !== 0) {
      // One who only looks must not get an answer for one who wants it made.
      if (create && !this.#isCreating) this.#createNext = true
      return
    }
    this.#look.stop()
    this.#isCreating = create
    const { topic } = this
    const request: MessageOf<'locate'> = {
      kind: 'locate',
      topic,
      epoch: this.epoch ?? epoch(0),
      create,
      members: [],
    }
    const to = () => this.#servers.addresses()
    const answer = (message: Message, _from: Address, into: Effect[]) => this.#located(message, into)
    const failed = () => {
      this.#locating = 0
      this.#look.set(lookAgainTicks)
    }
    const question = { message: request, to, answer, failed, mayDiffer: ofOneServer }
    this.#locating = this.#requests.ask(question, out)
  }

  /** No answer where one was due: perhaps the topic lives elsewhere by now. */
  suspect(out: Effect[]): void {
    const { now } = this.#timers
    if (now - this.#suspectedAt < suspectTicks) return
    this.#suspectedAt = now
    this.#locate(false, out)
  }

  /** Asks for the end of an epoch: it holds up a reader, and nothing else will go on. */
  roll(of: Epoch, out: Effect[]): void {
    if (this.#rolling !== 0 || this.epoch !== of) return
    this.#rollPause.set(rollTicks)
    const { topic } = this
    const message: Message = { kind: 'reconfigure', topic, epoch: of, changeId: `cause-${of}`, members: [] }
    const to = () => this.#servers.inOrder(this.addresses())
    const answer = ({ kind }: Message) => kind === 'changed' || kind === 'refused'
    this.#rolling = this.#requests.ask({ message, to, answer, retryTicks: 200 }, out)
  }

  #lookAgain(out: Effect[]): void {
    if (this.configuration !== null) return
    if (this.#creators.size > 0) this.#locate(true, out)
    else if (this.followerCount > 0) this.#locate(false, out)
  }

  /** The end that was asked for came, or was refused: after a while it may be asked for again. */
  #mayRollAgain(): void {
    this.#requests.withdraw(this.#rolling)
    this.#rolling = 0
  }

  moved(message: MessageOf<'moved'>, out: Effect[]): void {
    if (message.decision !== undefined) this.#learn(message.decision)
    this.#advance(out)
    this.#reach(message.newest, out)
  }

  /** A decided configuration that this client was told of elsewhere: it is walked to epoch by epoch. */
  heard(newest: Configuration, out: Effect[]): void {
    this.#reach(newest, out)
  }

  /** Tells how `of` ended, once that is known; null when no server knows it any more. */
  want(of: Epoch, told: (decision: Decision | null, out: Effect[]) => void, out: Effect[]): void {
    const known = this.#decisions.get(of)
    if (known !== undefined) {
      told(known, out)
      return
    }
    this.#wanted.set(of, [...(this.#wanted.get(of) ?? []), told])
    this.#askChain(of, this.configuration, out)
  }

  #located(message: Message, out: Effect[]): boolean {
    if (message.kind === 'refused') {
      if (message.refusal === 'no-cluster' || message.refusal === 'other-cluster') return false
      this.#locating = 0
      if (this.configuration !== null) return true
      const isNext = this.#createNext
      this.#createNext = false
      if (isNext) {
        this.#locate(true, out)
        return true
      }
      this.#creators.clear()
      const error = refusalError(this.topic, message)
      this.#each(this.#followers, (one) => one.failed(error, out), out)
      return true
    }
    if (message.kind !== 'located') return false
    this.#locating = 0
    this.#servers.learn(message.servers)
    for (const name of message.full) this.#servers.full.note(name, true)
    this.#reach(message.configuration, out)
    return true
  }

  /** A configuration that was decided: begins with it, or walks to it epoch by epoch. */
  #reach(newest: Configuration, out: Effect[]): void {
    this.#servers.learnPast(newest.members)
    const current = this.configuration
    if (current === null) {
      this.configuration = newest
      this.#creators.clear()
      this.#each(this.#followers, (one) => one.begun(newest, out), out)
    } else if (newest.epoch > current.epoch) this.#askChain(current.epoch, newest, out)
  }

  #askChain(from: Epoch, at: Configuration | null, out: Effect[]): void {
    if (this.#chaining !== 0 || at === null) return
    const { topic } = this
    const to = () => {
      const members = at.members.map((member) => this.#servers.addressOf(member))
      return this.#servers.inOrder([...members, ...this.#servers.addresses()])
    }
    const answer = (message: Message, _from: Address, into: Effect[]) => this.#onChain(from, message, into)
    const failed = () => {
      this.#chaining = 0
    }
    this.#chaining = this.#requests.ask(
      { message: { kind: 'chain', topic, epoch: from }, to, answer, failed, retryTicks: 10 },
      out,
    )
  }

  #onChain(from: Epoch, message: Message, out: Effect[]): boolean {
    if (message.kind !== 'decisions') return false
    const gone = message.decisions.length === 0 && from < message.newest.floor
    // A server that does not know how that epoch ended: another one is asked.
    if (message.decisions.length === 0 && !gone) return false
    this.#chaining = 0
    for (const decision of message.decisions) this.#learn(decision)
    this.#advance(out)
    for (const [of, told] of [...this.#wanted]) {
      const decision = this.#decisions.get(of)
      if (decision === undefined && !(gone && of === from)) continue
      this.#wanted.delete(of)
      for (const one of told) one(decision ?? null, out)
    }
    this.#reach(message.newest, out)
    const next = [...this.#wanted.keys()].sort((a, b) => a - b)[0]
    if (next !== undefined) this.#askChain(next, this.configuration, out)
    return true
  }

  /** What one operation throws ends that one; the others hear the same news. */
  #each(followers: Iterable<EpochFollower>, tell: (one: EpochFollower) => void, out: Effect[]): void {
    for (const one of [...followers]) {
      const ends = (error: EpochcastError) => {
        this.#followers.delete(one)
        one.failed(error, out)
      }
      this.#faults.wall(out, () => tell(one), ends)
    }
  }

  #publishersFirst(): EpochFollower[] {
    const all = [...this.#followers]
    return [...all.filter((one) => one.isPublisher), ...all.filter((one) => !one.isPublisher)]
  }

  #learn(decision: Decision): void {
    this.#decisions.set(previousEpoch(decision.next.epoch), decision)
  }

  #advance(out: Effect[]): void {
    for (;;) {
      const current = this.configuration
      const decision = current === null ? undefined : this.#decisions.get(current.epoch)
      if (current === null || decision === undefined) return
      this.configuration = decision.next
      this.known.clear()
      this.#servers.learnPast(decision.next.members)
      this.#each(this.#publishersFirst(), (one) => one.moved(decision, out), out)
      if (this.configuration.epoch !== nextEpoch(current.epoch)) return
    }
  }
}
