/**
 * The built-in decision engine, seen from a server that proposes: the Synod over the cluster's arbiters. Phase 1 runs while
 * the change is planned, so deciding takes one round trip.
 *
 * Source: section 4.2 step 3 ("the consensus engine could be ... Paxos among replicated state machines"), section 5.3.
 */
import { type Configuration, type Decision, type Member, majority } from '../../proto/configuration.ts'
import { beforeFirst, type Epoch, type ServerName, serverIdOf, type TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { Stake } from '../../proto/stake.ts'
import { sameStake } from '../../proto/stake.ts'
import type { Message, MessageOf, MessageTo } from '../../proto/wire/messages.ts'
import { type AcceptedProposal, highestProposal } from '../epoch/acceptor.ts'
import { Rivalry } from '../epoch/rivalry.ts'
import type { Host, Limits } from '../host.ts'
import type { DecisionEngine, Proposal, ProposalListener, QuestionPorts, Registry, TopicPage } from './engine.ts'

/** What arbiters answer. */
export type ArbiterAnswer = MessageTo<'proposer'>

/** Something asked of the arbiters that ends when enough of them answered. */
interface Question {
  take(from: ServerName, answer: ArbiterAnswer, out: Effect[]): void
  /** Too few arbiters are alive to answer. */
  bereft?(out: Effect[]): void
}

const questionsMax = 10_000
/** Ticks after which a question ends where too few arbiters are alive to answer it. */
const hopelessTicks = 100

export class Arbiters implements DecisionEngine, Registry {
  readonly #host: Host
  readonly #limits: Limits
  readonly #members: () => readonly Member[]
  readonly #questions = new Map<number, Question>()
  /** Of all proposals of this process: no two of its attempts ever have one stake, whatever they are about. */
  #round = 0

  constructor(host: Host, limits: Limits, members: () => readonly Member[]) {
    this.#host = host
    this.#limits = limits
    this.#members = members
  }

  open(topic: TopicName, epoch: Epoch, listener: ProposalListener, out: Effect[]): Proposal {
    const token = this.#host.nextToken()
    const ask = (message: Message, into: Effect[]) => this.#ask(token, message, into)
    const stop = () => this.#questions.delete(token)
    const quorum = majority(this.#members().length)
    const nextRound = (above: number) => {
      this.#round = Math.max(this.#round, above) + 1
      return this.#round
    }
    const missing = () => this.missing
    const ports = { ask, stop, missing }
    const proposal = new SynodProposal(topic, epoch, listener, this.#host, this.#limits, quorum, nextRound, ports)
    this.#questions.set(token, proposal)
    proposal.prepare(out)
    return proposal
  }

  note(configuration: Configuration, done: (out: Effect[]) => void, out: Effect[]): void {
    const { topic, epoch } = configuration
    const ports = { found: (_answers: readonly ArbiterAnswer[], into: Effect[]) => done(into), unanswered: () => {} }
    this.#poll({ kind: 'note', topic, epoch, configuration }, ports, out)
  }

  lookup(topic: TopicName, ports: QuestionPorts<Configuration | null>, out: Effect[]): void {
    const found = (answers: readonly ArbiterAnswer[], into: Effect[]) => {
      const all = answers.flatMap((answer) => (answer.kind === 'found' && answer.configuration) || [])
      ports.found(newestOf(all), into)
    }
    this.#poll({ kind: 'lookup', topic, epoch: beforeFirst }, { ...ports, found }, out)
  }

  list(after: string, prefix: string, ports: QuestionPorts<TopicPage>, out: Effect[]): void {
    const found = (answers: readonly ArbiterAnswer[], into: Effect[]) => ports.found(mergePages(answers), into)
    this.#poll({ kind: 'list-noted', after, ...(prefix !== '' && { prefix }) }, { ...ports, found }, out)
  }

  /** Which arbiters are missing, for people; null where enough of them are alive. */
  get missing(): string | null {
    return this.#hasMajority()
      ? null
      : this.#missingText(this.#members().filter(({ name }) => this.#host.isAlive(name)))
  }

  take(from: ServerName, token: number, answer: ArbiterAnswer, out: Effect[]): void {
    if (this.#members().some((member) => member.name === from)) this.#questions.get(token)?.take(from, answer, out)
  }

  /** A server came to count as alive, or as dead. */
  aliveChanged(out: Effect[]): void {
    if (this.#questions.size === 0 || this.#hasMajority()) return
    for (const question of [...this.#questions.values()]) question.bereft?.(out)
  }

  #poll(message: Message, ports: QuestionPorts<readonly ArbiterAnswer[]>, out: Effect[]): void {
    if (this.#questions.size >= questionsMax) {
      ports.unanswered('too many questions wait for the arbiters', out)
      return
    }
    const token = this.#host.nextToken()
    const answering = (names: ReadonlyMap<ServerName, unknown>) => this.#members().filter(({ name }) => names.has(name))
    const poll = new Poll(String(token), ports, this.#host, this.#limits, {
      ask: (into) => this.#ask(token, message, into),
      stop: () => this.#questions.delete(token),
      quorum: () => majority(this.#members().length),
      isBereft: () => !this.#hasMajority(),
      missing: (answers) => this.#missingText(answering(answers)),
    })
    this.#questions.set(token, poll)
    poll.begin(out)
  }

  #hasMajority(): boolean {
    const arbiters = this.#members()
    return arbiters.filter(({ name }) => this.#host.isAlive(name)).length >= majority(arbiters.length)
  }

  #missingText(answering: readonly Member[]): string {
    const arbiters = this.#members()
    const missing = arbiters.filter(({ name }) => !answering.some((one) => one.name === name))
    const names = missing.map(({ name, address }) => {
      // Another storage under the same id is another server, which promised nothing and is no arbiter.
      const isLost = this.#host.alive().some((one) => one.name !== name && serverIdOf(one.name) === serverIdOf(name))
      return `${serverIdOf(name)} (${address}${isLost ? ', came back without its disk' : ''})`
    })
    return (
      `${answering.length} of ${arbiters.length} arbiters answer, and it takes ${majority(arbiters.length)}; ` +
      `missing: ${names.join(', ')}`
    )
  }

  #ask(token: number, message: Message, out: Effect[]): void {
    const to = this.#members().map((member) => this.#host.addressOf(member))
    send(out, to, message, token)
  }
}

/** What a poll needs of its owner. */
interface PollNeeds {
  /** Sends to all arbiters. */
  ask(out: Effect[]): void
  /** No answer is wanted any more. */
  stop(): void
  quorum(): number
  /** Too few arbiters are alive. */
  isBereft(): boolean
  missing(answers: ReadonlyMap<ServerName, ArbiterAnswer>): string
}

/** One question to all arbiters, asked again until a majority has answered. */
class Poll implements Question {
  readonly #ports: QuestionPorts<readonly ArbiterAnswer[]>
  readonly #host: Host
  readonly #limits: Limits
  readonly #needs: PollNeeds
  readonly #answers = new Map<ServerName, ArbiterAnswer>()
  readonly #again: Timer
  readonly #patience: Timer
  readonly #since: number
  /** It has waited for so long that it ends as soon as too few arbiters are alive. */
  #isLate = false

  constructor(
    key: string,
    ports: QuestionPorts<readonly ArbiterAnswer[]>,
    host: Host,
    limits: Limits,
    needs: PollNeeds,
  ) {
    this.#ports = ports
    this.#host = host
    this.#limits = limits
    this.#needs = needs
    this.#since = host.timers.now
    this.#again = host.timers.timer('poll-again', key, (out) => this.#ask(out))
    this.#patience = host.timers.timer('poll-patience', key, (out) => this.#late(out))
  }

  begin(out: Effect[]): void {
    this.#patience.set(Math.min(hopelessTicks, this.#limits.planTicks))
    this.#ask(out)
  }

  take(from: ServerName, answer: ArbiterAnswer, out: Effect[]): void {
    this.#answers.set(from, answer)
    if (this.#answers.size < this.#needs.quorum()) return
    this.#stop()
    this.#ports.found([...this.#answers.values()], out)
  }

  bereft(out: Effect[]): void {
    if (!this.#isLate) return
    this.#stop()
    this.#ports.unanswered(this.#needs.missing(this.#answers), out)
  }

  #ask(out: Effect[]): void {
    this.#again.set(this.#limits.resendTicks * 4)
    this.#needs.ask(out)
  }

  #late(out: Effect[]): void {
    this.#isLate = true
    const ticksLeft = this.#since + this.#limits.planTicks - this.#host.timers.now
    if (ticksLeft <= 0 || this.#needs.isBereft()) this.bereft(out)
    else this.#patience.set(ticksLeft)
  }

  #stop(): void {
    this.#again.stop()
    this.#patience.stop()
    this.#needs.stop()
  }
}

/** What a proposal needs of its owner. */
interface ProposalPorts {
  /** Sends to all arbiters. */
  ask(message: Message, out: Effect[]): void
  /** No answer is wanted any more. */
  stop(): void
  missing(): string | null
}

/** One proposer's rounds over one register. */
class SynodProposal implements Proposal, Question {
  readonly #topic: TopicName
  readonly #epoch: Epoch
  readonly #listener: ProposalListener
  readonly #host: Host
  readonly #limits: Limits
  readonly #quorum: number
  readonly #nextRound: (above: number) => number
  readonly #ports: ProposalPorts
  #round = 0
  #phase: 'preparing' | 'prepared' | 'accepting' = 'preparing'
  #stake: Stake
  #value: Decision | null = null
  #proposed: Decision | null = null
  #told = false
  readonly #promises = new Map<ServerName, AcceptedProposal | null>()
  readonly #accepts = new Set<ServerName>()
  /** Repeats the present step; or begins the next round, after a rival was ahead. */
  readonly #again: Timer
  #isPausing = false
  #isOver = false
  /** Too few arbiters answer, perhaps. */
  readonly #silence: Timer
  readonly #rivalry: Rivalry

  constructor(
    topic: TopicName,
    epoch: Epoch,
    listener: ProposalListener,
    host: Host,
    limits: Limits,
    quorum: number,
    nextRound: (above: number) => number,
    ports: ProposalPorts,
  ) {
    this.#topic = topic
    this.#epoch = epoch
    this.#listener = listener
    this.#host = host
    this.#limits = limits
    this.#quorum = quorum
    this.#nextRound = nextRound
    this.#ports = ports
    this.#rivalry = new Rivalry(host.random, limits.resendTicks * 2)
    this.#again = host.timers.timer('proposal-again', topic, (out) => this.#goOn(out))
    this.#silence = host.timers.timer('proposal-silence', topic, (out) => this.#waiting(out))
    this.#stake = this.#nextStake()
  }

  prepare(out: Effect[]): void {
    this.#phase = 'preparing'
    this.#promises.clear()
    this.#accepts.clear()
    this.#repeat(out)
  }

  propose(decision: Decision, out: Effect[]): void {
    this.#value = decision
    if (this.#phase === 'prepared') this.#accept(out)
  }

  cancel(): void {
    this.#isOver = true
    this.#again.stop()
    this.#silence.stop()
    this.#ports.stop()
  }

  take(from: ServerName, answer: ArbiterAnswer, out: Effect[]): void {
    switch (answer.kind) {
      case 'arbiter-promised':
        return this.#onPromised(from, answer, out)
      case 'arbiter-accepted':
        return this.#onAccepted(from, answer, out)
      case 'arbiter-outranked':
        if (answer.promised.round < this.#round || this.#isPausing) return
        this.#round = answer.promised.round
        this.#isPausing = true
        this.#again.set(this.#rivalry.pause())
        return
      case 'arbiter-closed':
        this.cancel()
        return this.#listener.closed(answer.newest, out)
      default:
        return
    }
  }

  #goOn(out: Effect[]): void {
    if (!this.#isPausing) return this.#repeat(out)
    this.#isPausing = false
    this.#stake = this.#nextStake()
    this.prepare(out)
  }

  #waiting(out: Effect[]): void {
    if (this.#phase === 'prepared') return
    this.#silence.set(hopelessTicks)
    const missing = this.#ports.missing()
    if (missing !== null) this.#listener.waiting?.(missing, out)
  }

  #onPromised(from: ServerName, answer: MessageOf<'arbiter-promised'>, out: Effect[]): void {
    if (this.#phase !== 'preparing' || !sameStake(answer.stake, this.#stake)) return
    const { acceptedStake, accepted } = answer
    const proposal = acceptedStake && accepted ? { stake: acceptedStake, decision: accepted } : null
    this.#promises.set(from, proposal)
    if (this.#promises.size < this.#quorum) return
    this.#phase = 'prepared'
    if (!this.#isPausing) this.#again.stop()
    if (!this.#told) {
      this.#told = true
      this.#listener.ready(out)
    }
    // `ready` may have proposed already.
    if (this.#phase === 'prepared' && this.#value !== null) this.#accept(out)
  }

  #onAccepted(from: ServerName, answer: MessageOf<'arbiter-accepted'>, out: Effect[]): void {
    if (this.#phase !== 'accepting' || !sameStake(answer.stake, this.#stake) || this.#proposed === null) return
    this.#accepts.add(from)
    if (this.#accepts.size < this.#quorum) return
    this.cancel()
    this.#listener.decided(this.#proposed, out)
  }

  /** What may have been decided is proposed again, unchanged; only else the own value. */
  #accept(out: Effect[]): void {
    const proposals = [...this.#promises.values()].filter((proposal) => proposal !== null)
    this.#proposed = highestProposal(proposals)?.decision ?? this.#value
    if (this.#proposed === null) return
    this.#phase = 'accepting'
    this.#repeat(out)
  }

  #repeat(out: Effect[]): void {
    if (this.#isOver) return
    const { topic, epoch, stake } = { topic: this.#topic, epoch: this.#epoch, stake: this.#stake }
    if (!this.#isPausing) this.#again.set(this.#limits.resendTicks)
    this.#silence.setIfStopped(hopelessTicks)
    if (this.#phase === 'preparing') this.#ports.ask({ kind: 'arbiter-prepare', topic, epoch, stake }, out)
    if (this.#phase === 'accepting' && this.#proposed !== null) {
      this.#ports.ask({ kind: 'arbiter-accept', topic, epoch, stake, decision: this.#proposed }, out)
    }
  }

  #nextStake(): Stake {
    this.#round = this.#nextRound(this.#round)
    return { round: this.#round, coordinator: this.#host.self.name, incarnation: this.#host.incarnation }
  }
}

function newestOf(configurations: readonly Configuration[]): Configuration | null {
  let newest: Configuration | null = null
  for (const one of configurations) if (newest === null || one.epoch > newest.epoch) newest = one
  return newest
}

/** Pages of several arbiters as one: no further than every one of them has told. */
function mergePages(answers: readonly ArbiterAnswer[]): TopicPage {
  const pages = answers.flatMap((answer) => (answer.kind === 'noted-topics' ? [answer] : []))
  const newest = new Map<TopicName, Configuration>()
  for (const one of pages.flatMap((page) => page.configurations)) {
    newest.set(one.topic, newestOf([one, newest.get(one.topic) ?? one]) ?? one)
  }
  const cut = pages.flatMap((page) => (page.more ? (page.configurations.at(-1)?.topic ?? []) : [])).sort()[0]
  const names = [...newest.keys()].sort().filter((name) => cut === undefined || name <= cut)
  return { configurations: names.flatMap((name) => newest.get(name) ?? []), more: cut !== undefined }
}
