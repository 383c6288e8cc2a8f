/** What operators ask for: topics, servers, epoch changes. */
import { type Configuration, type Decider, type Decision, isMember, majority } from '../proto/configuration.ts'
import { text } from '../proto/door/checks.ts'
import { refusal } from '../proto/door/refusal.ts'
import { EpochcastError, type ErrorCode } from '../proto/errors.ts'
import {
  type Address,
  type Epoch,
  epoch,
  type ServerName,
  serverId,
  serverIdOf,
  type TopicName,
  topicName,
} from '../proto/ids.ts'
import type { Effect } from '../proto/machine/contract.ts'
import type { Loop } from '../proto/machine/loop.ts'
import type { Shortage } from '../proto/shortage.ts'
import type { Sync } from '../proto/sync.ts'
import type { EngineState, Message, MessageOf } from '../proto/wire/messages.ts'
import { companionPrefixes, isCompanion, isCompanionOf, isLike, likeTopic } from './companion.ts'
import { createTopicOptions, reconfigureOptions, waitOptions } from './door/admin-calls.ts'
import { Inspection } from './inspection.ts'
import type { ClientCall, ClientMachine } from './machine.ts'
import { mustExist } from './positions.ts'
import { printableDecision } from './printing.ts'
import {
  type Change,
  type ChangeListener,
  type ChangePorts,
  type ChangeResult,
  follow,
  type ReconfigureOptions,
  requestChange,
  type ServerParts,
  type TopicOptions,
  templateOf,
} from './reconfigure.ts'
import { refusalError } from './refusals.ts'
import { type ReplicaInfo, replicasOf } from './replicas.ts'
import { ofOneServer, type Question } from './requests.ts'
import { limitsOf, type OpenWaits, type WaitOptions, waitFor } from './waiting.ts'

export interface ServerInfo {
  readonly id: string
  readonly name: ServerName
  readonly address: Address
  readonly alive: boolean
  /** It came back with an old copy of its disk and stopped: its storage is lost, and it takes an empty one to come back. */
  readonly hasOldDisk: boolean
  /** Where other processes ran under its id lately: they came later, and were told to stop. Empty where all is well. */
  readonly twins: readonly Address[]
  /** When it flushes, as it said itself to the server that was asked; `always` also where it has said nothing yet. */
  readonly sync: Sync
  /** What it is short of while it goes on; empty where nothing is missing, or where it is silent. */
  readonly shortages: readonly Shortage[]
  /** It is one of the arbiters, which decide what new topics are and where topics are found. */
  readonly isArbiter: boolean
  /** It has the id of an arbiter that lost its disk, and is none itself. */
  readonly cameAfterArbiter: boolean
}

/** One of the arbiters of the cluster, which are those of its bootstrap. */
export interface ArbiterInfo {
  readonly id: string
  readonly name: ServerName
  readonly address: Address
  /** `lost`: its server came back without its disk, as another server that is no arbiter. */
  readonly state: 'answers' | 'silent' | 'old-disk' | 'lost'
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
const partsTimeoutMs = 1_000
/** The longest pause before a released server is asked again whether it knows that it is. */
const releasePauseMsMax = 640

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

  /** Some topics whose names come behind `after` and begin with `prefix`, in the order of names. */
  async topicsAfter(after: string, options: WaitOptions = {}, prefix = ''): Promise<MessageOf<'topics'>> {
    const place = placeInNames(after, 'the name that the page comes behind')
    const question: Message = { kind: 'list-topics', after: place, ...(prefix !== '' && { prefix }) }
    return this.#ask(question, 'topics', 'list of topics', topicsLimits(options))
  }

  async servers(given: WaitOptions = {}): Promise<readonly ServerInfo[]> {
    const options = serversLimits(given)
    const message = await this.#ask({ kind: 'list-servers' }, 'directory', 'list of servers', options)
    this.#machine.servers.learn(message.servers)
    return serversIn(message)
  }

  /** The arbiters of the cluster, as the server that is asked sees them. */
  async arbiters(given: WaitOptions = {}): Promise<readonly ArbiterInfo[]> {
    const options = arbitersLimits(given)
    const message = await this.#ask({ kind: 'list-servers' }, 'directory', 'list of arbiters', options)
    const servers = serversIn(message)
    return message.arbiters.map(({ name, address }) => {
      const id = serverIdOf(name)
      const server = servers.find((one) => one.id === id)
      return { id, name, address: server?.address ?? address, state: arbiterState(name, server) }
    })
  }

