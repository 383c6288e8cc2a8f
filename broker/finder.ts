/**
 * Finding topics, and making them: a topic is created by the decision of its epoch 0, which names the members of epoch 1.
 * Whoever meets a decided epoch whose members do not serve hands them the decision.
 */
import {
  type Configuration,
  checkDecider,
  checkMembership,
  type Decision,
  defaultDecider,
  defaultMode,
  defaultSizes,
  enabledQuorum,
  isMember,
  type Member,
  type Mode,
  minimumOf,
} from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type Address, beforeFirst, epoch, type ServerName, serverId, type TopicName } from '../proto/ids.ts'
import { type Effect, send } from '../proto/machine/contract.ts'
import type { Timer } from '../proto/machine/timers.ts'
import { emptySet } from '../proto/message-set.ts'
import type { MessageOf, Refusal, Template } from '../proto/wire/messages.ts'
import type { Deciders } from './engines/deciders.ts'
import type { Proposal, ProposalListener, Registry, TopicPage } from './engines/engine.ts'
import type { Host, Limits } from './host.ts'
import type { Directory } from './membership/directory.ts'
import { checkAnswering, choose, memberId } from './membership/placement.ts'
import { explain, refusalOf } from './refusal.ts'
import type { Replica } from './replica/replica.ts'

interface Asker {
  readonly to: Address
  readonly token: number
  readonly request: MessageOf<'locate'>
}

/** What a topic is when its first user does not say. */
export interface TopicDefaults {
  readonly autoCreate: boolean
  readonly template: Template
  /** What certain topics are, whole: these may be made by their first user whatever `autoCreate` says. */
  readonly topics?: ReadonlyMap<string, Template>
}

export class Finder {
  readonly #host: Host
  readonly #limits: Limits
  readonly #registry: Registry
  readonly #deciders: Deciders
  readonly #directory: Directory
  readonly #defaults: TopicDefaults
  readonly #replica: (topic: TopicName) => Replica | undefined
  /** Requests that came before this process had heard of all servers. */
  readonly #early: Asker[] = []
  readonly #creations = new Map<TopicName, Creation>()

  constructor(
    host: Host,
    limits: Limits,
    registry: Registry,
    deciders: Deciders,
    directory: Directory,
    defaults: TopicDefaults,
    replica: (topic: TopicName) => Replica | undefined,
  ) {
    this.#host = host
    this.#limits = limits
    this.#registry = registry
    this.#deciders = deciders
    this.#directory = directory
    this.#defaults = defaults
    this.#replica = replica
    directory.whenSettled((out) => this.#takeEarly(out))
  }

  locate(to: Address, token: number, request: MessageOf<'locate'>, out: Effect[]): void {
    const asker = { to, token, request }
    const replica = this.#replica(request.topic)
    const serving = replica?.serving ?? null
    // Whoever knows this epoch already doubts that it is the newest: then whoever keeps the newest ones is asked too.
    if (serving !== null && (request.epoch === 0 || serving.epoch > request.epoch)) {
      this.#answer(asker, serving, false, out)
      return
    }
    const known = replica?.state.newest ?? null
    if (known !== null && known.epoch > request.epoch) this.#answer(asker, known, false, out)
    const found = (configuration: Configuration | null, into: Effect[]) => this.#found(asker, configuration, into)
    const isAnswered = known !== null && known.epoch > request.epoch
    const unanswered = (reason: string, into: Effect[]) => {
      if (!isAnswered) this.#refuse(asker, 'no-decider', reason, into)
    }
    this.#registry.lookup(request.topic, { found, unanswered }, out)
  }

  list(to: Address, token: number, { after, prefix = '' }: MessageOf<'list-topics'>, out: Effect[]): void {
    const found = (page: TopicPage, into: Effect[]) => send(into, to, { kind: 'topics', ...page }, token)
    const unanswered = (detail: string, into: Effect[]) => {
      send(into, to, { kind: 'declined', refusal: 'no-decider', detail }, token)
    }
    this.#registry.list(after, prefix, { found, unanswered }, out)
  }

  started(from: ServerName, { topic }: MessageOf<'started'>, out: Effect[]): void {
    this.#creations.get(topic)?.started(from, out)
  }

  #takeEarly(out: Effect[]): void {
    for (const { to, token, request } of this.#early.splice(0)) this.locate(to, token, request, out)
  }

  #found(asker: Asker, found: Configuration | null, out: Effect[]): void {
    const { request } = asker
    const known = this.#replica(request.topic)?.state.newest ?? null
    const newest = found !== null && (known === null || found.epoch >= known.epoch) ? found : known
    if (newest !== null) this.#answer(asker, newest, false, out)
    else if (request.create) this.#create(asker, out)
    else this.#refuse(asker, 'unknown-topic', `no topic is called ${request.topic}`, out)
  }

