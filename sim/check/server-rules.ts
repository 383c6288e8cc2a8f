/**
 * Rules that hold for every message that a server sends, checked against the disks of the world at that moment: nothing is
 * told before it is flushed, nothing outside of the reported vector after a wedge, one decision per epoch, no epoch begins
 * or is spoken of undecided, nothing is proposed whose bodies one crash can take away, what was said to be staged stays until
 * its server knows the decision, and no epoch is proposed whose members its mode does not allow.
 */

import type { TopicState } from '../../broker/replica/topic-state.ts'
import {
  acceptQuorum,
  type Configuration,
  type Decision,
  enabledQuorum,
  majority,
  maySucceed,
  operationQuorum,
} from '../../proto/configuration.ts'
import { type EngineName, outsideEngine } from '../../proto/decider.ts'
import {
  beforeFirst,
  type Epoch,
  nextEpoch,
  type PublisherId,
  previousEpoch,
  type ServerName,
  type TopicName,
} from '../../proto/ids.ts'
import type { MessageSet } from '../../proto/message-set.ts'
import { compareStakes, formatStake, type Stake } from '../../proto/stake.ts'
import { decodeMessage } from '../../proto/wire/codec.ts'
import { isTopical, type Message, type MessageOf } from '../../proto/wire/messages.ts'
import type { LogRecord, LogRecordOf } from '../../proto/wire/records.ts'
import type { WorldEvent } from '../world/events.ts'
import type { ServerNode } from '../world/server-node.ts'
import type { DiskRecord } from '../world/virtual-disk.ts'
import type { World } from '../world/world.ts'
import { configurationText, decisionText } from './decision-text.ts'
import { messageOf } from './recorder.ts'

/** One acceptor as its disk shows it. */
interface Votes {
  promised: Stake | null
  /** Stakes that were promised or accepted. */
  readonly stakes: Set<string>
  readonly accepted: Map<string, string>
  readonly proposals: { readonly stake: Stake; readonly text: string }[]
}

/** One epoch of one topic on one disk. */
interface EpochOnDisk {
  opened: boolean
  /** To keep what is staged for its end. */
  promised: boolean
  readonly stored: Map<PublisherId, number>
  /** Stored and staged together. */
  readonly covered: Map<PublisherId, number>
  /** What was stored when the wedge was written. */
  frozen: Map<PublisherId, number> | null
  readonly votes: Votes
  readonly register: Votes
}

/** What a server said to be staged. */
interface Kept {
  readonly topic: TopicName
  readonly epoch: Epoch
  readonly closing: MessageSet
}

type Topical = { readonly topic: TopicName; readonly epoch: Epoch }

/** Calls `broken` for every rule that does not hold. */
export function watchRules(world: World, broken: (text: string) => void): ServerRules {
  const rules = new ServerRules(world, broken)
  world.watchers.push((event) => rules.see(event))
  return rules
}

export class ServerRules {
  readonly #world: World
  readonly #broken: (text: string) => void
  readonly #disks = new Map<ServerName, Map<string, EpochOnDisk>>()
  /** What opened or was proposed, by its text. */
  readonly #decisions = new Map<string, Decision>()
  readonly #opened = new Map<string, string>()
  readonly #configurations = new Map<string, Configuration>()
  readonly #proposals = new Map<string, string>()
  /** Texts that were chosen, by topic and epoch, until somebody accepts again. */
  readonly #chosenTexts = new Map<string, readonly string[]>()
  readonly #noted = new Map<ServerName, Map<TopicName, Epoch>>()
  /** Closing sets that were to be staged, by topic, epoch and stake. */
  readonly #toStage = new Map<string, MessageSet>()
  /** What each server has said that it holds, until it knows how that epoch ended. */
  readonly #kept = new Map<ServerName, Map<string, Kept>>()
  /** Servers whose disk was put back to an old copy: they are others, and have to find out. */
  readonly #old = new Set<ServerName>()

  constructor(world: World, broken: (text: string) => void) {
    this.#world = world
    this.#broken = broken
  }

