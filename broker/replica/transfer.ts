/**
 * State transfer into a next member: the chain of decisions, the bodies of every epoch that is still kept, and those of the
 * closing set. Everything is kept apart (`staged`) until the decision is known. What is here already is not fetched again,
 * whatever attempt it was fetched for.
 *
 * Source: section 4.2 step 4 and section 5.2 ("out-of-band channel, directly from the servers in the current epoch"), section
 * 9.3 (transfer in advance).
 */
import { type Address, type Epoch, nextEpoch, previousEpoch } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { contains, emptySet, type MessageSet, missingCount, union } from '../../proto/message-set.ts'
import type { Batch, MessageOf, Source } from '../../proto/wire/messages.ts'
import { grown } from '../epoch/rivalry.ts'
import type { Host, Limits } from '../host.ts'
import { Following } from './following.ts'
import type { TopicState } from './topic-state.ts'

interface Goal {
  /** The epoch that ends. */
  readonly epoch: Epoch
  /** What must be here of it: the closing set, or what the sources held when they were asked. */
  readonly wanted: MessageSet
  readonly isClosing: boolean
  readonly sources: readonly Source[]
}

interface Request {
  readonly token: number
  /** Which source was asked. */
  readonly source: number
  readonly epoch: Epoch
  readonly what: 'chain' | 'bodies'
  /** Tick of the last sign of its source. */
  heard: number
  batches: number
  /** It sent what does not fit what another source had given. */
  isMismatched: boolean
  /** The disk had no room for a batch of it. */
  isCutShort: boolean
}

export class Transfer {
  readonly #state: TopicState
  readonly #host: Host
  readonly #limits: Limits
  #goal: Goal | null = null
  #request: Request | null = null
  /** Which source is asked; moves on when one is silent or does not hold what is asked. */
  #source = 0
  readonly #following: Following
  /** Which source is read along with. */
  #followed = -1
  /** Epoch in which the sources hold different batches of one publisher. */
  #mixed: Epoch | null = null
  /** Sources that had nothing of what is wanted, in a row. */
  #fruitless = 0
  /** Of what is wanted, and since when it does not get less. */
  #leastMissing = Number.POSITIVE_INFINITY
  #stuckSince = 0
  /** Where the source that was asked last goes on. */
  #resume: { readonly source: number; readonly epoch: Epoch; readonly slot: number } | null = null
  /** Unanswered requests in a row. */
  #failures = 0
  /**
   * What the next pull asks for. At a busy source an answer takes a tenth of a second and more; whoever fetches a little each time
   * never catches up with those who publish.
   */
  #bytes: number
  /** Rings at every tick while there is a goal: sources come and go, and so does room. */
  readonly #working: Timer

  constructor(state: TopicState, host: Host, limits: Limits) {
    this.#state = state
    this.#host = host
    this.#limits = limits
    this.#bytes = limits.pullBytes
    this.#following = new Following(state.topic, limits.pullBytesMax, host.timers)
    this.#working = host.timers.timer('transfer', state.topic, (out) => this.#goOn(out))
  }

  get busy(): boolean {
    return this.#goal !== null
  }

