/**
 * The built-in decision engine, seen from a server that proposes: the Synod over the cluster's arbiters. Phase 1 runs while
 * the change is planned, so deciding takes one round trip.
 *
 * Source: section 4.2 step 3 ("the consensus engine could be ... Paxos among replicated state machines"), section 5.3.
 */
import { type Configuration, type Decision, type Member, majority } from '../../proto/configuration.ts'
import { beforeFirst, type Epoch, type ServerName, serverIdOf, type TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
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
  tick(out: Effect[]): void
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

  tick(out: Effect[]): void {
    if (this.#questions.size > 0) for (const question of [...this.#questions.values()]) question.tick(out)
  }

  #poll(message: Message, ports: QuestionPorts<readonly ArbiterAnswer[]>, out: Effect[]): void {
    if (this.#questions.size >= questionsMax) {
      ports.unanswered('too many questions wait for the arbiters', out)
      return
    }
    const token = this.#host.nextToken()
    const answers = new Map<ServerName, ArbiterAnswer>()
    let ticks = 0
    this.#questions.set(token, {
      take: (from, answer, into) => {
        answers.set(from, answer)
        if (answers.size < majority(this.#members().length) || !this.#questions.delete(token)) return
        ports.found([...answers.values()], into)
      },
      tick: (into) => {
        ticks++
        const isHopeless = ticks >= hopelessTicks && !this.#hasMajority()
        if (isHopeless || ticks > this.#limits.planTicks) {
          this.#questions.delete(token)
          const answering = this.#members().filter(({ name }) => answers.has(name))
          ports.unanswered(this.#missingText(answering), into)
        } else if (ticks % (this.#limits.resendTicks * 4) === 0) this.#ask(token, message, into)
      },
    })
    this.#ask(token, message, out)
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
  #ticks = 0
  /** Ticks until the next round, after a rival was ahead. */
  #pauseTicks = 0
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
    this.#stake = this.#nextStake()
  }

  prepare(out: Effect[]): void {
    this.#phase = 'preparing'
    this.#promises.clear()
    this.#accepts.clear()
    this.#ports.ask({ kind: 'arbiter-prepare', topic: this.#topic, epoch: this.#epoch, stake: this.#stake }, out)
  }

  propose(decision: Decision, out: Effect[]): void {
    this.#value = decision
    if (this.#phase === 'prepared') this.#accept(out)
  }

  cancel(): void {
    this.#ports.stop()
  }

  take(from: ServerName, answer: ArbiterAnswer, out: Effect[]): void {
    switch (answer.kind) {
      case 'arbiter-promised':
        return this.#onPromised(from, answer, out)
      case 'arbiter-accepted':
        return this.#onAccepted(from, answer, out)
      case 'arbiter-outranked':
        if (answer.promised.round < this.#round || this.#pauseTicks > 0) return
        this.#round = answer.promised.round
        this.#pauseTicks = this.#rivalry.pause()
        return
      case 'arbiter-closed':
        this.#ports.stop()
        return this.#listener.closed(answer.newest, out)
      default:
        return
    }
  }

  tick(out: Effect[]): void {
    this.#ticks++
    const missing = this.#ticks % hopelessTicks === 0 ? this.#ports.missing() : null
    if (missing !== null) this.#listener.waiting?.(missing, out)
    if (this.#pauseTicks > 0) {
      if (--this.#pauseTicks > 0) return
      this.#stake = this.#nextStake()
      this.prepare(out)
    } else if (this.#ticks % this.#limits.resendTicks === 0) this.#repeat(out)
  }

  #onPromised(from: ServerName, answer: MessageOf<'arbiter-promised'>, out: Effect[]): void {
    if (this.#phase !== 'preparing' || !sameStake(answer.stake, this.#stake)) return
    const { acceptedStake, accepted } = answer
    const proposal = acceptedStake && accepted ? { stake: acceptedStake, decision: accepted } : null
    this.#promises.set(from, proposal)
    if (this.#promises.size < this.#quorum) return
    this.#phase = 'prepared'
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
    this.#ports.stop()
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
    const { topic, epoch, stake } = { topic: this.#topic, epoch: this.#epoch, stake: this.#stake }
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