  see(event: WorldEvent): void {
    if (event.what === 'engine' && event.call.kind === 'propose') this.#asked(event.server, event.call.value)
    if (event.what === 'flush') for (const record of event.records) this.#written(event.server, record)
    if (event.what === 'disk-old') this.#old.add(event.server)
    if (event.what !== 'send') return
    const server = this.#world.servers.get(event.parcel.from)
    if (server === undefined) return
    if (this.#kept.size > 0) this.#keeps(server, event.parcel.message)
    if (!checkedKinds.has(event.parcel.kind)) return
    if (this.#old.has(server.name))
      this.#fail('I8', server.name, event.parcel.message, 'speaks with an old copy of its disk')
    this.#said(server.name, event.parcel.message)
  }

  // What disks hold.

  #written(server: ServerName, record: DiskRecord): void {
    const message = messageOf(record)
    const { kind } = record
    if (!isTopical(message)) return
    const disk = this.#at(server, message)
    switch (message.kind) {
      case 'batch':
        if (kind === 'batch') grow(disk.stored, message, true)
        if (kind === 'batch' && disk.frozen !== null) this.#fail('I7', server, message, 'stores after the wedge')
        grow(disk.covered, message, kind === 'staged')
        return
      case 'wedge':
        disk.frozen ??= new Map(disk.stored)
        return this.#promise(server, disk.votes, message)
      case 'accept':
        disk.frozen ??= new Map(disk.stored)
        return this.#accept(server, disk.votes, message)
      case 'arbiter-prepare':
        return this.#promise(server, disk.register, message)
      case 'arbiter-accept':
        return this.#accept(server, disk.register, message)
      case 'note': {
        const noted = this.#noted.get(server) ?? new Map<TopicName, Epoch>()
        this.#noted.set(server, noted.set(message.topic, message.configuration.epoch))
        return
      }
      case 'decided':
        return this.#chosenOr('I4', server, message.decision, 'keeps a decision that was not made')
      case 'opening':
        return this.#openedBy(server, disk, message)
      case 'staged':
        disk.promised = true
        return
      default:
        return
    }
  }

  #promise(server: ServerName, votes: Votes, message: Message & Topical & { readonly stake: Stake }): void {
    const { stake } = message
    if (votes.promised !== null && compareStakes(stake, votes.promised) < 0) {
      this.#fail('I9', server, message, `promises ${formatStake(stake)} after ${formatStake(votes.promised)}`)
    }
    votes.promised = stake
    votes.stakes.add(formatStake(stake))
  }

