/**
 * What was told and written so far, as far as a rule asks for it: numbered, so that a global state carries one number. A fact
 * never goes away; what it forbids is looked at when it comes.
 */
import type { Configuration, Decision } from '../../proto/configuration.ts'
import type { PublisherId } from '../../proto/ids.ts'
import { endOf, type MessageSet } from '../../proto/message-set.ts'
import { formatStake, type Stake } from '../../proto/stake.ts'
import { canonical } from './canonical.ts'
import type { DiskRecord, Parcel } from './nodes.ts'

interface Facts {
  /** One bit for each message and server: acknowledged; on disk, stored or staged. */
  readonly acks: number
  readonly held: number
  /** By server, the messages of its report, or -1. */
  readonly reported: readonly number[]
  /** Who accepted which decision under which stake: `stake|decision` and a bit for each server. */
  readonly votes: ReadonlyMap<string, number>
  /** Decisions that were ever proposed, by number. */
  readonly proposed: number
  readonly chosen: number
  readonly opened: number
}

export interface FactsScope {
  readonly configuration: Configuration
  readonly servers: readonly string[]
  readonly publishers: readonly PublisherId[]
  /** Who accepts: the old members, the arbiters, or the engine alone. */
  readonly voters: readonly string[]
}

export class FactsTable {
  readonly #scope: FactsScope
  readonly #all: Facts[] = []
  readonly #numbers = new Map<string, number>()
  readonly #decisions: Decision[] = []
  readonly #decisionNumbers = new Map<string, number>()
  readonly #steps = new Map<string, { readonly next: number; readonly broken: string | null }>()

  constructor(scope: FactsScope) {
    this.#scope = scope
    const reported = scope.servers.map(() => -1)
    this.#numberOf({ acks: 0, held: 0, reported, votes: new Map(), proposed: 0, chosen: -1, opened: -1 })
  }

  get count(): number {
    return this.#all.length
  }

  /** @param key names the turn: the same key, the same records and parcels */
  step(
    state: number,
    key: string,
    node: string,
    written: readonly DiskRecord[],
    sends: readonly Parcel[],
  ): { readonly next: number; readonly broken: string | null } {
    const at = `${state}|${key}`
    const known = this.#steps.get(at)
    if (known !== undefined) return known
    const turn = new FactsTurn(this.#all[state] as Facts, this.#scope, (decision) => this.#decisionNumber(decision))
    for (const { record, message } of written) turn.written(node, record, message)
    for (const parcel of sends) turn.said(node, parcel)
    const step = { next: this.#numberOf(turn.facts(this.#decisions)), broken: turn.broken }
    this.#steps.set(at, step)
    return step
  }

  #decisionNumber(decision: Decision): number {
    const text = canonical(decision)
    const known = this.#decisionNumbers.get(text)
    if (known !== undefined) return known
    this.#decisionNumbers.set(text, this.#decisions.length)
    return this.#decisions.push(decision) - 1
  }

  #numberOf(facts: Facts): number {
    const text = canonical(facts)
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    this.#numbers.set(text, this.#all.length)
    return this.#all.push(facts) - 1
  }
}

class FactsTurn {
  broken: string | null = null
  readonly #scope: FactsScope
  readonly #numberOf: (decision: Decision) => number
  #acks: number
  #held: number
  readonly #reported: number[]
  readonly #votes: Map<string, number>
  #proposed: number
  #chosen: number
  #opened: number

  constructor(facts: Facts, scope: FactsScope, numberOf: (decision: Decision) => number) {
    this.#scope = scope
    this.#numberOf = numberOf
    this.#acks = facts.acks
    this.#held = facts.held
    this.#reported = [...facts.reported]
    this.#votes = new Map(facts.votes)
    this.#proposed = facts.proposed
    this.#chosen = facts.chosen
    this.#opened = facts.opened
  }

  facts(decisions: readonly Decision[]): Facts {
    this.#durableIn(decisions[this.#chosen])
    return {
      acks: this.#acks,
      held: this.#held,
      reported: this.#reported,
      votes: this.#votes,
      proposed: this.#proposed,
      chosen: this.#chosen,
      opened: this.#opened,
    }
  }

