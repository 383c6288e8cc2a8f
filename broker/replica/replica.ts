/**
 * One topic on one server: the right column of Figures 4 to 6. Decides who handles a message and what is refused; the work is
 * done by its parts: intake (Add), gets and feeds (Get), repair, transfer, and the two sides of an epoch change.
 */
import type { Configuration, Decision } from '../../proto/configuration.ts'
import { isMember } from '../../proto/configuration.ts'
import { unreachable } from '../../proto/errors.ts'
import {
  type Address,
  type Epoch,
  isSystemPublisher,
  nextEpoch,
  previousEpoch,
  type ServerName,
  sequencerPublisher,
  type TopicName,
} from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { Frame } from '../../proto/wire/codec.ts'
import type { EpochBound, MessageOf, MessageTo, Refusal } from '../../proto/wire/messages.ts'
import { Closing } from '../epoch/closing.ts'
import { Opening } from '../epoch/opening.ts'
import type { Host, Limits } from '../host.ts'
import { Policy } from '../membership/policy.ts'
import { Sequencer } from '../services/sequencer.ts'
import { Succession, type Watched } from '../services/succession.ts'
import { answerChain, describeCondition } from './answers.ts'
import { CatchUp } from './catch-up.ts'
import { Feeds } from './feeds.ts'
import { Gets } from './gets.ts'
import { Intake } from './intake.ts'
import { Noting } from './noting.ts'
import { isEpochBound, judge, type ReplicaPhase } from './outcomes.ts'
import { Pulls } from './pulls.ts'
import { Repair } from './repair.ts'
import { Rolling } from './rolling.ts'
import { TopicState } from './topic-state.ts'
import { Transfer } from './transfer.ts'

const waitingMax = 10_000

export class Replica {
  readonly state: TopicState
  readonly #host: Host
  readonly #touch: () => void
  readonly #intake: Intake
  readonly #feeds: Feeds
  readonly #repair: Repair
  readonly #gets: Gets
  readonly #pulls: Pulls
  readonly #transfer: Transfer
  readonly #opening: Opening
  readonly #closing: Closing
  readonly #catchUp: CatchUp
  /** Clients that came before the epoch was opened here. */
  readonly #waiting = new Set<Address>()
  readonly #rolling: Rolling
  readonly #succession: Succession
  readonly #policy: Policy
  readonly #noting: Noting
  readonly #timers: readonly Timer[]
  /** The epoch that took stores here at the end of the last turn. */
  #servingBefore: Configuration | null = null

  /** @param touch sees to it that `settle` is called at the end of this turn */
  constructor(topic: TopicName, shared: Host, limits: Limits, touch: (replica: Replica) => void) {
    const all: Timer[] = []
    this.#timers = all
    // A timer that rings changes this topic as a message does.
    const timer: Host['timers']['timer'] = (name, key, ring) => {
      const touching = (out: Effect[]) => {
        touch(this)
        ring(out)
      }
      const made = shared.timers.timer(name, key, touching)
      all.push(made)
      return made
    }
    const timers = {
      timer,
      get now() {
        return shared.timers.now
      },
    }
    const host: Host = { ...shared, timers }
    this.#touch = () => touch(this)
    this.state = new TopicState(topic, host.self.name, host.room)
    this.#host = host
    this.#intake = new Intake(this.state, limits, host.sync)
    this.#feeds = new Feeds(this.state, host.audience, timers, limits.clientTicks)
    this.#repair = new Repair(this.state, this.#intake, host, limits)
    this.#gets = new Gets(this.state, this.#repair, timers)
    this.#pulls = new Pulls(this.state, host.outlets, limits.pullBytesMax, timers)
    this.#transfer = new Transfer(this.state, host, limits)
    const onOpened = (out: Effect[]) => this.#onOpened(out)
    const askForEnd = (of: Epoch, out: Effect[]) => this.#askForEnd(of, out)
    this.#opening = new Opening(this.state, this.#transfer, host, limits, onOpened, askForEnd)
    this.#rolling = new Rolling(topic, host, limits, () => (this.#intake.crowded ? this.serving : null))
    this.#succession = new Succession(topic, host, limits, () => this.#sequenced)
    this.#policy = new Policy(topic, host, limits, () => this.serving)
    this.#noting = new Noting(topic, host, limits, () => this.#open)
    this.#closing = new Closing(this.state, host, limits)
    this.#catchUp = new CatchUp(this.state, host, limits, (decision, out) => this.learn(decision, out))
  }