  #accept(server: ServerName, votes: Votes, message: MessageOf<'accept'> | MessageOf<'arbiter-accept'>): void {
    const { stake, decision } = message
    this.#promise(server, votes, message)
    const text = decisionText(decision)
    this.#decisions.set(text, decision)
    votes.accepted.set(formatStake(stake), text)
    this.#chosenTexts.delete(keyOf(message))
    votes.proposals.push({ stake, text })
  }

  #openedBy(server: ServerName, disk: EpochOnDisk, message: LogRecordOf<'opening'>): void {
    const { decision } = message
    const { next } = decision
    disk.opened = true
    const key = keyOf(next)
    const text = decisionText(decision)
    this.#decisions.set(text, decision)
    const known = this.#opened.get(key)
    if (known !== undefined && known !== text)
      this.#fail('I4', server, message, 'opens another configuration than others')
    this.#opened.set(key, text)
    if (!next.members.some(({ name }) => name === server))
      this.#fail('I5', server, message, 'opens without being a member')
    this.#chosenOr('I5', server, decision, 'opens what was not decided')
    this.#configurations.set(key, next)
    this.#chosenTexts.delete(key)
    const closed = previousEpoch(next.epoch)
    if (closed > 0 && !this.#covers(server, next.topic, closed, decision.closing)) {
      this.#fail('I6', server, message, 'opens without the whole closing set')
    }
  }

  // What servers say.

  #said(server: ServerName, message: Message): void {
    switch (message.kind) {
      case 'stored':
        this.#open(server, message)
        return this.#atMost(server, message, new Map([[message.publisher, { end: message.end, digest: 0 }]]))
      case 'expected':
        return this.#atMost(server, message, new Map([[message.publisher, { end: message.next - 1, digest: 0 }]]))
      case 'held':
        this.#open(server, message)
        this.#durable(server, message)
        return this.#atMost(server, message, message.stored)
      case 'report':
        this.#open(server, message)
        return this.#atMost(server, message, message.stored)
      case 'condition': {
        const { configuration, topic, stored } = message
        if (configuration === undefined) return
        this.#decided(server, message, configuration)
        return this.#atMost(server, { ...message, topic, epoch: configuration.epoch }, stored)
      }
      case 'wedged':
        return this.#saidWedged(server, message)
      case 'accepted':
        if (!this.#at(server, message).votes.accepted.has(formatStake(message.stake)))
          this.#fail('I8', server, message, 'answers an accept that is not on its disk')
        return
      case 'start':
        if (this.#at(server, message).votes.accepted.get(formatStake(message.stake)) !== decisionText(message.decision))
          this.#fail('I8', server, message, 'votes for what it has not accepted')
        return
      case 'started':
        return this.#saidStarted(server, message)
      case 'stage':
        this.#toStage.set(stakeKeyOf(message), message.closing)
        return
      case 'staged':
        return this.#saidStaged(server, message)
      case 'arbiter-promised':
        return this.#saidPromised(server, message, this.#at(server, message).register)
      case 'arbiter-accepted':
        if (!this.#at(server, message).register.accepted.has(formatStake(message.stake)))
          this.#fail('I8', server, message, 'answers an arbiter-accept that is not on its disk')
        return
      case 'accept':
      case 'arbiter-accept':
        return this.#proposed(server, message)
      case 'decided':
        return this.#chosenOr('I5', server, message.decision, 'hands on what was not decided')
      case 'moved':
        if (message.decision !== undefined) this.#chosenOr('I5', server, message.decision, 'tells what was not decided')
        return this.#decided(server, message, message.newest)
      case 'located':
        return this.#decided(server, message, message.configuration)
      case 'enabled':
        if (!this.#isEnabled(message.topic, message.epoch)) this.#fail('I5', server, message, 'says enabled too early')
        return
      case 'changed':
        return this.#saidChanged(server, message)
      default:
        return
    }
  }

  #saidWedged(server: ServerName, message: MessageOf<'wedged'>): void {
    const disk = this.#at(server, message)
    this.#open(server, message)
    if (disk.frozen === null) {
      this.#fail('I8', server, message, 'reports a wedge that is not on its disk')
      return
    }
    for (const [publisher, { end }] of message.stored) {
      if ((disk.frozen.get(publisher) ?? 0) !== end)
        this.#fail('I7', server, message, 'reports another set than it froze')
    }
    if (message.stored.size !== disk.frozen.size) this.#fail('I7', server, message, 'reports another set than it froze')
    this.#saidPromised(server, message, disk.votes)
  }

  #saidPromised(
    server: ServerName,
    message: MessageOf<'wedged'> | MessageOf<'arbiter-promised'>,
    { stakes, proposals }: Votes,
  ): void {
    if (!stakes.has(formatStake(message.stake))) this.#fail('I8', server, message, 'promises what is not on its disk')
    // The frame may have waited for its flush while a proposal of the same stake was accepted: both answers are right then.
    const told = message.accepted === undefined ? null : decisionText(message.accepted)
    const below = proposals.findLast(({ stake }) => compareStakes(stake, message.stake) < 0)?.text ?? null
    const upTo = proposals.findLast(({ stake }) => compareStakes(stake, message.stake) <= 0)?.text ?? null
    if (told !== below && told !== upTo) this.#fail('I4', server, message, 'hides a proposal that it accepted')
  }

  #saidStarted(server: ServerName, message: MessageOf<'started'>): void {
    for (const [key, disk] of this.#disks.get(server) ?? []) {
      const [topic, epoch] = key.split(' ')
      if (topic === message.topic && Number(epoch) >= message.epoch && disk.opened) return
    }
    this.#fail('I8', server, message, 'says started before it is on its disk')
  }

  /** From now on it keeps what it has. */
  #saidStaged(server: ServerName, message: MessageOf<'staged'>): void {
    const closing = this.#toStage.get(stakeKeyOf(message))
    if (message.missing > 0 || closing === undefined || this.#isOver(server, message)) return
    if (!this.#at(server, message).promised)
      this.#fail('I8', server, message, 'promises to keep what it staged, and has not written so')
    const kept = this.#kept.get(server) ?? new Map<string, Kept>()
    const { topic, epoch } = message
    this.#kept.set(server, kept.set(stakeKeyOf(message), { topic, epoch, closing }))
  }

  /** Whether the server knows how the epoch ended, so that nothing depends on a promise any more. */
  #isOver(server: ServerName, { topic, epoch }: Topical): boolean {
    const node = [...this.#world.servers.values()].find(({ name }) => name === server)
    const replica = node?.machine?.topics.find(({ state }) => state.topic === topic)
    return replica?.state.decisionOf(epoch) !== undefined
  }

  /** Whatever else it says: what it said to be staged is there, stored or staged, while it does not know the decision. */
  #keeps({ name, machine }: ServerNode, message: Message): void {
    const all = this.#kept.get(name)
    if (all === undefined || machine === null || this.#old.has(name)) return
    for (const [key, { topic, epoch, closing }] of all) {
      const state = machine.topics.find((one) => one.state.topic === topic)?.state
      const isKnown = state?.decisionOf(epoch) !== undefined
      const isThere = state !== undefined && isComplete(state, epoch, closing)
      if (!isKnown && !isThere)
        this.#fail('KEPT', name, message, `has lost what it said to be staged of epoch ${epoch}`)
      // Said once; and what is known is not asked about any more.
      if (isKnown || !isThere) all.delete(key)
    }
    if (all.size === 0) this.#kept.delete(name)
  }

  #saidChanged(server: ServerName, message: MessageOf<'changed'>): void {
    const { decision, enabled, retirable } = message
    this.#chosenOr('I5', server, decision, 'reports what was not decided')
    const { topic, epoch } = decision.next
    const letsGo = enabled || retirable.length > 0
    if (letsGo && !this.#isEnabled(topic, epoch)) this.#fail('I5', server, message, 'says enabled too early')
    if (retirable.length === 0) return
    const arbiters = this.#world.cluster?.arbiters ?? []
    const noted = arbiters.filter(({ name }) => (this.#noted.get(name)?.get(topic) ?? 0) >= epoch)
    if (noted.length < majority(arbiters.length))
      this.#fail('I10', server, message, 'lets servers stop before it is noted')
  }

  #proposed(server: ServerName, message: MessageOf<'accept'> | MessageOf<'arbiter-accept'>): void {
    const { stake, decision, topic, epoch } = message
    const text = decisionText(decision)
    const slot = `${message.kind} ${keyOf(message)} ${formatStake(stake)}`
    const known = this.#proposals.get(slot)
    if (known !== undefined && known !== text) this.#fail('I10', server, message, 'proposes twice under one stake')
    if (known !== undefined) return
    const isAdopted = [...this.#proposals].some(
      ([other, one]) => one === text && other.startsWith(`${message.kind} ${keyOf(message)} `),
    )
    this.#proposals.set(slot, text)
    if (!isAdopted) this.#allowed(server, message, decision)
    if (isAdopted || epoch === 0) return
    const ready = decision.next.members.filter(({ name }) => this.#hasEverything(name, topic, epoch, decision))
    if (ready.length < enabledQuorum(decision.next))
      this.#fail('T6', server, message, 'proposes before its bodies are safe')
  }

  /** What is proposed to an engine outside of the cluster. */
  #asked(server: ServerName, value: Uint8Array): void {
    const message = decodeMessage(value)
    if (message.kind !== 'decided' || message.epoch === 0) return
    const { topic, epoch, decision } = message
    this.#allowed(server, message, decision)
    const ready = decision.next.members.filter(({ name }) => this.#hasEverything(name, topic, epoch, decision))
    if (ready.length < enabledQuorum(decision.next))
      this.#fail('T6', server, message, 'proposes to an engine before its bodies are safe')
  }

  #allowed(server: ServerName, message: Message, { next }: Decision): void {
    if (maySucceed(next, next.members)) return
    const text = `proposes ${next.mode} on ${next.members.length} servers, at least ${next.membersMin}`
    this.#fail('MEMBERS', server, message, text)
  }

  #hasEverything(server: ServerName, topic: TopicName, closed: Epoch, decision: Decision): boolean {
    if (!this.#covers(server, topic, closed, decision.closing)) return false
    for (let past = decision.next.floor; past < closed; past = nextEpoch(past)) {
      const text = this.#opened.get(`${topic} ${past + 1}`)
      const closing = text === undefined ? undefined : this.#decisions.get(text)?.closing
      if (closing !== undefined && !this.#covers(server, topic, past, closing)) return false
    }
    return true
  }

  #covers(server: ServerName, topic: TopicName, epoch: Epoch, set: MessageSet): boolean {
    const { covered } = this.#at(server, { topic, epoch })
    for (const [publisher, { end }] of set) if ((covered.get(publisher) ?? 0) < end) return false
    return true
  }

  /** Only who has opened an epoch speaks for it. */
  #open(server: ServerName, message: Message & Topical): void {
    if (!this.#at(server, message).opened)
      this.#fail('I5', server, message, 'speaks for an epoch that it has not opened')
  }

  #atMost(server: ServerName, message: Message & Topical, set: MessageSet): void {
    const { stored, frozen } = this.#at(server, message)
    for (const [publisher, { end }] of set) {
      if (end > (stored.get(publisher) ?? 0))
        this.#fail('I8', server, message, `tells ${end}, more than is on its disk`)
      else if (frozen !== null && end > (frozen.get(publisher) ?? 0))
        this.#fail('I7', server, message, 'tells more than it reported')
    }
  }

  /** What is told to be durable is on the disks of an operation's quorum. */
  #durable(server: ServerName, message: MessageOf<'held'>): void {
    const configuration = this.#configurations.get(keyOf(message))
    if (configuration === undefined) return
    for (const [publisher, { end }] of message.durable) {
      const ends = configuration.members.map(({ name }) => this.#at(name, message).stored.get(publisher) ?? 0)
      ends.sort((a, b) => b - a)
      if (end > (ends[operationQuorum(configuration) - 1] ?? 0))
        this.#fail('I1', server, message, 'calls durable what no quorum holds')
    }
  }

  #decided(server: ServerName, message: Message, configuration: Configuration): void {
    const key = keyOf({ topic: configuration.topic, epoch: previousEpoch(configuration.epoch) })
    const isChosen = this.#chosen(configuration.topic, previousEpoch(configuration.epoch)).some(
      (text) => configurationText(this.#decisions.get(text)?.next) === configurationText(configuration),
    )
    if (!isChosen) this.#fail('I5', server, message, `speaks of what did not follow ${key}`)
  }

  #chosenOr(rule: string, server: ServerName, decision: Decision, text: string): void {
    const { topic, epoch } = decision.next
    if (!this.#chosen(topic, previousEpoch(epoch)).includes(decisionText(decision)))
      this.#fail(rule, server, { kind: 'decided', topic, epoch: previousEpoch(epoch), decision }, text)
  }

  /** Texts that a majority of those who decide accepted under one stake; more than one is a violation. */
  #chosen(topic: TopicName, epoch: Epoch): readonly string[] {
    const key = keyOf({ topic, epoch })
    const known = this.#chosenTexts.get(key)
    if (known !== undefined) return known
    const configuration = this.#configurations.get(key)
    const decider = epoch === 0 ? this.#world.cluster?.decider : configuration?.decider
    const outside = outsideEngine(decider ?? 'engine')
    if (outside !== null) return this.#held(outside, topic, epoch)
    const byStakes = configuration?.decider === 'stakes'
    const voters = byStakes ? configuration.members : (this.#world.cluster?.arbiters ?? [])
    const quorum = configuration !== undefined && byStakes ? acceptQuorum(configuration) : majority(voters.length)
    const counts = new Map<string, number>()
    for (const { name } of voters) {
      const disk = this.#at(name, { topic, epoch })
      for (const [stake, text] of (byStakes ? disk.votes : disk.register).accepted) {
        counts.set(`${stake} ${text}`, (counts.get(`${stake} ${text}`) ?? 0) + 1)
      }
    }
    const chosen = [...counts].filter(([, count]) => count >= quorum).map(([slot]) => slot.slice(slot.indexOf(' ') + 1))
    const texts = [...new Set(chosen)]
    this.#chosenTexts.set(key, texts)
    return texts
  }

  /** What a register outside of the cluster holds, where it is the instance that decides. */
  #held({ id, instance }: EngineName, topic: TopicName, epoch: Epoch): string[] {
    const engine = this.#world.engine(id)
    const value = engine.instance === instance ? engine.holds(topic, epoch) : null
    const message = value === null ? null : decodeMessage(value)
    if (message?.kind !== 'decided') return []
    const text = decisionText(message.decision)
    this.#decisions.set(text, message.decision)
    return [text]
  }

  #isEnabled(topic: TopicName, epoch: Epoch): boolean {
    for (const [key, configuration] of this.#configurations) {
      if (configuration.topic !== topic || configuration.epoch < epoch) continue
      const of = { topic, epoch: configuration.epoch }
      const opened = configuration.members.filter(({ name }) => this.#hasOpened(name, of))
      if (opened.length >= enabledQuorum(configuration) && key === keyOf(of)) return true
    }
    return false
  }

  /** A member that has gone on to a later epoch had opened this one, or needs it no more. */
  #hasOpened(server: ServerName, { topic, epoch }: Topical): boolean {
    for (const [key, disk] of this.#disks.get(server) ?? []) {
      const [other, of] = key.split(' ')
      if (other === topic && Number(of) >= epoch && disk.opened) return true
    }
    return false
  }

  #at(server: ServerName, of: Topical): EpochOnDisk {
    let disk = this.#disks.get(server)
    if (disk === undefined) {
      disk = new Map()
      this.#disks.set(server, disk)
    }
    const key = keyOf(of)
    let epoch = disk.get(key)
    if (epoch === undefined) {
      const votes = (): Votes => ({ promised: null, stakes: new Set(), accepted: new Map(), proposals: [] })
      epoch = {
        opened: false,
        promised: false,
        stored: new Map(),
        covered: new Map(),
        frozen: null,
        votes: votes(),
        register: votes(),
      }
      disk.set(key, epoch)
    }
    return epoch
  }

  #fail(rule: string, server: ServerName, message: Message | LogRecord, text: string): void {
    const of = isTopical(message) ? ` of epoch ${message.epoch}` : ''
    this.#broken(`${rule}: server ${server} ${text} (${message.kind}${of})`)
  }
}

