/**
 * Which process speaks for each server id. One storage has one process at a time, as far as files go (`log/place.ts`); a disk that
 * was copied block by block can still run twice, and so can an id that two machines were given. Two processes that both answer
 * one question were alive at one moment: the one that came later is refused, and told to stop.
 *
 * A frame alone proves nothing: it may come late, from a process that is gone. So a process is asked, by a number that nobody has
 * seen before, whenever it speaks from another address than the present one, or speaks although another has taken its place. A
 * process that comes back at the same address takes the place of the one before at once.
 */
import type { Member } from '../../proto/configuration.ts'
import { type ServerId, type ServerName, serverIdOf } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { ServerTimers } from '../timers.ts'

interface Life {
  readonly member: Member
  readonly incarnation: number
}

/** A question to two processes of one id. */
interface Question {
  readonly token: number
  /** The one that spoke for the id when the question was asked. */
  readonly present: Life
  readonly rival: Life
  readonly answered: Set<number>
  /** The present process has had the time to answer. */
  readonly patience: Timer
}

interface Known {
  current: Life
  /** Processes that had this place before, the newest last. */
  readonly before: number[]
  question: Question | null
}

interface Twin {
  readonly member: Member
  /** It is shown until then. */
  readonly shown: Timer
}

/** How long the present process is waited for; shorter than the patience of a server that proves its storage. */
const patienceTicks = 50
/** How long a process that was refused is shown after it was last heard of. */
const shownTicks = 1_000
const beforeMax = 8

export class Incarnations {
  readonly #known = new Map<ServerId, Known>()
  readonly #twins = new Map<ServerId, Twin>()
  readonly #timers: ServerTimers
  readonly #nextToken: () => number

  constructor(timers: ServerTimers, nextToken: () => number) {
    this.#timers = timers
    this.#nextToken = nextToken
  }

  /** A process said who it is, itself. @returns whether it speaks for its server, as far as is known by now */
  meets(member: Member, incarnation: number, out: Effect[]): boolean {
    const life = { member, incarnation }
    const known = this.#known.get(serverIdOf(member.name))
    if (known === undefined) {
      this.#known.set(serverIdOf(member.name), { current: life, before: [], question: null })
      return true
    }
    const { current } = known
    if (current.incarnation === incarnation) return true
    const isHere = current.member.address === member.address
    if (isHere && !known.before.includes(incarnation)) this.#replace(known, life)
    else this.#ask(known, life, out)
    return known.current.incarnation === incarnation
  }

  /** A process answered the question with this number. */
  answered(token: number, { name }: Member, incarnation: number, out: Effect[]): void {
    const known = this.#known.get(serverIdOf(name))
    const question = known?.question
    if (known === undefined || question === undefined || question === null || question.token !== token) return
    const { present, rival, answered } = question
    answered.add(incarnation)
    const isRival = answered.has(rival.incarnation)
    if (isRival && answered.has(present.incarnation)) this.#refuse(known, question, out)
    else if (isRival && present.member.address === rival.member.address) this.#replace(known, rival)
  }

  /** Processes that were refused lately, because another one runs under their id. */
  twins(): Member[] {
    return [...this.#twins.values()].map(({ member }) => member)
  }

  #ask(known: Known, rival: Life, out: Effect[]): void {
    if (known.question !== null) return
    const token = this.#nextToken()
    const present = known.current
    const patience = this.#timers.timer('rival', serverIdOf(rival.member.name), () => this.#unanswered(known))
    patience.set(patienceTicks)
    known.question = { token, present, rival, answered: new Set(), patience }
    const addresses = new Set([present.member.address, rival.member.address])
    send(out, [...addresses], { kind: 'introduce' }, token)
  }

  /** The present one is silent: it is gone, or nothing reaches it. */
  #unanswered(known: Known): void {
    const { question } = known
    known.question = null
    if (question === null) return
    const { rival, answered } = question
    if (answered.has(rival.incarnation) && known.current !== rival) this.#replace(known, rival)
  }

  #refuse(known: Known, { present, rival, patience }: Question, out: Effect[]): void {
    known.question = null
    patience.stop()
    known.current = present
    if (!known.before.includes(rival.incarnation)) known.before.push(rival.incarnation)
    this.#show(rival.member)
    const { incarnation, member } = rival
    send(out, member.address, { kind: 'shown', incarnation, position: 0, twin: present.member })
  }

  #show(twin: Member): void {
    const id = serverIdOf(twin.name)
    this.#twins.get(id)?.shown.stop()
    const shown = this.#timers.timer('twin', id, () => this.#twins.delete(id))
    shown.set(shownTicks)
    this.#twins.set(id, { member: twin, shown })
  }

  #replace(known: Known, by: Life): void {
    known.before.push(known.current.incarnation)
    if (known.before.length > beforeMax) known.before.shift()
    known.current = by
  }
}

/** The reason why a process that is told of another one stops. */
export function twinText(self: ServerName, other: Member, witness: string): string {
  if (other.name === self)
    return `the storage ${self} is in use by another process at ${other.address}, as ${witness} sees, and that one counts`
  const id = serverIdOf(self)
  return `another server runs as ${id} at ${other.address} (${other.name}), as ${witness} sees, and that one counts`
}
