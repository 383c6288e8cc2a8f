/** What operators ask for: topics, servers, epoch changes. */
import {
  type Configuration,
  type Decider,
  type Decision,
  type Mode,
  majority,
  type Order,
} from '../proto/configuration.ts'
import { EpochcastError } from '../proto/errors.ts'
import { type Address, type Epoch, epoch, type ServerName, serverIdOf, topicName } from '../proto/ids.ts'
import type { Loop } from '../proto/machine/loop.ts'
import type { Message, MessageOf, PhaseTimes } from '../proto/wire/messages.ts'
import type { ClientCall, ClientMachine } from './machine.ts'
import { type Deferred, deferred, type WaitOptions, waitFor } from './waiting.ts'

/** What a topic is to be. Whatever is left out comes from the servers' configuration. */
export interface TopicOptions {
  readonly mode?: Mode
  readonly decider?: Decider
  /** Number of servers, chosen by the cluster. */
  readonly size?: number
  /** Server ids, where they are to be chosen by hand. */
  readonly members?: readonly string[]
  /** A change that finds fewer live servers waits. */
  readonly membersMin?: number
  readonly order?: Order
}

export interface ReconfigureOptions extends TopicOptions {
  /** The epoch that the change is meant for; another one makes it fail. By default the newest at the call. `any`: whatever. */
  readonly expectEpoch?: number | 'any'
  /** Asking again with the same id gives the result of the first. */
  readonly changeId?: string
  readonly onProgress?: (progress: Progress) => void
}

export interface Progress {
  readonly phase: string
  readonly detail: string
}

/** Milliseconds that the phases of a change took. */
export interface ChangeTimes {
  readonly planMs: number
  readonly wedgeMs: number
  readonly stageMs: number
  readonly decideMs: number
  readonly startMs: number
}

export interface ChangeResult {
  readonly changeId: string
  readonly configuration: Configuration
  readonly decision: Decision
  readonly times: ChangeTimes
}

/** An epoch change under way. */
export interface Change {
  readonly id: string
  /** The next configuration is decided: it will not be another. Rejects with `EC_SUPERSEDED` when another change won. */
  readonly decided: Promise<ChangeResult>
  /** The next epoch takes operations. */
  readonly enabled: Promise<ChangeResult>
  /** Server ids that are not needed any more and may stop. */
  readonly retirable: Promise<readonly string[]>
}

export interface ServerInfo {
  readonly id: string
  readonly name: ServerName
  readonly address: Address
  readonly alive: boolean
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

const changeRetryTicks = 200
/** A member that is asked what it knows may be dead. */
const memberTimeoutMs = 200

export class Admin {
  readonly #machine: ClientMachine
  readonly #loop: Loop<ClientCall>
  readonly #newId: () => string
  readonly #closed: () => EpochcastError | null

  constructor(
    machine: ClientMachine,
    loop: Loop<ClientCall>,
    newId: () => string,
    closed: () => EpochcastError | null,
  ) {
    this.#machine = machine
    this.#loop = loop
    this.#newId = newId
    this.#closed = closed
  }

  /**
   * Makes a topic.
   * @throws EpochcastError `EC_TOPIC_EXISTS`, `EC_IMPOSSIBLE_MEMBERSHIP`, `EC_UNKNOWN_SERVER`, `EC_TIMEOUT`
   */
  async createTopic(name: string, options: TopicOptions & WaitOptions = {}): Promise<Configuration> {
    const { configuration, created } = await this.#locate(name, true, options)
    if (created) return configuration
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
    let { configuration } = await this.#locate(name, false, options)
    // What was noted, or what a retired server knows, may be behind; members know better, and lead on to the next ones.
    for (;;) {
      const newest = await this.#newestKnownTo(configuration, options)
      if (newest === null || newest.epoch <= configuration.epoch) return configuration
      configuration = newest
    }
  }

  /** Every topic's newest configuration, as it was noted. */
  async topics(options: WaitOptions = {}): Promise<readonly Configuration[]> {
    const message = await this.#ask({ kind: 'list-topics' }, 'topics', 'list of topics', options)
    return [...message.configurations].sort((a, b) => (a.topic < b.topic ? -1 : 1))
  }

