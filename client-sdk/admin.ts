/** What operators ask for: topics, servers, epoch changes. */
import { type Configuration, type Decider, type Decision, majority } from '../proto/configuration.ts'
import { EpochcastError, type ErrorCode } from '../proto/errors.ts'
import {
  type Address,
  type Epoch,
  epoch,
  type ServerName,
  serverIdOf,
  type TopicName,
  topicName,
} from '../proto/ids.ts'
import type { Effect } from '../proto/machine/contract.ts'
import type { Loop } from '../proto/machine/loop.ts'
import type { Sync } from '../proto/sync.ts'
import type { EngineState, Message, MessageOf } from '../proto/wire/messages.ts'
import { companionPrefixes, isCompanion, isCompanionOf, isLike, likeTopic } from './companion.ts'
import { createTopicOptions, reconfigureOptions, waitOptions } from './door/admin-calls.ts'
import { text } from './door/checks.ts'
import { refusal } from './door/refusal.ts'
import { Inspection } from './inspection.ts'
import type { ClientCall, ClientMachine } from './machine.ts'
import { mustExist } from './positions.ts'
import { printable, printableDecision } from './printing.ts'
import {
  type Change,
  type ChangeListener,
  type ChangeResult,
  follow,
  type ReconfigureOptions,
  requestChange,
  type TopicOptions,
  templateOf,
} from './reconfigure.ts'
import { refusalError } from './refusals.ts'
import type { Question } from './requests.ts'
import { limitsOf, type OpenWaits, type WaitOptions, waitFor } from './waiting.ts'

export interface ServerInfo {
  readonly id: string
  readonly name: ServerName
  readonly address: Address
  readonly alive: boolean
  /** It came back with an old copy of its disk and stopped: its storage is lost, and it takes an empty one to come back. */
  readonly hasOldDisk: boolean
  /** When it flushes, as it said itself to the server that was asked; `always` also where it has said nothing yet. */
  readonly sync: Sync
}

/** One topic on one server. */
export interface ReplicaInfo {
  readonly server: string
  readonly phase: string
  readonly epoch: Epoch | null
  readonly storedCount: number
  readonly stored: MessageOf<'condition'>['stored']
  readonly stagedCount: number
  readonly heldEpochs: number
}

/** The decision engines that one server has, and how it sees them. */
export interface ServerEngines {
  readonly server: string
  /** It did not answer in time. */
  readonly silent: boolean
  readonly engines: readonly EngineState[]
  /** Who decides about new topics of its cluster; null where it is silent. */
  readonly founding: Decider | null
}

/** What ends the question, not only this member's part of it. */
const finalCodes: readonly ErrorCode[] = ['EC_CLOSED', 'EC_ABORTED']
const mayBeOwn: readonly ErrorCode[] = ['EC_SUPERSEDED', 'EC_TRANSFER_FAILED', 'EC_NO_DECIDER']
const memberTimeoutMs = 200
const downTimeoutMs = 50
const notesTimeoutMs = 1_000

export class Admin {
  /** What single servers hold and know of a topic: for checks and explanations. */
  readonly inspection: Inspection
  readonly #machine: ClientMachine
  readonly #loop: Loop<ClientCall>
  readonly #waits: OpenWaits
  readonly #newId: () => string
  readonly #closed: () => EpochcastError | null

  constructor(
    machine: ClientMachine,
    loop: Loop<ClientCall>,
    waits: OpenWaits,
    newId: () => string,
    closed: () => EpochcastError | null,
  ) {
    this.#machine = machine
    this.#loop = loop
    this.#waits = waits
    this.#newId = newId
    this.#closed = closed
    this.inspection = new Inspection({
      waits,
      closed,
      addressOf: (member) => machine.servers.addressOf(member),
      request: (question) => this.#request(question),
    })
  }