  /**
   * What a server is needed for, asked of the server itself and of all others; of the arbiters where it does not answer.
   * @throws EpochcastError `EC_UNKNOWN_SERVER`, `EC_TIMEOUT`
   */
  async parts(id: string, given: WaitOptions = {}): Promise<ServerParts> {
    const options = partsLimits(given)
    serverId(id)
    const servers = await this.servers(options)
    const server = servers.find((one) => one.id === id)
    if (server === undefined) throw new EpochcastError('EC_UNKNOWN_SERVER', `no server is called ${id}`)
    const topics = new Set<string>()
    const asked = servers
      .filter(({ alive }) => alive)
      .map(async (one) => ({ one, known: await this.#partsAt(one, server, options) }))
    const answers = await Promise.all(asked)
    for (const { known } of answers) for (const topic of known ?? []) topics.add(topic)
    const parts = { server: id, isArbiter: server.isArbiter }
    if (answers.some(({ one, known }) => one.id === id && known !== null)) {
      return { ...parts, topics: [...topics].sort(), isSure: true }
    }
    const noted = await this.#topicsNoted(options)
    for (const one of noted ?? []) if (isMember(one, server.name)) topics.add(one.topic)
    return { ...parts, topics: [...topics].sort(), isSure: noted !== null }
  }

  /** All topics; null where too few arbiters answer. */
  async #topicsNoted(options: WaitOptions): Promise<readonly Configuration[] | null> {
    try {
      return await this.topics(options)
    } catch (error) {
      if (error instanceof EpochcastError && !finalCodes.includes(error.code)) return null
      throw error
    }
  }

  /**
   * Takes a server that is gone for good off the list of servers. Doing it again changes nothing; a server that is started
   * again comes back by itself.
   * @throws EpochcastError `EC_STILL_NEEDED` while it answers, is an arbiter, or is a member of a topic; `EC_UNKNOWN_SERVER`,
   *   `EC_NO_DECIDER`, `EC_UNAVAILABLE`, `EC_TIMEOUT`
   */
  async forgetServer(id: string, given: WaitOptions = {}): Promise<void> {
    const options = forgetLimits(given)
    const { name } = await this.#ask({ kind: 'forget', server: serverId(id) }, 'forgot', `forgetting ${id}`, options)
    this.#machine.servers.forget(name)
  }

  /** Topics that need a server, as one server knows; null where it does not answer within a second. */
  async #partsAt(at: ServerInfo, of: ServerInfo, options: WaitOptions): Promise<readonly string[] | null> {
    const topics: string[] = []
    const limits = { ...options, timeoutMs: Math.min(options.timeoutMs ?? partsTimeoutMs, partsTimeoutMs) }
    for (;;) {
      const question: Message = { kind: 'list-parts', name: of.name, after: topics.at(-1) ?? '' }
      try {
        const page = await this.#ask(question, 'parts', `parts of ${of.id}`, limits, [at.address])
        topics.push(...page.topics)
        if (!page.more) return topics
      } catch (error) {
        if (error instanceof EpochcastError && error.code === 'EC_TIMEOUT') return null
        throw error
      }
    }
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

  /**
   * State of a topic on every member that answers within `timeoutMs` (default 1,000), and on the members before them for as long as
   * the newest epoch is not known to be enabled: they have to stay up.
   */
  async replicas(name: string, given: WaitOptions = {}): Promise<readonly ReplicaInfo[]> {
    const options = replicasLimits(given)
    const configuration = await this.#newest(topicName(name), options)
    const limits = { timeoutMs: 1_000, ...options }
    return replicasOf(configuration, {
      condition: (member, of) => {
        const inquiry: Message = { kind: 'inquire', topic: configuration.topic, epoch: of }
        const to = [this.#machine.servers.addressOf(member)]
        return this.#ask(inquiry, 'condition', `state of ${serverIdOf(member.name)}`, limits, to)
      },
      chain: (from) => this.#chain(name, from, this.#machine.servers.addresses(), limits),
    })
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
    const limits = limitsOf(options)
    const run = async (told: ChangePorts): Promise<void> => {
      const current = await this.#newest(topic, limits)
      await this.#mustHaveBegun(current, options.expectEpoch, limits)
      let [released, next]: [readonly string[], Configuration] = [[], current]
      const first: ChangeListener = {
        decided: (result) => told.decided(result),
        enabled: (result) => {
          next = result.configuration
          told.enabled(result)
        },
        released: (ids) => (released = ids),
      }
      const change = async (of: ReconfigureOptions & WaitOptions) => {
        await requestChange(this.#waits, current, id, of, servers, (question) => this.#request(question), first)
        await this.#moveCompanions(current.topic, limits)
        const parts = await this.#partsOfReleased(released, next, limits)
        told.retirable(parts.filter(isFree).map(({ server }) => server))
        told.stillNeeded(parts.filter((one) => !isFree(one)))
      }
      try {
        await change(options)
      } catch (error) {
        const own = await this.#ownDecision(current, id, error)
        if (own === null) throw error
        told.decided(own)
        // Asked for again by its id, it is followed to its end: that it was decided does not show that it is enabled.
        await change({ ...options, expectEpoch: own.configuration.epoch - 1 })
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

  /** What the servers that a topic released are needed for, once they know that it released them. */
  async #partsOfReleased(
    ids: readonly string[],
    { topic, members }: Configuration,
    options: WaitOptions,
  ): Promise<readonly ServerParts[]> {
    // A server that came back without its disk may be a member again, under its old id.
    const gone = ids.filter((id) => !members.some(({ name }) => serverIdOf(name) === id))
    const isOld = (name: string) => name === topic || isCompanionOf(topic, topicName(name))
    const asked = gone.map(async (id) => {
      for (let pauseMs = 20; ; pauseMs *= 2) {
        const parts = await this.#partsOrUnsure(id, options)
        if (pauseMs > releasePauseMsMax || !parts.topics.some(isOld)) return parts
        await this.#pause(pauseMs, options)
      }
    })
    return Promise.all(asked)
  }

  async #partsOrUnsure(id: string, options: WaitOptions): Promise<ServerParts> {
    try {
      return await this.parts(id, options)
    } catch (error) {
      if (!(error instanceof EpochcastError) || finalCodes.includes(error.code)) throw error
      return { server: id, isArbiter: false, topics: [], isSure: error.code === 'EC_UNKNOWN_SERVER' }
    }
  }

  #pause(milliseconds: number, options: WaitOptions): Promise<void> {
    return waitFor<void>(this.#waits, options, 'release of old members', (resolve) => {
      const timer = setTimeout(resolve, milliseconds)
      return () => clearTimeout(timer)
    })
  }

  /** What belongs to a topic goes where the topic went. */
  async #moveCompanions(of: TopicName, options: WaitOptions): Promise<void> {
    if (isCompanion(of)) return
    const names: TopicName[] = []
    for (const prefix of companionPrefixes(of)) {
      let [after, isMore] = ['', true]
      while (isMore) {
        const { configurations, more } = await this.topicsAfter(after, options, prefix)
        names.push(...configurations.map((one) => one.topic).filter((name) => isCompanionOf(of, name)))
        after = configurations.at(-1)?.topic ?? after
        isMore = more && configurations.length > 0
      }
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
      if (error instanceof EpochcastError && (error.code === 'EC_TIMEOUT' || error.code === 'EC_NO_DECIDER'))
        return null
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
        if (reply.kind === 'refused' || reply.kind === 'declined') {
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
        ...(to === undefined && { mayDiffer: ofOneServer }),
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
const arbitersLimits = waitOptions('arbiters')
const partsLimits = waitOptions('parts')
const forgetLimits = waitOptions('forgetServer')
const placeInNames = text(200, 0)

/** @throws EpochcastError `EC_BAD_ARGUMENT` where a number of servers and their names say different things */
function checkSize({ members, size }: TopicOptions): void {
  if (members === undefined || size === undefined || members.length === size) return
  throw refusal(`size ${size} is not the number of the members, ${members.length}`, 'say one of them')
}

/** Whether nothing in the cluster needs the server. */
function isFree({ isArbiter, topics, isSure }: ServerParts): boolean {
  return isSure && !isArbiter && topics.length === 0
}

function serversIn({ servers, silent, old, syncs, arbiters, short, twins }: MessageOf<'directory'>): ServerInfo[] {
  return servers.map(({ name, address }) => ({
    id: serverIdOf(name),
    name,
    address,
    alive: !silent.includes(name),
    hasOldDisk: old.includes(name),
    twins: twins.filter((twin) => serverIdOf(twin.name) === serverIdOf(name)).map((twin) => twin.address),
    sync: syncs.find((one) => one.name === name)?.sync ?? 'always',
    shortages: short.flatMap((one) => (one.name === name ? [one.shortage] : [])),
    isArbiter: arbiters.some((one) => one.name === name),
    cameAfterArbiter: arbiters.some((one) => one.name !== name && serverIdOf(one.name) === serverIdOf(name)),
  }))
}

function arbiterState(name: ServerName, server: ServerInfo | undefined): ArbiterInfo['state'] {
  if (server === undefined) return 'silent'
  if (server.name !== name) return 'lost'
  return server.hasOldDisk ? 'old-disk' : server.alive ? 'answers' : 'silent'
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
