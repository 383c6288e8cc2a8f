/**
 * What a server is needed for: it is an arbiter, a member of topics, or holds what an unfinished change still needs. Asked before
 * a server is called one that may stop, and before one that is gone for good is forgotten.
 */
import { type Configuration, isMember, type Member } from '../../proto/configuration.ts'
import { type Address, type ServerName, serverIdOf, type TopicName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { MessageOf, Refusal } from '../../proto/wire/messages.ts'
import type { Registry, TopicPage } from '../engines/engine.ts'
import type { TopicState } from '../replica/topic-state.ts'
import type { Directory } from './directory.ts'

const topicsPerAnswer = 1_000
const topicsShown = 5
const earlyMax = 100

interface Forgetting {
  readonly to: Address
  readonly token: number
  readonly name: ServerName
}

export class Parts {
  readonly #directory: Directory
  readonly #registry: Registry
  readonly #arbiters: () => readonly Member[]
  readonly #states: () => readonly TopicState[]
  /** Requests that came before this process had heard of all servers. */
  readonly #early: { readonly to: Address; readonly token: number; readonly request: MessageOf<'forget'> }[] = []

  constructor(
    directory: Directory,
    registry: Registry,
    arbiters: () => readonly Member[],
    states: () => readonly TopicState[],
  ) {
    this.#directory = directory
    this.#registry = registry
    this.#arbiters = arbiters
    this.#states = states
    directory.whenSettled((out) => this.#takeEarly(out))
  }

  list(to: Address, token: number, { name, after }: MessageOf<'list-parts'>, out: Effect[]): void {
    const all = this.#topicsOf(name).filter((topic) => topic > after)
    const topics = all.slice(0, topicsPerAnswer)
    const arbiter = this.#isArbiter(name)
    send(out, to, { kind: 'parts', arbiter, topics, more: all.length > topics.length }, token)
  }

  forget(to: Address, token: number, request: MessageOf<'forget'>, out: Effect[]): void {
    const { server } = request
    if (!this.#directory.settled) {
      if (this.#early.length < earlyMax) this.#early.push({ to, token, request })
      else decline(to, token, 'busy', 'this server does not know yet which others answer', out)
      return
    }
    const name = this.#directory.byId(server)?.name
    if (name !== undefined) {
      const asked: Forgetting = { to, token, name }
      if (!this.#isRefused(asked, out)) this.#askRegistry(asked, '', out)
      return
    }
    const before = this.#directory.forgotten(server)
    if (before !== undefined) send(out, to, { kind: 'forgot', name: before }, token)
    else decline(to, token, 'unknown-server', `no server is called ${server}`, out)
  }

  #takeEarly(out: Effect[]): void {
    for (const { to, token, request } of this.#early.splice(0)) this.forget(to, token, request, out)
  }

  /** A server that was taken off the list would be looked for by the members of its topics: the arbiters know all topics. */
  #askRegistry(asked: Forgetting, after: string, out: Effect[]): void {
    const found = ({ configurations, more }: TopicPage, into: Effect[]) => {
      const topics = configurations.filter((one) => isMember(one, asked.name)).map(({ topic }) => topic)
      const last = configurations.at(-1)?.topic
      if (topics.length > 0) this.#declineMember(asked, topics, into)
      else if (more && last !== undefined) this.#askRegistry(asked, last, into)
      else this.#finish(asked, into)
    }
    const unanswered = (reason: string, into: Effect[]) => decline(asked.to, asked.token, 'no-decider', reason, into)
    this.#registry.list(after, '', { found, unanswered }, out)
  }

  #finish(asked: Forgetting, out: Effect[]): void {
    // It may have come back, or have been made a member, while the arbiters were asked.
    if (this.#isRefused(asked, out)) return
    this.#directory.forget(asked.name, out)
    send(out, asked.to, { kind: 'forgot', name: asked.name }, asked.token)
  }

  #isRefused(asked: Forgetting, out: Effect[]): boolean {
    const { to, token, name } = asked
    const id = serverIdOf(name)
    const topics = this.#topicsOf(name)
    if (this.#isArbiter(name)) {
      decline(to, token, 'still-needed', `${id} is an arbiter of this cluster, and arbiters cannot be replaced`, out)
    } else if (topics.length > 0) this.#declineMember(asked, topics, out)
    else if (this.#directory.isAlive(name)) {
      decline(to, token, 'still-needed', `${id} answers: stop it for good first`, out)
    } else if (this.#directory.isCutOff) {
      decline(to, token, 'busy', 'this server hears of no other', out)
    } else if (this.#directory.forgotEnough) {
      decline(to, token, 'busy', 'so many servers were forgotten that there is no room for one more', out)
    } else return false
    return true
  }

  #declineMember({ to, token, name }: Forgetting, topics: readonly TopicName[], out: Effect[]): void {
    const shown = topics.slice(0, topicsShown).join(', ')
    const more = topics.length > topicsShown ? ` and ${topics.length - topicsShown} more topics` : ''
    decline(to, token, 'still-needed', `${serverIdOf(name)} is a member of ${shown}${more}`, out)
  }

  #isArbiter(name: ServerName): boolean {
    return this.#arbiters().some((arbiter) => arbiter.name === name)
  }

  #topicsOf(name: ServerName): TopicName[] {
    const needing = this.#states().filter((state) => isPart(state, name))
    return needing.map(({ topic }) => topic).sort()
  }
}

/** Whether a topic needs a server, as far as a server knows that is in charge of the topic itself. */
function isPart(state: TopicState, name: ServerName): boolean {
  const { opened, newest, self } = state
  const has = (one: Configuration | null | undefined) => one !== null && one !== undefined && isMember(one, name)
  // A member that has been replaced may know an old configuration only; the newer members know better.
  if (opened !== null && state.successorEnabled) return name === self && has(newest)
  if (opened === null) return name === self && has(newest)
  return has(opened.configuration) || has(newest)
}

function decline(to: Address, token: number, refusal: Refusal, detail: string, out: Effect[]): void {
  send(out, to, { kind: 'declined', refusal, detail }, token)
}