  #create(asker: Asker, out: Effect[]): void {
    const { request } = asker
    const running = this.#creations.get(request.topic)
    if (running === undefined && this.#creations.size >= waitingMax) {
      this.#refuse(asker, 'busy', 'too many topics are being made', out)
      return
    }
    if (running !== undefined) {
      running.join({
        made: (configuration, into) => this.#answer(asker, configuration, false, into),
        failed: (refusal, reason, into) => this.#refuse(asker, refusal, reason, into),
      })
      return
    }
    try {
      const decision: Decision = {
        changeId: request.changeId ?? `create-${this.#host.incarnation.toString(16)}-${this.#host.nextToken()}`,
        next: this.#firstConfiguration(request),
        closing: emptySet,
      }
      const needs = { host: this.#host, limits: this.#limits, registry: this.#registry, deciders: this.#deciders }
      this.#deciders.check(this.#deciders.founding)
      const creation = new Creation(decision, needs, () => {
        this.#creations.delete(request.topic)
      })
      creation.join({
        made: (configuration, into) => this.#answer(asker, configuration, creation.won, into),
        failed: (refusal, reason, into) => this.#refuse(asker, refusal, reason, into),
      })
      this.#creations.set(request.topic, creation)
      creation.begin(out)
    } catch (error) {
      if (!(error instanceof EpochcastError)) throw error
      if (!this.#directory.settled && this.#early.length < waitingMax) {
        this.#early.push(asker)
        return
      }
      this.#refuse(asker, refusalOf(error), explain(error), out)
    }
  }

  #firstConfiguration(request: MessageOf<'locate'>): Configuration {
    const { topic } = request
    const named = this.#defaults.topics?.get(topic)
    const defaults = named ?? this.#defaults.template
    const isDescribed = request.mode !== undefined || request.members.length > 0 || request.size !== undefined
    const isAsked = isDescribed || request.explicit === true
    if (!isAsked && named === undefined && !this.#defaults.autoCreate) {
      throw new EpochcastError('EC_UNKNOWN_TOPIC', `no topic is called ${topic}`, {
        hint: 'create it, or turn autoCreate on',
      })
    }
    const mode = request.mode ?? defaults.mode ?? this.#usualMode(topic)
    const size = request.size ?? (mode === defaults.mode ? defaults.size : undefined) ?? defaultSizes[mode]
    const ids = request.members.length > 0 || isDescribed ? request.members : defaults.members
    const members = ids.length > 0 ? this.#named(ids) : this.#placed(topic, mode, size)
    checkMembership(
      mode,
      members.map((member) => member.name),
    )
    checkAnswering(mode, members, ({ name }) => this.#directory.isAlive(name), memberId)
    const wanted = request.decider ?? (mode === defaults.mode ? defaults.decider : undefined)
    const decider = this.#deciders.resolve(wanted ?? defaultDecider(mode, this.#deciders.founding))
    checkDecider(mode, decider)
    const order = request.order ?? defaults.order ?? 'fifo'
    const sequencer = members.find(({ name }) => this.#directory.isAlive(name)) ?? members[0]
    return {
      topic,
      epoch: epoch(1),
      service: 'multicast',
      mode,
      decider,
      members,
      membersMin: minimumOf(request.membersMin, defaults.membersMin ?? 1, members.length),
      order,
      floor: epoch(1),
      base: 0,
      ...(order === 'total' && sequencer && { sequencer: sequencer.name }),
    }
  }

  /** The mode that fits the number of servers in the cluster, dead ones included. */
  #usualMode(topic: TopicName): Mode {
    const count = this.#directory.servers().length
    // A process that has just started may not have heard of the others yet: the request waits until it has.
    if (this.#directory.settled || count >= defaultSizes['fault-masking']) return defaultMode(count)
    throw new EpochcastError('EC_IMPOSSIBLE_MEMBERSHIP', `how many servers topic ${topic} can have is not known yet`)
  }

  #named(ids: readonly string[]): Member[] {
    return ids.map((id) => {
      const member = this.#directory.byId(serverId(id))
      if (member !== undefined) return member
      throw new EpochcastError('EC_UNKNOWN_SERVER', `no server is called ${id}`)
    })
  }

  #placed(topic: TopicName, mode: Mode, size: number): Member[] {
    const isAlive = ({ name }: Member) => this.#directory.isAlive(name)
    const members = choose(topic, mode, size, [], this.#directory.servers(), isAlive)
    // A server that has not met the others yet takes all of them for silent.
    if (!this.#directory.settled && !members.every(isAlive)) {
      throw new EpochcastError('EC_UNAVAILABLE', 'this server has only just begun')
    }
    return members
  }