  get phase(): ReplicaPhase {
    const { opened } = this.state
    if (opened === null) return 'absent'
    if (this.state.decisionOf(opened.configuration.epoch) !== undefined) return 'closed'
    return opened.wedgedFor === null ? 'open' : 'wedged'
  }

  /** Whether bodies are being fetched for the beginning of an epoch. */
  get isStaging(): boolean {
    return this.#opening.staging
  }

  /** The configuration of the epoch that takes stores here, if there is one. */
  get serving(): Configuration | null {
    const { opened, newest } = this.state
    if (this.phase !== 'open' || opened === null) return null
    return newest !== null && newest.epoch > opened.configuration.epoch ? null : opened.configuration
  }

  /** The configuration of the epoch that is opened here and not closed, as far as is known here. */
  get #open(): Configuration | null {
    return this.phase === 'open' || this.phase === 'wedged' ? (this.state.opened?.configuration ?? null) : null
  }

  /** The epoch that takes stores here, where it has a sequencer. */
  get #sequenced(): Watched | null {
    const { serving } = this
    const { opened } = this.state
    if (serving?.sequencer === undefined || opened === null) return null
    return { serving, holdings: opened.holdings, sequencer: this.#intake.sequencer }
  }

  take(from: Address, frame: Frame<MessageTo<'member'>>, out: Effect[]): void {
    const { message } = frame
    if (message.kind === 'batch') this.#onBatch(from, frame, message, out)
    else if (!this.#admits(from, frame.envelope.token, message, out)) return
    else if (isEpochBound(message)) this.#onEpochBound(from, frame, message, out)
    else this.#onAnyEpoch(from, frame, message, out)
  }

  /** Messages that name an epoch of their own. */
  #onAnyEpoch(from: Address, frame: Frame, message: Exclude<MessageTo<'member'>, EpochBound>, out: Effect[]): void {
    switch (message.kind) {
      case 'pull':
        return this.#onPull(from, frame, message, out)
      case 'pulled':
        return this.#onPulled(from, frame.envelope.token, message, out)
      case 'chain':
        return send(out, from, answerChain(this.state, message.epoch), frame.envelope.token)
      case 'decisions':
        if (this.#transfer.isOwn(frame.envelope.token)) this.#transfer.decisions(message, out)
        else this.#catchUp.decisions(frame.envelope.token, message, out)
        return this.#releaseSpent()
      case 'moved':
        this.#catchUp.moved(from, message, out)
        return this.#releaseSpent()
      case 'inquire':
        return this.#onInquire(from, frame.envelope.token, message.epoch, out)
      case 'preload':
        return this.#onStage(from, frame.envelope.token, message, out)
      case 'stage':
        return this.#onStage(from, frame.envelope.token, message, out)
      case 'start':
        return this.#onStart(from, frame.envelope.from as ServerName, message, out)
      case 'decided':
        this.#opening.expect(from, message.epoch, out)
        this.#tellEnabled(from, frame.envelope.token, message.epoch, out)
        return this.learn(message.decision, out)
      case 'started':
        return this.#closing.started(frame.envelope.from as ServerName, message.epoch)
      case 'enabled':
        return this.#onEnabled(from, message, out)
      case 'working':
        return this.#onWorking(from, frame.envelope.token, message.epoch, out)
      default:
        return unreachable(message)
    }
  }

  #onInquire(from: Address, token: number, epoch: Epoch, out: Effect[]): void {
    send(out, from, describeCondition(this.state, this.phase, this.#opening.upcoming, epoch, this.#timersSet()), token)
  }

  #timersSet(): MessageOf<'condition'>['timers'] {
    const set = this.#timers.filter(({ isSet }) => isSet).sort((one, other) => one.due - other.due)
    return set.map(({ name, ticksLeft }) => ({ name, ticks: Math.max(0, ticksLeft) }))
  }

  /** The decision that closed an epoch, from somebody who knows that it was made. */
  learn(decision: Decision, out: Effect[]): void {
    this.#touch()
    const closed = previousEpoch(decision.next.epoch)
    const { topic, opened } = this.state
    const isNamed = isMember(decision.next, this.#host.self.name)
    const concerned = opened?.configuration.epoch === closed || isNamed || this.#opening.awaits(closed)
    if (!concerned) return
    const awaited = this.#opening.awaits(closed)
    if (this.state.decisionOf(closed) === undefined) {
      // Those who publish here need not wait for this disk: what is decided is on those that decided it.
      if (opened?.configuration.epoch === closed) this.#tellMoved(decision, out)
      this.state.record({ kind: 'decided', topic, epoch: closed, decision }, out)
    } else this.state.confirm(closed, decision)
    if (awaited && !isNamed) this.#opening.forget(closed)
    this.#opening.decided(decision, out)
    this.#releaseSpent()
  }

  /** Somebody who knows told of a decided configuration. */
  hear(newest: Configuration, out: Effect[]): void {
    this.#touch()
    this.#catchUp.hear(newest, out)
    this.#releaseSpent()
  }

  peerDown(address: Address): void {
    this.#feeds.forget(address)
    this.#pulls.forget(address)
    this.#transfer.peerDown(address)
    this.#closing.peerDown(address)
  }

  /** A client that reads here is gone. */
  listenerGone(address: Address): void {
    this.#feeds.forget(address)
  }

  /** A server has fallen silent, or answers again. */
  serversChanged(): void {
    this.#policy.look(this.serving)
    const sequenced = this.#sequenced
    if (sequenced !== null) this.#succession.serversChanged(sequenced)
    this.#repair.changed()
  }

  /** An answer to what this server's sequencer stored. */
  answered(from: ServerName, message: MessageTo<'sequencer'>, out: Effect[]): void {
    const { sequencer } = this.#intake
    if (message.kind === 'opened') sequencer?.opened(from, message, out)
    else sequencer?.answered(from, message, out)
    // There may be room for a record again.
    if (this.phase === 'open') sequencer?.settle(out)
  }

  /** The end of a turn in which something happened here: what is said once in a turn, and the timers that follow from the state. */
  settle(out: Effect[]): void {
    this.#pulls.settle(out)
    this.#opening.settle(out)
    const { phase } = this
    if (phase === 'open') this.#intake.sequencer?.settle(out)
    if (phase === 'closed') this.#intake.sequencer?.end()
    const { changed } = this.#intake
    this.#feeds.settle(changed, out)
    if (changed.size > 0) {
      this.#gets.settle(out)
      this.#repair.changed()
      if (this.state.opened?.configuration.sequencer !== undefined) this.#succession.settle()
    }
    this.#intake.settle(out)
    this.#closing.settle(phase)
    this.#catchUp.settle()
    this.#settleServing()
  }

  #settleServing(): void {
    const { serving } = this
    const open = this.#open
    if (open !== null) this.#noting.settle(open.epoch)
    if (serving !== null && this.#intake.crowded) this.#rolling.settle()
    if (serving === this.#servingBefore) return
    this.#servingBefore = serving
    this.serversChanged()
  }

  #onBatch(from: Address, frame: Frame, message: MessageOf<'batch'>, out: Effect[]): void {
    const { token } = frame.envelope
    if (token !== 0) {
      if (this.#transfer.isOwn(token)) this.#transfer.batch(token, message, frame.bytes, out)
      else if (this.#repair.isOwn(token) && this.#current(message.epoch) && this.phase === 'open') {
        this.#repair.batch(message, frame.bytes, out)
      } else this.#host.drops.note('phase', 'batch')
      return
    }
    if (!this.#admits(from, token, message, out)) return
    if (isSystemPublisher(message.publisher) && !this.#isSequencer(from, message)) {
      this.#refuse(from, token, message.epoch, 'bad-batch', `publisher ${message.publisher} is the sequencer's`, out)
      return
    }
    const verdict = this.#intake.add(from, message, frame.bytes, out)
    if (verdict === 'stored' || verdict === 'repeated' || verdict === 'early') return
    this.#refuse(from, token, message.epoch, verdict, `publisher ${message.publisher}`, out)
  }

  /** Only the sequencer's server stores under its id. */
  #isSequencer(from: Address, { publisher }: MessageOf<'batch'>): boolean {
    const { sequencer, members } = this.state.opened?.configuration ?? {}
    const member = members?.find(({ name }) => name === sequencer)
    return publisher === sequencerPublisher && member !== undefined && this.#host.addressOf(member) === from
  }

  #onEpochBound(from: Address, frame: Frame, message: Exclude<EpochBound, { kind: 'batch' }>, out: Effect[]): void {
    const { token } = frame.envelope
    const { opened } = this.state
    if (opened === null) return
    switch (message.kind) {
      case 'subscribe':
        return this.#feeds.subscribe(from, token, message, opened.holdings, out)
      case 'credit':
        return this.#feeds.credit(from, token, message)
      case 'unsubscribe':
        return this.#feeds.unsubscribe(from, token)
      case 'ask-room': {
        const { topic, epoch } = message
        return send(out, from, { kind: 'room', topic, epoch, isThere: !this.#host.room.full }, token)
      }
      case 'collect':
        return this.#gets.collect(from, token, message, out)
      case 'complete':
        return this.#gets.complete(from, token, message, out)
      case 'report':
        return this.#repair.report(from, frame.envelope.from as ServerName, message, out)
      case 'wedge':
        this.#gets.clear()
        return this.#closing.wedge(opened, from, token, message, out)
      case 'accept':
        return this.#closing.accept(opened, from, token, message, out)
      default:
        return unreachable(message)
    }
  }

  /** Whether a message is handled in this phase; else it is refused by name. */
  #admits(from: Address, token: number, message: MessageTo<'member'>, out: Effect[]): boolean {
    const current = this.state.opened?.configuration.epoch ?? 0
    const of = message.epoch
    // A member that is ahead of this server knows how its epoch ended.
    if (message.kind === 'report' && of > current) this.#catchUp.ask(from, out)
    if (message.kind === 'wedge' && of > current) this.#catchUp.isWaitedFor(from, of, out)
    const outcome = judge(message, this.phase, current, this.state.newest?.epoch ?? 0)
    switch (outcome) {
      case 'handle':
        return true
      case 'wedged':
        this.#refuse(from, token, of, 'wedged', 'the epoch is being ended', out)
        return false
      case 'moved':
        this.#moved(from, token, of, out)
        return false
      case 'not-yet':
        if (this.#waiting.size < waitingMax) this.#waiting.add(from)
        this.#refuse(from, token, of, 'not-yet', 'the epoch has not begun here', out)
        return false
      case 'drop':
        this.#host.drops.note('phase', message.kind)
        return false
      default:
        return unreachable(outcome)
    }
  }

  #onPull(from: Address, frame: Frame, message: MessageOf<'pull'>, out: Effect[]): void {
    const { token } = frame.envelope
    const isServer = frame.envelope.from.includes('@')
    // A retired server serves state transfer; clients are sent on to the members that have taken over.
    if (!isServer && this.#current(message.epoch) && this.phase === 'closed')
      this.#moved(from, token, message.epoch, out)
    else this.#pulls.ask(from, token, message)
  }

  #onPulled(from: Address, token: number, message: MessageOf<'pulled'>, out: Effect[]): void {
    if (this.#transfer.isOwn(token)) this.#transfer.pulled(message, out)
    else if (this.#repair.isOwn(token)) this.#repair.pulled(from, message, out)
  }

  #askForEnd(staged: Epoch, out: Effect[]): void {
    // This process may have fetched nothing itself: what the one before it promised names the epoch alone.
    const old = this.state.configurationOf(staged)
    const { newest } = this.state
    const later = newest !== null && newest.epoch > staged ? newest.members : []
    const known = [...(old?.members ?? []), ...later].filter(({ name }) => name !== this.#host.self.name)
    const member = known[this.#host.random.below(Math.max(1, known.length))]
    if (member !== undefined) this.#catchUp.ask(this.#host.addressOf(member), out, staged)
    // Members of both epochs may be gone for good: the arbiters know the newest one, an engine how this one ended.
    this.#host.askNewest(this.state.topic, (found, into) => this.hear(found, into), out)
    if (old !== undefined) this.#host.askDecider(old, (decision, into) => this.learn(decision, into), out)
  }

  #onStage(from: Address, token: number, message: MessageOf<'stage'> | MessageOf<'preload'>, out: Effect[]): void {
    const decision = this.state.decisionOf(message.epoch)
    const opened = this.state.opened?.configuration.epoch ?? 0
    if (decision !== undefined || opened > message.epoch) this.#moved(from, token, message.epoch, out)
    else if (message.kind === 'preload') this.#opening.preload(from, token, message, out)
    else {
      this.#closing.working(from)
      this.#opening.stage(from, token, message, out)
    }
  }

  /** A coordinator that waits for its next members alone hears of nobody else that the epoch is over. */
  #onWorking(from: Address, token: number, epoch: Epoch, out: Effect[]): void {
    if (this.state.decisionOf(epoch) === undefined) this.#closing.working(from)
    else this.#moved(from, token, epoch, out)
  }

  #onStart(from: Address, name: ServerName, message: MessageOf<'start'>, out: Effect[]): void {
    this.#opening.expect(from, message.epoch, out)
    const decision = this.#opening.vote(name, message)
    if (decision !== null) this.learn(decision, out)
  }

  #onEnabled(from: Address, message: MessageOf<'enabled'>, out: Effect[]): void {
    const opened = this.state.opened?.configuration
    this.state.noteEnabled(message.epoch)
    // The opened epoch is over, and its decision has not been heard here.
    const isOver = opened !== undefined && message.epoch > opened.epoch
    if (isOver && this.state.decisionOf(opened.epoch) === undefined) this.#catchUp.ask(from, out)
    this.#releaseSpent()
  }

  /** Forgets bodies that nothing depends on any more; that their epochs are closed, and by which decisions, stays known. */
  #releaseSpent(): void {
    if (this.state.isSpent && !this.#opening.isHolding) this.state.release()
  }

  /** Whoever still works for the beginning of the epoch after `closed` need not: a later one is enabled. */
  #tellEnabled(to: Address, token: number, closed: Epoch, out: Effect[]): void {
    const { topic, enabledEpoch } = this.state
    if (enabledEpoch > nextEpoch(closed)) send(out, to, { kind: 'enabled', topic, epoch: enabledEpoch }, token)
  }

  #onOpened(out: Effect[]): void {
    this.#intake.reset()
    this.#repair.reset()
    this.#closing.reset()
    this.#gets.clear()
    this.#feeds.clear()
    const { opened, topic } = this.state
    const { configuration } = opened ?? {}
    this.#intake.sequencer?.end()
    const isSequencer = configuration?.sequencer === this.#host.self.name
    this.#intake.sequencer =
      isSequencer && configuration ? new Sequencer(configuration, this.#host.addressOf, this.#host.timers) : null
    if (opened === null || this.#waiting.size === 0) return
    send(out, [...this.#waiting], { kind: 'opened', topic, epoch: opened.configuration.epoch })
    this.#waiting.clear()
  }

  /** Everybody who publishes or reads here is told at once, without having to ask. */
  #tellMoved(decision: Decision, out: Effect[]): void {
    const attached = this.#feeds.addresses()
    for (const address of this.#intake.publishers.values()) attached.add(address)
    const { topic } = this.state
    const epoch = previousEpoch(decision.next.epoch)
    this.#feeds.clear()
    if (attached.size > 0) send(out, [...attached], { kind: 'moved', topic, epoch, decision, newest: decision.next })
  }

  #moved(from: Address, token: number, epoch: Epoch, out: Effect[]): void {
    const { topic, newest } = this.state
    if (newest === null) return
    const decision = this.state.decisionOf(epoch)
    send(out, from, { kind: 'moved', topic, epoch, ...(decision && { decision }), newest }, token)
  }

  #refuse(to: Address, token: number, epoch: Epoch, refusal: Refusal, detail: string, out: Effect[]): void {
    send(out, to, { kind: 'refused', topic: this.state.topic, epoch, refusal, detail }, token)
  }

  #current(epoch: Epoch): boolean {
    return this.state.opened?.configuration.epoch === epoch
  }
}