  /**
   * Makes a topic.
   * @throws EpochcastError `EC_TOPIC_EXISTS`, `EC_IMPOSSIBLE_MEMBERSHIP`, `EC_UNKNOWN_SERVER`, `EC_TIMEOUT`
   */
  async createTopic(name: string, given: TopicOptions & WaitOptions = {}): Promise<Configuration> {
    topicName(name)
    const options = createTopicOptions(given)
    checkSize(options)
    const changeId = this.#newId()
    const { configuration, created } = await this.#locate(name, true, options, epoch(0), changeId)
    // An answer may have been lost or late: then another server was asked, which found what this call had made.
    if (created || (await this.#isMadeBy(changeId, configuration, options))) return configuration
    throw new EpochcastError(
      'EC_TOPIC_EXISTS',
      `topic ${name} exists already, as ${configuration.mode} in epoch ${configuration.epoch}`,
      {
        hint: 'reconfigure it instead',
      },
    )
  }

  /** The newest configuration of a topic. @throws EpochcastError `EC_UNKNOWN_TOPIC`, `EC_TIMEOUT` */
  async topic(name: string, options: WaitOptions = {}): Promise<Configuration> {
    return this.#newest(topicName(name), topicLimits(options))
  }

  async #newest(name: TopicName, options: WaitOptions): Promise<Configuration> {
    let { configuration } = await this.#locate(name, false, options)
    // What was noted, or what a retired server knows, may be behind; members know better, and lead on to the next ones.
    for (;;) {
      const { newest, isSure } = await this.#newestKnownTo(configuration, options)
      if (newest !== null && newest.epoch > configuration.epoch) configuration = newest
      else if (isSure) return configuration
      else {
        // Its members may have been retired and stopped since: whoever keeps the newest configurations is asked.
        const noted = await this.#notedAfter(configuration, options)
        if (noted === null || noted.epoch <= configuration.epoch) return configuration
        configuration = noted
      }
    }
  }

  /** Every topic's newest configuration, as it was noted. */
  async topics(given: WaitOptions = {}): Promise<readonly Configuration[]> {
    const options = topicsLimits(given)
    const topics: Configuration[] = []
    for (;;) {
      const page = await this.topicsAfter(topics.at(-1)?.topic ?? '', options)
      topics.push(...page.configurations)
      if (!page.more || page.configurations.length === 0) return topics
    }
  }

  /** Some topics whose names come behind `after`, in the order of names. */
  async topicsAfter(after: string, options: WaitOptions = {}): Promise<MessageOf<'topics'>> {
    const question: Message = { kind: 'list-topics', after: placeInNames(after, 'the name that the page comes behind') }
    return this.#ask(question, 'topics', 'list of topics', topicsLimits(options))
  }

  async servers(given: WaitOptions = {}): Promise<readonly ServerInfo[]> {
    const options = serversLimits(given)
    const message = await this.#ask({ kind: 'list-servers' }, 'directory', 'list of servers', options)
    this.#machine.servers.learn(message.servers)
    return message.servers.map(({ name, address }) => ({
      id: serverIdOf(name),
      name,
      address,
      alive: !message.silent.includes(name),
      hasOldDisk: message.old.includes(name),
      sync: message.syncs.find((one) => one.name === name)?.sync ?? 'always',
    }))
  }

  /** How each epoch of a topic ended, oldest first; the first entry is the topic's creation. */
  async epochs(name: string, given: WaitOptions = {}): Promise<readonly Decision[]> {
    const options = epochsLimits(given)
    const configuration = await this.#newest(topicName(name), options)
    const members = configuration.members.map((member) => this.#machine.servers.addressOf(member))
    const decisions: Decision[] = []
    for (let from = 0; ; from = (decisions[decisions.length - 1]?.next.epoch ?? 0) as number) {
      const message = await this.#chain(name, epoch(from), members, options)
      decisions.push(...message.decisions.map(printableDecision))
      if (message.decisions.length === 0) return decisions
    }
  }

  /** State of a topic on every member that answers within `timeoutMs` (default 1,000). */
  async replicas(name: string, given: WaitOptions = {}): Promise<readonly ReplicaInfo[]> {
    const options = replicasLimits(given)
    const configuration = await this.#newest(topicName(name), options)
    const asked = configuration.members.map(async (member): Promise<ReplicaInfo> => {
      const server = serverIdOf(member.name)
      const to = [this.#machine.servers.addressOf(member)]
      const inquiry: Message = { kind: 'inquire', topic: topicName(name), epoch: configuration.epoch }
      const limits = { timeoutMs: 1_000, ...options }
      try {
        const condition = await this.#ask(inquiry, 'condition', `state of ${server}`, limits, to)
        const { phase, stored, stagedCount, heldEpochs } = condition
        let storedCount = 0
        for (const { end } of stored.values()) storedCount += end
        return {
          server,
          phase,
          epoch: condition.configuration?.epoch ?? null,
          storedCount,
          stored: printable(stored),
          stagedCount,
          heldEpochs,
        }
      } catch (error) {
        if (!(error instanceof EpochcastError) || error.code !== 'EC_TIMEOUT') throw error
        return {
          server,
          phase: 'silent',
          epoch: null,
          storedCount: 0,
          stored: new Map(),
          stagedCount: 0,
          heldEpochs: 0,
        }
      }
    })
    return Promise.all(asked)
  }

  /** Decision engines outside of the cluster, as each server that answers within `timeoutMs` (default 1,000) sees them. */
  async engines(given: WaitOptions = {}): Promise<readonly ServerEngines[]> {
    const options = enginesLimits(given)
    const servers = await this.servers(options)
    const asked = servers.map(async ({ id, address }): Promise<ServerEngines> => {
      const limits = { timeoutMs: 1_000, ...options }
      try {
        const told = await this.#ask({ kind: 'list-engines' }, 'engines', `engines of ${id}`, limits, [address])
        return { server: id, silent: false, engines: told.engines, founding: told.decider }
      } catch (error) {
        if (!(error instanceof EpochcastError) || error.code !== 'EC_TIMEOUT') throw error
        return { server: id, silent: true, engines: [], founding: null }
      }
    })
    return Promise.all(asked)
  }

  /**
   * Ends the topic's epoch and begins the next one with other members, another mode, or the same. Members that are left out are
   * chosen: the old ones as far as they fit, then servers that are alive.
   * @param options.timeoutMs whole change; when it runs out the change may still be made
   */
  reconfigure(name: string, given: ReconfigureOptions & WaitOptions = {}): Change {
    try {
      const options = reconfigureOptions(given)
      checkSize(options)
      return this.#change(topicName(name), options)
    } catch (error) {
      return follow(this.#newId(), () => Promise.reject(error))
    }
  }

  #change(topic: TopicName, options: ReconfigureOptions & WaitOptions): Change {
    const id = options.changeId ?? this.#newId()
    const { servers } = this.#machine
    const run = async (told: ChangeListener): Promise<void> => {
      const limits = limitsOf(options)
      const current = await this.#newest(topic, limits)
      await this.#mustHaveBegun(current, options.expectEpoch, limits)
      // Nobody may stop while topics that belong to this one are still there.
      let retirable: readonly string[] = []
      const first = { ...told, retirable: (ids: readonly string[]) => (retirable = ids) }
      try {
        await requestChange(this.#waits, current, id, options, servers, (question) => this.#request(question), first)
        await this.#moveCompanions(current.topic, limitsOf(options))
        told.retirable(retirable)
      } catch (error) {
        const own = await this.#ownDecision(current, id, error)
        if (own === null) throw error
        told.decided(own)
        told.enabled(own)
        told.retirable([])
      }
    }
    return follow(id, run)
  }

  /** No member answers for an epoch that it has not heard of. */
  async #mustHaveBegun({ topic, epoch: newest }: Configuration, of: number | 'any' | undefined, limits: WaitOptions) {
    if (typeof of !== 'number' || of <= newest) return
    const context = { admin: this, loop: this.#loop, machine: this.#machine, waits: this.#waits }
    await mustExist(context, topic, epoch(of), 0, limits)
  }

  /** What belongs to a topic goes where the topic went. */
  async #moveCompanions(of: TopicName, options: WaitOptions): Promise<void> {
    if (isCompanion(of)) return
    const names: TopicName[] = []
    for (const prefix of companionPrefixes(of)) {
      const page = await this.topicsAfter(prefix, options)
      names.push(...page.configurations.map((one) => one.topic).filter((name) => isCompanionOf(of, name)))
    }
    await Promise.all(names.map((name) => this.#moveBeside(of, name, options)))
  }

  async #moveBeside(of: TopicName, name: TopicName, limits: WaitOptions): Promise<void> {
    for (;;) {
      const [topic, companion] = await Promise.all([this.topic(of, limits), this.topic(name, limits)])
      if (isLike(companion, topic)) return
      try {
        await this.reconfigure(name, { ...likeTopic(topic), ...limits }).retirable
      } catch (error) {
        // A group moves its log by itself: then it is looked at again.
        if (!(error instanceof EpochcastError) || error.code !== 'EC_SUPERSEDED') throw error
      }
    }
  }

  /** @param known epoch that is known already: a later one is wanted */
  async #locate(
    name: string,
    create: boolean,
    options: TopicOptions & WaitOptions,
    known: Epoch = epoch(0),
    changeId?: string,
  ): Promise<MessageOf<'located'>> {
    const topic = topicName(name)
    const request: Message = {
      kind: 'locate',
      topic,
      epoch: known,
      create,
      explicit: create,
      ...templateOf(options),
      ...(changeId !== undefined && { changeId }),
    }
    const located = await this.#ask(request, 'located', `looking for ${name}`, options)
    this.#machine.servers.learn(located.servers)
    this.#machine.servers.learnPast(located.configuration.members)
    return located
  }

  /** Whether the decision that made the topic is that of the call with this id. */
  async #isMadeBy(changeId: string, { topic, members }: Configuration, options: WaitOptions): Promise<boolean> {
    const to = members.map((member) => this.#machine.servers.addressOf(member))
    try {
      const { decisions } = await this.#chain(topic, epoch(0), to, { ...options, timeoutMs: notesTimeoutMs })
      return decisions[0]?.changeId === changeId
    } catch (error) {
      // Its members do not answer: what this call made would have just started.
      if (error instanceof EpochcastError && error.code === 'EC_TIMEOUT') return false
      throw error
    }
  }

  /** A server that was asked later may call a change superseded that it did not know to be the one asked for. */
  async #ownDecision(before: Configuration, changeId: string, error: unknown): Promise<ChangeResult | null> {
    if (!(error instanceof EpochcastError) || !mayBeOwn.includes(error.code)) return null
    const newest = await this.topic(before.topic)
    const members = newest.members.map((member) => this.#machine.servers.addressOf(member))
    const { decisions } = await this.#chain(before.topic, before.epoch, members, {})
    const decision = decisions.find((one) => one.changeId === changeId)
    if (decision === undefined) return null
    const times = { planMs: 0, wedgeMs: 0, stageMs: 0, decideMs: 0, startMs: 0 }
    return { changeId, configuration: decision.next, decision: printableDecision(decision), times }
  }

  /** What is noted beyond a configuration, where those who keep the notes answer soon. */
  async #notedAfter({ topic, epoch: known }: Configuration, options: WaitOptions): Promise<Configuration | null> {
    try {
      return (await this.#locate(topic, false, { ...options, timeoutMs: notesTimeoutMs }, known)).configuration
    } catch (error) {
      if (error instanceof EpochcastError && error.code === 'EC_TIMEOUT') return null
      throw error
    }
  }

  /** The newest configuration that a majority of the members know, or as many of them as answer soon. */
  async #newestKnownTo(configuration: Configuration, options: WaitOptions): Promise<Known> {
    const { topic, epoch: from, members } = configuration
    this.#machine.servers.learnPast(members)
    const asked = members.map(async (member) => {
      const to = [this.#machine.servers.addressOf(member)]
      // Perhaps it came back without anything having been said since.
      const timeoutMs = this.#machine.servers.isDown(to[0]) ? downTimeoutMs : memberTimeoutMs
      try {
        return (await this.#chain(topic, from, to, { ...options, timeoutMs })).newest
      } catch (error) {
        if (error instanceof EpochcastError && !finalCodes.includes(error.code)) return null
        throw error
      }
    })
    const isNewer = (one: Configuration) => one.epoch > from
    const quorum = majority(members.length)
    const answers = await someOf(asked, (given) => given.length >= quorum || given.some(isNewer))
    return { newest: newestOf(answers), isSure: answers.length >= quorum }
  }

  #chain(name: string, from: Epoch, to: readonly Address[], options: WaitOptions): Promise<MessageOf<'decisions'>> {
    const request: Message = { kind: 'chain', topic: topicName(name), epoch: from }
    return this.#ask(request, 'decisions', `epochs of ${name}`, options, to)
  }

  /** One question, one answer of the wanted kind. */
  #ask<K extends Message['kind']>(
    message: Message,
    wanted: K,
    what: string,
    options: WaitOptions,
    to?: readonly Address[],
  ): Promise<Extract<Message, { kind: K }>> {
    const closed = this.#closed()
    if (closed !== null) return Promise.reject(closed)
    const limits = { timeoutMs: 10_000, ...options }
    return waitFor(this.#waits, limits, what, (resolve, reject) => {
      const answer = (reply: Message): boolean => {
        // Another server may know what this one does not.
        if (reply.kind === 'refused' && reply.refusal === 'not-yet' && to?.length !== 1) return false
        if (reply.kind === 'refused') {
          reject(refusalError('topic' in message ? message.topic : '', reply))
          return true
        }
        if (reply.kind !== wanted) return false
        resolve(reply as Extract<Message, { kind: K }>)
        return true
      }
      return this.#request({
        message,
        to: () => (to === undefined ? this.#machine.servers.addresses() : this.#machine.servers.inOrder(to)),
        answer,
        failed: reject,
      })
    })
  }