  /** Fetches what is missing for `epoch`'s end; a new goal takes over from the one before. */
  aim(epoch: Epoch, closing: MessageSet | null, sources: readonly Source[], out: Effect[]): void {
    const others = sources.filter((one) => one.member.name !== this.#host.self.name)
    const isAlive = ({ member }: Source) => this.#host.isAlive(member.name)
    others.sort((one, other) => Number(isAlive(other)) - Number(isAlive(one)))
    const wanted = closing ?? union(others.filter(isAlive).map(({ stored }) => stored))
    const isClosing = closing !== null
    const before = this.#goal
    // Asked for again, the same is not looked for in vain again.
    const isSame = before?.epoch === epoch && before.isClosing === isClosing && contains(before.wanted, wanted)
    if (!isSame) this.#newRound()
    this.#goal = { epoch, wanted, isClosing, sources: others }
    if (isClosing && !this.#comesByItself(this.#goal)) this.#following.end()
    this.#working.setIfStopped(1)
    if (closing !== null) this.#state.dropForgeries(epoch, closing)
    if (this.#request === null) this.#next(out)
  }

  #newRound(): void {
    this.#fruitless = 0
    this.#leastMissing = Number.POSITIVE_INFINITY
    this.#stuckSince = this.#host.timers.now
  }

  stop(): void {
    this.#goal = null
    this.#request = null
    this.#working.stop()
    this.#following.end()
  }

  /** Goals of epochs before that one are reached. */
  stopBefore(epoch: Epoch): void {
    if (this.#goal !== null && this.#goal.epoch < epoch) this.stop()
  }

  /** Messages that are still to come, as far as is known; 0 when everything is here. */
  missing(epoch: Epoch, closing: MessageSet | null): number {
    const chain = this.#gap(epoch)
    if (chain !== null) return Number.MAX_SAFE_INTEGER
    let missing = closing === null ? this.#missingNow(epoch) : this.#state.missing(epoch, closing)
    if (closing !== null && missing === 0) {
      this.#state.dropForgeries(epoch, closing)
      missing = this.#state.missing(epoch, closing)
    }
    for (const past of this.#pastEpochs(epoch)) {
      const known = this.#state.decisionOf(past)
      if (known !== undefined) missing += this.#state.missing(past, known.closing)
    }
    return missing
  }

  /** Before there is a closing set: what the sources said they hold, as far as one of them still has it. */
  #missingNow(epoch: Epoch): number {
    const goal = this.#goal
    if (goal === null || goal.epoch !== epoch || goal.sources.length === 0) return 1
    return this.#isExhausted(goal) ? 0 : this.#state.missing(epoch, goal.wanted)
  }

  /** Nobody has what is still wanted: its holder died, or it was never stored as its publisher told. */
  #isExhausted({ isClosing, sources }: Goal): boolean {
    return !isClosing && this.#fruitless >= sources.length
  }

  isOwn(token: number): boolean {
    return (this.#request !== null && token === this.#request.token) || this.#following.isOwn(token)
  }

  batch(token: number, batch: Batch, bytes: Uint8Array, out: Effect[]): void {
    if (this.#following.isOwn(token)) {
      this.#follow(batch, bytes, out)
      return
    }
    if (this.#request === null || batch.epoch !== this.#request.epoch) return
    this.#request.heard = this.#host.timers.now
    this.#failures = 0
    if (!this.#state.stageContinues(batch)) {
      if (!this.#state.dropMismatch(batch)) return
      this.#request.isMismatched = true
      this.#stopMixing(batch.epoch)
      return
    }
    if (this.#state.stage(batch, bytes, out)) this.#request.batches++
    else this.#request.isCutShort = true
  }

  pulled(message: MessageOf<'pulled'>, out: Effect[]): void {
    const request = this.#request
    this.#request = null
    if (request === null) return
    const { pullBytes, pullBytesMax } = this.#limits
    this.#bytes = message.more ? Math.min(this.#bytes * 2, pullBytesMax) : pullBytes
    // What was not taken is asked for again, once there is room.
    if (request.isCutShort) this.#resume = null
    else if (message.more) {
      this.#resume = { source: request.source, epoch: message.epoch, slot: message.resume }
    } else {
      // What does not fit is asked of the same source again, from the beginning.
      // Who gave something is asked for the next epoch too; who had nothing is not.
      if (!request.isMismatched && request.batches === 0) this.#passOver(request.source)
      else this.#fruitless = 0
    }
    // A source that had nothing of what is missing: the next one is asked a tick later, not in a hot circle.
    if (message.more || request.batches > 0 || request.isMismatched) this.#next(out)
  }

  decisions(message: MessageOf<'decisions'>, out: Effect[]): void {
    if (message.decisions.length === 0 && this.#request?.source === this.#source) this.#source++
    this.#request = null
    this.#failures = 0
    for (const decision of message.decisions) {
      const epoch = previousEpoch(decision.next.epoch)
      if (this.#goal === null || epoch >= this.#goal.epoch || this.#state.decisionOf(epoch) !== undefined) continue
      this.#state.record({ kind: 'decided', topic: this.#state.topic, epoch, decision }, out)
    }
    this.#next(out)
  }

  #goOn(out: Effect[]): void {
    if (this.#goal === null) return
    this.#working.set(1)
    if (this.#following.isOf(this.#goal.epoch)) this.#watch(this.#goal)
    const request = this.#request
    const { now } = this.#host.timers
    if (request !== null && now - request.heard > grown(this.#limits.requestTicks, this.#failures)) {
      this.#passOver(request.source)
      this.#request = null
      this.#failures++
    }
    if (this.#request === null) this.#next(out)
  }

  #next(out: Effect[]): void {
    const goal = this.#goal
    if (goal === null || goal.sources.length === 0) return
    const gap = this.#gap(goal.epoch)
    if (gap !== null) {
      this.#ask('chain', gap, undefined, goal, out)
      return
    }
    // No body would be taken: asked for at a tick that finds room.
    if (this.#host.room.full) return
    for (const past of this.#pastEpochs(goal.epoch)) {
      const closing = this.#state.decisionOf(past)?.closing
      if (closing === undefined || this.#state.missing(past, closing) === 0) continue
      this.#state.dropForgeries(past, closing)
      this.#ask('bodies', past, closing, goal, out)
      return
    }
    if (!goal.isClosing) this.#beginFollowing(goal, out)
    if (this.#isExhausted(goal) || this.#comesByItself(goal)) return
    this.#chooseHolder(goal)
    this.#ask('bodies', goal.epoch, goal.wanted, goal, out)
  }

  // Reading along.

  #beginFollowing(goal: Goal, out: Effect[]): void {
    if (this.#following.isOf(goal.epoch) || this.#mixed === goal.epoch) return
    if (this.#state.missing(goal.epoch, goal.wanted) > 0) this.#chooseHolder(goal)
    const source = goal.sources[this.#source % goal.sources.length]
    if (source === undefined) return
    this.#followed = this.#source
    const { name } = source.member
    const since = this.#state.present(goal.epoch)
    const to = this.#host.addressOf(source.member)
    this.#following.begin(goal.epoch, name, to, this.#host.nextToken(), since, out)
  }

  #follow(batch: Batch, bytes: Uint8Array, out: Effect[]): void {
    if (batch.epoch !== this.#following.epoch) return
    this.#failures = 0
    this.#following.received(batch.body.length, out)
    if (this.#state.stageContinues(batch)) {
      // Without room, reading along begins anew behind what is here once there is some.
      if (!this.#state.stage(batch, bytes, out)) this.#following.end()
    } else if (this.#state.dropMismatch(batch)) this.#stopMixing(batch.epoch)
    // One before it was lost: it begins anew behind what is here.
    else if (this.#state.stageSkips(batch)) this.#following.end()
  }

  /** Two sources hold different batches under the same numbers: from now on one is asked at a time. */
  #stopMixing(epoch: Epoch): void {
    this.#mixed = epoch
    this.#following.end()
  }

  /** A connection broke: whoever was behind it has forgotten who reads along. */
  peerDown(address: Address): void {
    this.#following.peerDown(address)
  }

  /** Whether nothing is missing but what the member that is followed said that it holds. */
  #comesByItself({ epoch, wanted, sources }: Goal): boolean {
    const isFollowing = this.#following.isOf(epoch)
    const source = sources.find(({ member }) => isFollowing && member.name === this.#following.source)
    const coming = source?.stored ?? emptySet
    return missingCount(wanted, union([this.#state.present(epoch), coming])) === 0
  }

  /** One that does not bring what is wanted: another one is followed, or asked. */
  #watch(goal: Goal): void {
    const missing = this.#state.missing(goal.epoch, goal.wanted)
    const { now } = this.#host.timers
    if (missing < this.#leastMissing) {
      this.#leastMissing = missing
      this.#stuckSince = now
      this.#fruitless = 0
    }
    const { resendTicks, requestTicks, stageTicks } = this.#limits
    const isSilent = this.#following.silentTicks > (goal.isClosing ? resendTicks : requestTicks)
    if (missing === 0 || (!isSilent && now - this.#stuckSince <= stageTicks)) return
    this.#stuckSince = now
    this.#following.end()
    this.#passOver(this.#followed)
  }

  /**
   * A source brought nothing of what is wanted: the next one is asked. One that is read along with and asked at the same time fails
   * twice, and counts once: else of two sources the one that is gone would be asked for ever.
   */
  #passOver(source: number): void {
    if (source !== this.#source) return
    this.#source++
    this.#fruitless++
  }

  #ask(what: Request['what'], epoch: Epoch, until: MessageSet | undefined, goal: Goal, out: Effect[]): void {
    const source = goal.sources[this.#source % goal.sources.length]
    if (source === undefined) return
    const token = this.#host.nextToken()
    const to = this.#host.addressOf(source.member)
    const { topic } = this.#state
    const none = { heard: this.#host.timers.now, batches: 0, isMismatched: false, isCutShort: false }
    this.#request = { token, source: this.#source, epoch, what, ...none }
    if (what === 'chain') {
      send(out, to, { kind: 'chain', topic, epoch }, token)
      return
    }
    const since = this.#state.present(epoch)
    const bytesMax = this.#bytes
    const goesOn = this.#resume?.source === this.#source && this.#resume.epoch === epoch
    const resume = goesOn ? (this.#resume?.slot ?? 0) : 0
    send(out, to, { kind: 'pull', topic, epoch, since, ...(until && { until }), bytesMax, resume }, token)
  }

  /** A source that reported something of what is missing, unless the last ones did not answer. */
  #chooseHolder(goal: Goal): void {
    if (this.#failures > 0) return
    const present = this.#state.present(goal.epoch)
    const { sources } = goal
    for (let turn = 0; turn < sources.length; turn++) {
      const source = sources[(this.#source + turn) % sources.length]
      if (source === undefined || contains(present, source.stored)) continue
      this.#source += turn
      return
    }
  }

  /** First epoch whose decision is not known, among those that must be before the goal's epoch can end. */
  #gap(of: Epoch): Epoch | null {
    const before = previousEpoch(of)
    if (this.#state.decisionOf(before) === undefined) return this.#firstUnknown(before)
    for (const past of this.#pastEpochs(of)) if (this.#state.decisionOf(past) === undefined) return past
    return null
  }

  #firstUnknown(upTo: Epoch): Epoch {
    let unknown = upTo
    while (unknown > 0 && this.#state.decisionOf(previousEpoch(unknown)) === undefined) unknown = previousEpoch(unknown)
    return unknown
  }

  *#pastEpochs(of: Epoch): Iterable<Epoch> {
    const floor = this.#state.configurationOf(of)?.floor
    if (floor === undefined) return
    for (let past = floor; past < of; past = nextEpoch(past)) yield past
  }
}