  written(node: string, record: DiskRecord['record'], message: DiskRecord['message']): void {
    if (message.kind === 'batch') this.#held |= this.#bits(node, this.#maskOf([message.publisher]))
    if (record !== 'protocol') return
    if (message.kind === 'accept' || message.kind === 'arbiter-accept')
      this.#vote(node, message.stake, message.decision)
    if (message.kind === 'opening') this.#open(node, message.decision)
    if (message.kind === 'decided' && this.#numberOf(message.decision) !== this.#chosen)
      this.#fail('I5', `${node} keeps a decision that was not made`)
  }

  said(node: string, { message }: Parcel): void {
    switch (message.kind) {
      case 'stored': {
        const mask = this.#maskOf([message.publisher])
        this.#acks |= this.#bits(node, mask)
        const reported = this.#reported[this.#at(node)] ?? -1
        if (reported >= 0 && (mask & ~reported) !== 0) this.#fail('I7', `${node} acknowledges what it did not report`)
        return
      }
      case 'wedged': {
        const mask = this.#maskOf([...message.stored.keys()])
        const before = this.#reported[this.#at(node)] ?? -1
        if (before >= 0 && before !== mask) this.#fail('I7', `${node} reports two sets`)
        if ((this.#acksOf(node) & ~mask) !== 0) this.#fail('I7', `${node} reports less than it acknowledged`)
        this.#reported[this.#at(node)] = mask
        return
      }
      case 'accept':
      case 'arbiter-accept':
      case 'engine-propose':
        return this.#propose(node, message.decision)
      case 'engine-decided':
        return this.#choose(this.#numberOf(message.decision))
      case 'decided':
        if (this.#numberOf(message.decision) !== this.#chosen) this.#fail('I5', `${node} tells what was not decided`)
        return
      default:
        return
    }
  }

  /** A new proposal is safe: a quorum of the next members has every body on disk. */
  #propose(node: string, decision: Decision): void {
    const bit = 1 << this.#numberOf(decision)
    if ((this.#proposed & bit) !== 0) return
    this.#proposed |= bit
    const mask = this.#closingMask(decision.closing)
    const ready = decision.next.members.filter(({ address }) => (this.#heldBy(address) & mask) === mask)
    if (mask !== 0 && ready.length < enabledQuorumOf(decision.next))
      this.#fail('T6', `${node} proposes before the bodies are safe`)
  }

  #vote(node: string, stake: Stake, decision: Decision): void {
    const { voters } = this.#scope
    const number = this.#numberOf(decision)
    const key = `${formatStake(stake)}|${number}`
    const mask = (this.#votes.get(key) ?? 0) | (1 << voters.indexOf(node))
    this.#votes.set(key, mask)
    if (countBits(mask) >= majorityOf(voters.length)) this.#choose(number)
  }

  #choose(decision: number): void {
    if (this.#chosen >= 0 && this.#chosen !== decision) this.#fail('I4', 'two decisions end the epoch')
    this.#chosen = decision
  }

  #open(node: string, decision: Decision): void {
    const number = this.#numberOf(decision)
    if (number !== this.#chosen) this.#fail('I5', `${node} opens what was not decided`)
    if (this.#opened >= 0 && this.#opened !== number) this.#fail('I4', `${node} opens another epoch than others`)
    this.#opened = number
    const mask = this.#closingMask(decision.closing)
    if ((this.#heldBy(node) & mask) !== mask) this.#fail('I6', `${node} opens without the whole closing set`)
  }

  /** Every message that a quorum acknowledged, at any time, is in the closing set. */
  #durableIn(decision: Decision | undefined): void {
    if (decision === undefined) return
    const { configuration, publishers } = this.#scope
    const mask = this.#closingMask(decision.closing)
    publishers.forEach((_publisher, at) => {
      const by = configuration.members.filter(({ address }) => (this.#acksOf(address) & (1 << at)) !== 0)
      if (by.length >= operationQuorumOf(configuration) && (mask & (1 << at)) === 0)
        this.#fail('I6', 'the closing set lacks what was durable')
    })
  }

  #maskOf(publishers: readonly PublisherId[]): number {
    let mask = 0
    for (const publisher of publishers) mask |= 1 << this.#scope.publishers.indexOf(publisher)
    return mask
  }

  #closingMask(set: MessageSet): number {
    return this.#maskOf([...set.keys()].filter((publisher) => endOf(set, publisher) > 0))
  }

  #at(node: string): number {
    return this.#scope.servers.indexOf(node)
  }

  #bits(node: string, mask: number): number {
    return mask << (this.#at(node) * this.#scope.publishers.length)
  }

  #of(bits: number, node: string): number {
    const { publishers } = this.#scope
    return (bits >>> (this.#at(node) * publishers.length)) & ((1 << publishers.length) - 1)
  }

  #acksOf(node: string): number {
    return this.#of(this.#acks, node)
  }

  #heldBy(node: string): number {
    return this.#of(this.#held, node)
  }

  #fail(rule: string, text: string): void {
    this.broken ??= `${rule}: ${text}`
  }
}

// A rule is judged by the quorums as they should be, whatever a planted bug makes of them.
function operationQuorumOf({ mode, members }: Configuration): number {
  return mode === 'fault-masking' ? majorityOf(members.length) : members.length
}

function enabledQuorumOf({ mode, members }: Configuration): number {
  return mode === 'fault-masking' ? majorityOf(members.length) : members.length
}

function majorityOf(count: number): number {
  return Math.floor(count / 2) + 1
}

function countBits(mask: number): number {
  let count = 0
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++
  return count
}