  #request(question: Question): () => void {
    let token = 0
    const ask = (out: Effect[]) => {
      token = this.#machine.requests.ask(question, out)
    }
    this.#loop.call(ask, question.failed)
    return () => this.#loop.call(() => this.#machine.requests.withdraw(token))
  }
}

const topicLimits = waitOptions('topic')
const topicsLimits = waitOptions('topics')
const serversLimits = waitOptions('servers')
const epochsLimits = waitOptions('epochs')
const replicasLimits = waitOptions('replicas')
const enginesLimits = waitOptions('engines')
const placeInNames = text(200, 0)

/** @throws EpochcastError `EC_BAD_ARGUMENT` where a number of servers and their names say different things */
function checkSize({ members, size }: TopicOptions): void {
  if (members === undefined || size === undefined || members.length === size) return
  throw refusal(`size ${size} is not the number of the members, ${members.length}`, 'say one of them')
}

interface Known {
  readonly newest: Configuration | null
  /** A majority of the members said so. */
  readonly isSure: boolean
}

/** Waits until the answers that are not null are enough, or all are there. */
function someOf<T>(asked: readonly Promise<T | null>[], isEnough: (given: readonly T[]) => boolean): Promise<T[]> {
  return new Promise((resolve, reject) => {
    const answers: T[] = []
    let open = asked.length
    for (const one of asked) {
      one.then((answer) => {
        open--
        if (answer !== null) answers.push(answer)
        if (isEnough(answers) || open === 0) resolve(answers)
      }, reject)
    }
  })
}

function newestOf(configurations: readonly Configuration[]): Configuration | null {
  let newest: Configuration | null = null
  for (const one of configurations) if (newest === null || one.epoch > newest.epoch) newest = one
  return newest
}