  async servers(options: WaitOptions = {}): Promise<readonly ServerInfo[]> {
    const message = await this.#ask({ kind: 'list-servers' }, 'directory', 'list of servers', options)
    this.#machine.servers.learn(message.servers)
    return message.servers.map(({ name, address }) => ({
      id: serverIdOf(name),
      name,
      address,
      alive: !message.silent.includes(name),
    }))
  }

  /** How each epoch of a topic ended, oldest first; the first entry is the topic's creation. */
  async epochs(name: string, options: WaitOptions = {}): Promise<readonly Decision[]> {
    const configuration = await this.topic(name, options)
    const members = configuration.members.map((member) => this.#machine.servers.addressOf(member))
    const decisions: Decision[] = []
    for (let from = 0; ; from = (decisions[decisions.length - 1]?.next.epoch ?? 0) as number) {
      const message = await this.#chain(name, epoch(from), members, options)
      decisions.push(...message.decisions)
      if (message.decisions.length === 0) return decisions
    }
  }

  /** State of a topic on every member that answers within `timeoutMs` (default 1,000). */
  async replicas(name: string, options: WaitOptions = {}): Promise<readonly ReplicaInfo[]> {
    const configuration = await this.topic(name, options)
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
          stored,
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

  /**
   * Ends the topic's epoch and begins the next one with other members, another mode, or the same. Members that are left out are
   * chosen: the old ones as far as they fit, then servers that are alive.
   * @param options.timeoutMs whole change; when it runs out the change may still be made (`EC_OUTCOME_UNKNOWN`)
   */
  reconfigure(name: string, options: ReconfigureOptions & WaitOptions = {}): Change {
    const id = options.changeId ?? this.#newId()
    const decided = deferred<ChangeResult>()
    const enabled = deferred<ChangeResult>()
    const retirable = deferred<readonly string[]>()
    const all = [decided, enabled, retirable]
    for (const one of all) one.promise.catch(() => {})
    this.#reconfigure(name, id, options, decided, enabled, retirable).catch((error: unknown) => {
      for (const one of all) one.reject(error)
    })
    return { id, decided: decided.promise, enabled: enabled.promise, retirable: retirable.promise }
  }

  async #reconfigure(
    name: string,
    changeId: string,
    options: ReconfigureOptions & WaitOptions,
    decided: Deferred<ChangeResult>,
    enabled: Deferred<ChangeResult>,
    retirable: Deferred<readonly string[]>,
  ): Promise<void> {
    const topic = topicName(name)
    const current = await this.topic(name, options)
    const expected = options.expectEpoch ?? current.epoch
    const request: MessageOf<'reconfigure'> = {
      kind: 'reconfigure',
      topic,
      epoch: expected === 'any' ? epoch(0) : epoch(expected),
      changeId,
      ...templateOf(options),
    }
    const members = current.members.map((member) => this.#machine.servers.addressOf(member))
    const to = () => this.#machine.servers.inOrder([...new Set([...members, ...this.#machine.servers.addresses()])])
    await waitFor<void>(options, `change of ${name}`, (resolve, reject) => {
      const answer = (message: Message): boolean => {
        if (message.kind === 'progress') options.onProgress?.({ phase: message.phase, detail: message.detail })
        if (message.kind === 'refused') {
          if (message.refusal === 'not-yet') return false
          reject(changeError(name, message))
          return true
        }
        if (message.kind !== 'changed') return false
        if (message.superseded) {
          const { epoch: winner, mode } = message.decision.next
          const text = `epoch ${winner - 1} of ${name} was ended by change ${message.decision.changeId}: ${mode} is epoch ${winner}`
          reject(new EpochcastError('EC_SUPERSEDED', text, { hint: 'look at the topic again, then decide' }))
          return true
        }
        const result = resultOf(message)
        decided.resolve(result)
        if (message.enabled) enabled.resolve(result)
        if (!message.final) return false
        retirable.resolve(message.retirable.map(serverIdOf))
        resolve()
        return true
      }
      return this.#request({ message: request, to, answer, retryTicks: changeRetryTicks })
    })
  }

  async #locate(name: string, create: boolean, options: TopicOptions & WaitOptions): Promise<MessageOf<'located'>> {
    const topic = topicName(name)
    const request: Message = { kind: 'locate', topic, epoch: epoch(0), create, ...templateOf(options) }
    const located = await this.#ask(request, 'located', `looking for ${name}`, options)
    this.#machine.servers.learn(located.servers)
    this.#machine.servers.learn(located.configuration.members)
    return located
  }

