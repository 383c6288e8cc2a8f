/**
 * The changes that this server coordinates: one at a time for each topic, the next ones wait until it is decided and has had
 * its time to begin. Turns a request into an intent
 * and tells whoever asked how it goes.
 */
import {
  type Configuration,
  checkDecider,
  checkMembership,
  type Decision,
  defaultDecider,
  defaultSizes,
  type Intent,
  intentOf,
  isMember,
  type Member,
  type Mode,
  minimumOf,
  toleratedFailures,
} from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { type Address, previousEpoch, type ServerName, serverId, serverIdOf, type TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { MessageOf, MessageTo, Refusal } from '../../proto/wire/messages.ts'
import type { Directory } from '../membership/directory.ts'
import { checkAnswering, choose, memberId } from '../membership/placement.ts'
import { explain, refusalOf } from '../refusal.ts'
import type { Replica } from '../replica/replica.ts'
import type { TopicState } from '../replica/topic-state.ts'
import type { ChangeListener, ChangePhase, ChangeResult, Coordination } from './change.ts'
import { Coordinator } from './coordinator.ts'

type Request = MessageOf<'reconfigure'>

interface Asker {
  readonly to: Address
  readonly token: number
  readonly request: MessageOf<'reconfigure'>
  /** How often the epoch that it would end was over already. */
  retries: number
  /** The newest configuration that members told of then. */
  newest: Configuration | null
}

interface Running {
  readonly coordinator: Coordinator
  readonly askers: Asker[]
}

/** What is known of the epochs of a topic: the newest one that is decided, and the highest one that is enabled. */
interface Known {
  readonly newest: Configuration
  readonly enabled: number
}

const waitingMax = 100
const retriesMax = 10

export class Changes {
  readonly #needs: Coordination
  readonly #directory: Directory
  readonly #replica: (topic: TopicName) => Replica | undefined
  readonly #running = new Map<TopicName, Running>()
  /** Decided, and still waited for: members that died keep their epoch from beginning, but not the next change. */
  readonly #stalled = new Set<Running>()
  readonly #waiting = new Map<TopicName, Asker[]>()
  /** Requests that came before this process had heard of all servers. */
  readonly #early: Asker[] = []
  /** Requests for epochs that are over, while it is asked how they ended. */
  readonly #past = new Map<number, Asker>()
  readonly #byToken = new Map<number, Running>()

  constructor(needs: Coordination, directory: Directory, replica: (topic: TopicName) => Replica | undefined) {
    this.#needs = needs
    this.#directory = directory
    this.#replica = replica
    directory.whenSettled((out) => this.#beginEarly(out))
  }

  reconfigure(to: Address, token: number, request: MessageOf<'reconfigure'>, out: Effect[]): void {
    const asker: Asker = { to, token, request, retries: 0, newest: null }
    const running = this.#running.get(request.topic)
    const stalled = [...this.#stalled].find(({ coordinator }) => isOf(coordinator, request))
    if (stalled !== undefined) join(stalled.askers, asker)
    else if (running === undefined) this.#begin(asker, out)
    else if (running.coordinator.intent.changeId === request.changeId) join(running.askers, asker)
    else this.#wait(asker, out)
  }

  /** A member of a wedged epoch finishes what its coordinator left. */
  finish(topic: TopicName, intent: Intent, finishing: boolean, out: Effect[]): void {
    const old = this.#replica(topic)?.state.opened?.configuration
    if (old === undefined) return
    const running = this.#running.get(topic)
    if (running !== undefined) {
      if (running.coordinator.old.epoch >= old.epoch) return
      // That change is decided, and this server has begun the epoch that it made; the end of that one does not wait for the others.
      this.#setAside(topic, running)
    }
    // A server that cannot ask the decider leaves it to the other members.
    if (this.#needs.deciders.has(old.decider)) this.#run(old, intent, [], finishing, out)
  }

  /** Followed to its end, and in nobody's way any more. */
  #setAside(topic: TopicName, running: Running): void {
    this.#stalled.add(running)
    this.#running.delete(topic)
  }

  take(from: ServerName, token: number, message: Exclude<MessageTo<'coordinator'>, Request>, out: Effect[]): void {
    if (message.kind === 'decisions') this.#decisions(token, message, out)
    else if (message.kind === 'started') this.#started(from, message, out)
    else this.#byToken.get(token)?.coordinator.take(from, message, out)
  }

  /** Starts are told to whoever waits, without a request's number. */
  #started(from: ServerName, message: MessageOf<'started'>, out: Effect[]): void {
    this.#running.get(message.topic)?.coordinator.take(from, message, out)
    for (const { coordinator } of this.#stalled)
      if (coordinator.old.topic === message.topic) coordinator.take(from, message, out)
  }

  /** Requests that came before this process had heard of all servers begin once it has. */
  #beginEarly(out: Effect[]): void {
    for (const asker of this.#early.splice(0)) this.reconfigure(asker.to, asker.token, asker.request, out)
  }

  /** A change that waits for a stalled one waits no longer. */
  #pass(running: Running, out: Effect[]): void {
    const { topic } = running.coordinator.old
    if (!running.coordinator.isStalled || this.#running.get(topic) !== running || !this.#waiting.has(topic)) return
    this.#setAside(topic, running)
    this.#beginWaiting(topic, out)
  }

  #wait(asker: Asker, out: Effect[]): void {
    const { topic } = asker.request
    const waiting = this.#waiting.get(topic) ?? []
    if (waiting.some((one) => one.request.changeId === asker.request.changeId && one.to === asker.to)) return
    if (waiting.length >= waitingMax) {
      this.#refuse(asker, 'busy', 'too many changes of this topic wait', out)
      return
    }
    this.#waiting.set(topic, [...waiting, asker])
    const running = this.#running.get(topic)
    if (running !== undefined) this.#pass(running, out)
  }

  #begin(asker: Asker, out: Effect[]): void {
    const { request } = asker
    const replica = this.#replica(request.topic)
    const known = replica?.state.findChange(request.changeId) ?? replica?.state.decisionOf(request.epoch)
    if (known !== undefined && (request.epoch > 0 || known.changeId === request.changeId)) {
      this.#answerPast(asker, known, replica?.state ?? null, out)
      return
    }
    const serving = replica?.serving ?? null
    if (serving !== null) {
      this.#start(asker, serving, out)
      return
    }
    const found = (configuration: Configuration | null, into: Effect[]) => {
      const newest = newer(newer(configuration, replica?.state.newest ?? null), asker.newest)
      if (newest === null) this.#refuse(asker, 'unknown-topic', request.topic, into)
      else if (this.#running.has(request.topic)) this.#wait(asker, into)
      else this.#start(asker, newest, into)
    }
    const unanswered = (reason: string, into: Effect[]) => this.#refuse(asker, 'no-decider', reason, into)
    this.#needs.registry.lookup(request.topic, { found, unanswered }, out)
  }

  /** The epoch is over, and how is not known here: a member of the newest one tells. */
  #askPast(asker: Asker, newest: Configuration, out: Effect[]): void {
    const token = this.#needs.host.nextToken()
    const { topic, epoch } = asker.request
    this.#past.set(token, asker)
    // Whoever is not answered asks again: the oldest question makes room.
    const [oldest] = this.#past.keys()
    if (this.#past.size > waitingMax && oldest !== undefined) this.#past.delete(oldest)
    const to = newest.members.map((member) => this.#needs.host.addressOf(member))
    send(out, to, { kind: 'chain', topic, epoch: previousEpoch(epoch) }, token)
  }

  /** An answer to that; the first that knows counts. */
  #decisions(token: number, message: MessageOf<'decisions'>, out: Effect[]): void {
    const asker = this.#past.get(token)
    // The first one made the epoch that was asked for, the next one ended it.
    const [made, ended] = message.decisions
    const decision = message.decisions.find((one) => one.changeId === asker?.request.changeId) ?? ended
    if (asker === undefined || made === undefined || decision === undefined) return
    this.#past.delete(token)
    const old = message.decisions.find((one) => one.next.epoch === previousEpoch(decision.next.epoch)) ?? made
    const state = this.#replica(message.topic)?.state
    const known = { newest: message.newest, enabled: Math.max(message.enabled, state?.enabledEpoch ?? 0) }
    this.#follow(asker, decision, old.next, known, out)
  }

  /** The epoch was ended already: by this very change, which is then followed to its end, or by another. */
  #answerPast(asker: Asker, decision: Decision, state: TopicState | null, out: Effect[]): void {
    const old = state?.configurationOf(previousEpoch(decision.next.epoch)) ?? null
    const known = { newest: state?.newest ?? decision.next, enabled: state?.enabledEpoch ?? 0 }
    this.#follow(asker, decision, old, known, out)
  }

  /**
   * Tells the result of a change whose epoch is over. That a later epoch has been decided does not show that this one, or any, is
   * enabled: until that is known, the change is followed as if it had just been decided.
   */
  #follow(asker: Asker, decision: Decision, old: Configuration | null, known: Known, out: Effect[]): void {
    const isEnabled = known.enabled >= decision.next.epoch
    const isOwn = decision.changeId === asker.request.changeId
    if (isOwn && !isEnabled && old !== null) {
      const later = known.newest.epoch > decision.next.epoch ? known.newest.members : []
      if (this.#running.has(old.topic)) this.#wait(asker, out)
      else this.#run(old, intentOf(decision), [asker], true, out).decided(decision, out, later)
    } else if (isOwn && !isEnabled) {
      // One of the next members, which does not know the members before: the asker turns to another server.
      this.#refuse(asker, 'not-yet', `whether epoch ${decision.next.epoch} is enabled is not known here`, out)
    } else this.#tellPast(asker, decision, old, isEnabled, out)
  }

  #tellPast(asker: Asker, decision: Decision, old: Configuration | null, enabled: boolean, out: Effect[]): void {
    const superseded = decision.changeId !== asker.request.changeId
    const times = { planUs: 0, wedgeUs: 0, stageUs: 0, decideUs: 0, startUs: 0 }
    const result = { decision, enabled, superseded, retirable: [], times }
    if (superseded) {
      this.#tell([asker], result, true, out)
      return
    }
    const retired = (old?.members ?? []).filter((member) => !isMember(decision.next, member.name))
    const retirable = retired.map((member) => member.name)
    // Here as at the end of a change: servers may stop only once clients that slept through it find the next ones.
    this.#needs.registry.note(decision.next, (into) => this.#tell([asker], { ...result, retirable }, true, into), out)
  }

  #start(asker: Asker, old: Configuration, out: Effect[]): void {
    const { request } = asker
    if (request.epoch > old.epoch) {
      // This server is behind: whoever asked knows more, and asks another one.
      this.#refuse(asker, 'not-yet', `epoch ${old.epoch} is the newest known here`, out)
      return
    }
    if (request.epoch > 0 && request.epoch < old.epoch) {
      this.#askPast(asker, old, out)
      return
    }
    try {
      this.#needs.deciders.check(old.decider)
      this.#run(old, this.#intentOf(request, old), [asker], false, out)
    } catch (error) {
      if (!(error instanceof EpochcastError)) throw error
      if (!this.#directory.settled && this.#early.length < waitingMax) {
        this.#early.push(asker)
        return
      }
      this.#refuse(asker, refusalOf(error), explain(error), out)
    }
  }

  /** @param finishing the old epoch is wedged, or over, already */
  #run(old: Configuration, intent: Intent, askers: Asker[], finishing: boolean, out: Effect[]): Coordinator {
    // What it says last is told before the next change begins.
    const next = this.#needs.host.timers.timer('change-next', old.topic, (into) => this.#over(running, into))
    const listener: ChangeListener = {
      ...this.#listener(old.topic, intent, askers),
      stalled: (into) => this.#pass(running, into),
      over: () => next.set(1),
    }
    const running: Running = { askers, coordinator: new Coordinator(old, intent, this.#needs, listener) }
    this.#running.set(old.topic, running)
    this.#byToken.set(running.coordinator.token, running)
    running.coordinator.begin(finishing, out)
    if (running.coordinator.over) this.#next(old.topic, running.coordinator, out)
    return running.coordinator
  }

  #listener(topic: TopicName, intent: Intent, askers: readonly Asker[]): Omit<ChangeListener, 'stalled' | 'over'> {
    return {
      phase: (phase, detail, out) => this.#progress(topic, intent, askers, phase, detail, out),
      decided: (result, out) => this.#tell(askers, result, false, out),
      ended: (result, out) => this.#tell(askers, result, false, out),
      retirable: (result, out) => this.#tell(askers, result, true, out),
      failed: (refusal, reason, out) => {
        for (const asker of askers) this.#refuse(asker, refusal, reason, out)
      },
      outdated: (newest, out) => this.#outdated(askers, newest, out),
    }
  }

  #outdated(askers: readonly Asker[], newest: Configuration, out: Effect[]): void {
    this.#replica(newest.topic)?.hear(newest, out)
    for (const asker of askers) {
      const { request } = asker
      asker.newest = newer(newest, asker.newest)
      if (request.epoch === 0 && asker.retries++ < retriesMax) this.#wait(asker, out)
      else this.#refuse(asker, 'superseded', `epoch ${newest.epoch} has been decided`, out)
    }
  }

  #over(running: Running, out: Effect[]): void {
    const { coordinator } = running
    this.#stalled.delete(running)
    this.#byToken.delete(coordinator.token)
    this.#next(coordinator.old.topic, coordinator, out)
  }

  /** A topic is free again: the next requests begin, until one of them takes it. */
  #next(topic: TopicName, ended: Coordinator, out: Effect[]): void {
    if (this.#running.get(topic)?.coordinator !== ended) return
    this.#running.delete(topic)
    this.#byToken.delete(ended.token)
    this.#beginWaiting(topic, out)
  }

  #beginWaiting(topic: TopicName, out: Effect[]): void {
    const waiting = this.#waiting.get(topic) ?? []
    this.#waiting.delete(topic)
    for (const asker of waiting) {
      if (this.#running.has(topic)) this.#wait(asker, out)
      else this.#begin(asker, out)
    }
  }

  #intentOf(request: MessageOf<'reconfigure'>, old: Configuration): Intent {
    const mode = request.mode ?? old.mode
    const members = request.members.length > 0 ? this.#named(request.members) : this.#chosen(request, mode, old)
    checkMembership(
      mode,
      members.map((member) => member.name),
    )
    const changesMode = mode !== old.mode
    const { deciders } = this.#needs
    const kept = request.decider === undefined && !changesMode
    const decider = kept ? old.decider : deciders.resolve(request.decider ?? defaultDecider(mode, deciders.founding))
    checkDecider(mode, decider)
    const membersMin = minimumOf(request.membersMin, old.membersMin, members.length)
    return { changeId: request.changeId, members, mode, decider, membersMin, order: request.order ?? old.order }
  }

  #named(ids: readonly string[]): Member[] {
    return ids.map((text) => {
      const member = this.#directory.byId(serverId(text))
      if (member !== undefined) return member
      const known = this.#directory.servers().map(({ name }) => serverIdOf(name))
      throw new EpochcastError('EC_UNKNOWN_SERVER', `no server is called ${text}`, {
        hint: `known: ${known.join(', ')}`,
      })
    })
  }

  /** Members that nobody named: the living old ones as far as the mode has room for them, then others, living ones first. */
  #chosen(request: MessageOf<'reconfigure'>, mode: Mode, old: Configuration): Member[] {
    const size = request.size ?? sizeFor(mode, old)
    if (mode === old.mode && size === old.members.length) return [...old.members]
    const isAlive = ({ name }: Member) => this.#directory.isAlive(name)
    const kept = old.members.filter(isAlive).slice(0, size)
    const members = choose(old.topic, mode, size, kept, this.#directory.servers(), isAlive)
    checkAnswering(mode, members, isAlive, memberId)
    return members
  }

  #progress(
    topic: TopicName,
    intent: Intent,
    askers: readonly Asker[],
    phase: ChangePhase,
    detail: string,
    out: Effect[],
  ): void {
    for (const { to, token, request } of askers) {
      const { changeId } = intent
      send(out, to, { kind: 'progress', topic, epoch: request.epoch, changeId, phase, detail }, token)
    }
  }

  #tell(askers: readonly Asker[], result: ChangeResult, final: boolean, out: Effect[]): void {
    for (const { to, token, request } of askers) {
      const { topic, epoch, changeId } = request
      send(out, to, { kind: 'changed', topic, epoch, changeId, ...result, final }, token)
    }
  }

  #refuse(asker: Asker, refusal: Refusal, detail: string, out: Effect[]): void {
    const { topic, epoch } = asker.request
    send(out, asker.to, { kind: 'refused', topic, epoch, refusal, detail }, asker.token)
  }
}

function isOf({ old, intent }: Coordinator, { topic, changeId }: MessageOf<'reconfigure'>): boolean {
  return old.topic === topic && intent.changeId === changeId
}

/** Whoever asks again is told once. */
function join(askers: Asker[], asker: Asker): void {
  if (!askers.some(({ to, token }) => to === asker.to && token === asker.token)) askers.push(asker)
}

/** Servers that the mode takes to survive as many failures as before. */
export function sizeFor(mode: Mode, old: Configuration): number {
  if (mode === old.mode) return old.members.length
  const failures = Math.max(1, toleratedFailures(old.mode, old.members.length))
  if (mode === 'fault-masking') return 2 * failures + 1
  return mode === 'fault-recovery' ? failures + 1 : defaultSizes.single
}

function newer(one: Configuration | null, other: Configuration | null): Configuration | null {
  if (one === null || other === null) return one ?? other
  return one.epoch >= other.epoch ? one : other
}