  #answer({ to, token, request }: Asker, configuration: Configuration, created: boolean, out: Effect[]): void {
    const servers = this.#directory.servers()
    const { topic, epoch: asked } = request
    const full = this.#directory.fullAmong(configuration.members)
    send(out, to, { kind: 'located', topic, epoch: asked, configuration, servers, created, full }, token)
  }

  #refuse({ to, token, request }: Asker, refusal: Refusal, detail: string, out: Effect[]): void {
    send(out, to, { kind: 'refused', topic: request.topic, epoch: request.epoch, refusal, detail }, token)
  }
}

/** Requests of one kind that wait here; a client that is refused asks again. */
const waitingMax = 1_000

interface CreationNeeds {
  readonly host: Host
  readonly limits: Limits
  readonly registry: Registry
  readonly deciders: Deciders
}

/** Callbacks of a request that waits for a topic to be made: one of them is called, once. */
interface CreationPorts {
  made(configuration: Configuration, out: Effect[]): void
  failed(refusal: Refusal, reason: string, out: Effect[]): void
}

/** The first decision of one topic, until its members serve. */
class Creation implements ProposalListener {
  readonly #wanted: Decision
  readonly #needs: CreationNeeds
  readonly #end: () => void
  readonly #waiting: CreationPorts[] = []
  readonly #started = new Set<ServerName>()
  #proposal: Proposal | null = null
  #decision: Decision | null = null
  /** Its members serve; the arbiters are to keep where it is. */
  #isEnabled = false
  #over = false
  readonly #again: Timer
  readonly #patience: Timer
  /** Why the decider does not answer, as far as it says so. */
  #silence = 'the decider does not answer'

  constructor(wanted: Decision, needs: CreationNeeds, end: () => void) {
    this.#wanted = wanted
    this.#needs = needs
    this.#end = end
    const { timers } = needs.host
    this.#again = timers.timer('creation-again', wanted.next.topic, (out) => this.#hand(out))
    this.#patience = timers.timer('creation-patience', wanted.next.topic, (out) => this.#fail(out))
  }

  /** Whether this server's configuration was the one decided. */
  get won(): boolean {
    return this.#decision?.changeId === this.#wanted.changeId
  }

  join(ports: CreationPorts): void {
    this.#waiting.push(ports)
  }

  begin(out: Effect[]): void {
    const { deciders, limits } = this.#needs
    this.#patience.set(limits.planTicks)
    this.#proposal = deciders.open(deciders.founding, this.#wanted.next.topic, beforeFirst, this, out)
    this.#proposal.propose(this.#wanted, out)
  }

  ready(): void {}

  waiting(reason: string): void {
    this.#silence = reason
  }

  decided(decision: Decision, out: Effect[]): void {
    this.#decision = decision
    this.#hand(out)
  }

  closed(newest: Configuration, out: Effect[]): void {
    this.#finish(newest, out)
  }

  started(from: ServerName, out: Effect[]): void {
    const decision = this.#decision
    if (decision === null || !isMember(decision.next, from)) return
    this.#started.add(from)
    if (this.#isEnabled || this.#started.size < enabledQuorum(decision.next)) return
    this.#isEnabled = true
    // Only what is kept there is found by everybody, also when all power is lost in the next moment.
    this.#needs.registry.note(decision.next, (into) => this.#finish(decision.next, into), out)
  }

  /** Until all members have started. */
  #hand(out: Effect[]): void {
    const decision = this.#decision
    if (decision === null || this.#over) return
    const missing = decision.next.members.filter((member) => !this.#started.has(member.name))
    const to = missing.map((member) => this.#needs.host.addressOf(member))
    const { topic } = decision.next
    if (to.length === 0) return
    this.#again.set(this.#needs.limits.resendTicks)
    send(out, to, { kind: 'decided', topic, epoch: beforeFirst, decision })
  }

  #finish(configuration: Configuration, out: Effect[]): void {
    if (this.#over) return
    this.#stop()
    for (const one of this.#waiting) one.made(configuration, out)
  }

  /** The next request for this topic goes on with what is decided. */
  #fail(out: Effect[]): void {
    this.#stop()
    if (this.#isEnabled) {
      const reason = 'it has begun, but too few arbiters keep where it is'
      for (const one of this.#waiting) one.failed('no-decider', reason, out)
      return
    }
    const members = this.#decision?.next.members ?? null
    const late = members?.filter(({ name }) => !this.#started.has(name)).map(memberId) ?? []
    const reason = members === null ? this.#silence : `it is decided, but has not begun on ${late.sort().join(', ')}`
    for (const one of this.#waiting) one.failed(members === null ? 'no-decider' : 'too-few-servers', reason, out)
  }

  #stop(): void {
    this.#over = true
    this.#again.stop()
    this.#patience.stop()
    this.#proposal?.cancel()
    this.#end()
  }
}