  /** The newest configuration that a majority of the members know, or as many of them as answer soon. */
  async #newestKnownTo(configuration: Configuration, options: WaitOptions): Promise<Configuration | null> {
    const { topic, epoch: from, members } = configuration
    this.#machine.servers.learn(members)
    const asked = members.map(async (member) => {
      const to = [this.#machine.servers.addressOf(member)]
      try {
        return (await this.#chain(topic, from, to, { ...options, timeoutMs: memberTimeoutMs })).newest
      } catch (error) {
        if (error instanceof EpochcastError && (error.code === 'EC_TIMEOUT' || error.code === 'EC_UNKNOWN_TOPIC'))
          return null
        throw error
      }
    })
    return newestOf(await someOf(asked, majority(members.length)))
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
    return waitFor(limits, what, (resolve, reject) => {
      const answer = (reply: Message): boolean => {
        if (reply.kind === 'refused') {
          reject(changeError('topic' in message ? message.topic : '', reply))
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
      })
    })
  }

  #request(question: Parameters<ClientMachine['requests']['ask']>[0]): () => void {
    let token = 0
    this.#loop.call((out) => {
      token = this.#machine.requests.ask(question, out)
    })
    return () => this.#loop.call(() => this.#machine.requests.withdraw(token))
  }
}

/** Waits for the first `count` answers that are not null, or for all. */
function someOf<T>(asked: readonly Promise<T | null>[], count: number): Promise<T[]> {
  return new Promise((resolve, reject) => {
    const answers: T[] = []
    let open = asked.length
    for (const one of asked) {
      one.then((answer) => {
        open--
        if (answer !== null) answers.push(answer)
        if (answers.length >= count || open === 0) resolve(answers)
      }, reject)
    }
  })
}

function newestOf(configurations: readonly Configuration[]): Configuration | null {
  let newest: Configuration | null = null
  for (const one of configurations) if (newest === null || one.epoch > newest.epoch) newest = one
  return newest
}

function templateOf(options: TopicOptions) {
  const { mode, decider, size, membersMin, order } = options
  return {
    members: options.members ?? [],
    ...(mode && { mode }),
    ...(decider && { decider }),
    ...(size !== undefined && { size }),
    ...(membersMin !== undefined && { membersMin }),
    ...(order && { order }),
  }
}

function resultOf(message: MessageOf<'changed'>): ChangeResult {
  const { changeId, decision, times } = message
  return { changeId, configuration: decision.next, decision, times: inMilliseconds(times) }
}

function inMilliseconds(times: PhaseTimes): ChangeTimes {
  return {
    planMs: times.planUs / 1000,
    wedgeMs: times.wedgeUs / 1000,
    stageMs: times.stageUs / 1000,
    decideMs: times.decideUs / 1000,
    startMs: times.startUs / 1000,
  }
}

function changeError(topic: string, { refusal, detail }: MessageOf<'refused'>): EpochcastError {
  switch (refusal) {
    case 'unknown-topic':
      return new EpochcastError('EC_UNKNOWN_TOPIC', `topic ${topic} does not exist`, { hint: 'create it first' })
    case 'unknown-server':
      return new EpochcastError('EC_UNKNOWN_SERVER', detail)
    case 'impossible-membership':
      return new EpochcastError('EC_IMPOSSIBLE_MEMBERSHIP', detail)
    case 'stale-epoch':
      return new EpochcastError('EC_STALE_EPOCH', `${topic}: ${detail}`, {
        hint: 'look at the topic again, then decide',
      })
    case 'superseded':
      return new EpochcastError('EC_SUPERSEDED', `${topic}: ${detail}`, {
        hint: 'look at the topic again, then decide',
      })
    case 'no-decider':
      return new EpochcastError('EC_NO_DECIDER', `${topic}: ${detail}; nothing was changed`)
    case 'transfer-failed':
      return new EpochcastError('EC_TRANSFER_FAILED', `${topic}: ${detail}; nothing was changed`)
    case 'no-cluster':
      return new EpochcastError('EC_NO_CLUSTER', detail)
    case 'other-cluster':
      return new EpochcastError('EC_OTHER_CLUSTER', detail)
    default:
      return new EpochcastError('EC_NO_DECIDER', `${topic}: ${detail}`)
  }
}