const checkedKinds: ReadonlySet<Message['kind']> = new Set([
  'stored',
  'expected',
  'held',
  'report',
  'condition',
  'wedged',
  'accepted',
  'start',
  'started',
  'stage',
  'staged',
  'arbiter-promised',
  'arbiter-accepted',
  'accept',
  'arbiter-accept',
  'decided',
  'moved',
  'located',
  'enabled',
  'changed',
])

function keyOf({ topic, epoch }: Topical): string {
  return `${topic} ${epoch}`
}

/** Everything of the closing set is there, and of the epochs before it. */
function isComplete(state: TopicState, epoch: Epoch, closing: MessageSet): boolean {
  for (let past = nextEpoch(beforeFirst); past < epoch; past = nextEpoch(past)) {
    const decision = state.decisionOf(past)
    if (decision === undefined || state.missing(past, decision.closing) > 0) return false
  }
  return state.missing(epoch, closing) === 0
}

function stakeKeyOf(message: Topical & { readonly stake: Stake }): string {
  return `${keyOf(message)} ${formatStake(message.stake)}`
}

function grow(
  ends: Map<PublisherId, number>,
  batch: Pick<MessageOf<'batch'>, 'publisher' | 'first' | 'last'>,
  isLenient: boolean,
): void {
  const end = ends.get(batch.publisher) ?? 0
  if (isLenient || batch.first <= end + 1) ends.set(batch.publisher, Math.max(end, batch.last))
}
