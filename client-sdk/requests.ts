/** Questions with one answer: sent again, to another server each time, until it comes or the question is withdrawn. */
import type { EpochcastError } from '../proto/errors.ts'
import type { Address } from '../proto/ids.ts'
import { type Effect, send } from '../proto/machine/contract.ts'
import type { Timer } from '../proto/machine/timers.ts'
import type { Message, Refusal } from '../proto/wire/messages.ts'
import type { Faults } from './faults.ts'
import type { ClientTimer, ClientTimers } from './timers.ts'

export interface Question {
  readonly message: Message
  /** Whom to ask, in this order, again from the beginning after the last. */
  to(): readonly Address[]
  /** @returns false to go on waiting for another answer */
  answer(message: Message, from: Address, out: Effect[]): boolean
  /** It is over without an answer: it cannot be sent, or taking an answer failed. */
  failed?(error: EpochcastError): void
  /** Silence after which it is sent again, once something was answered; before that it goes on to the next server soon. */
  readonly retryTicks?: number
  /** Refusals that a server gives by what it knows itself: they count only once every server has been asked. */
  readonly mayDiffer?: readonly Refusal[]
}

/** Refusals by servers that reach too few others, or have too much to do: another server may answer. */
export const ofOneServer: readonly Refusal[] = ['no-decider', 'too-few-servers', 'busy']

interface Open extends Question {
  /** Rings once the server that was asked last has been silent for too long. */
  readonly silence: Timer<ClientTimer>
  tries: number
  isAnswered: boolean
  asked: Address | undefined
}

const firstRetryTicks = 20

/** Ticks of silence until it is sent again. */
function patienceOf({ isAnswered, retryTicks = firstRetryTicks }: Open): number {
  return isAnswered ? retryTicks : firstRetryTicks
}

export class Requests {
  readonly #open = new Map<number, Open>()
  readonly #faults: Faults
  readonly #timers: ClientTimers
  #token: number

  /** @param first where tokens begin: by chance, so that a late answer to an earlier process of this client is not one to this */
  constructor(first: number, faults: Faults, timers: ClientTimers) {
    this.#faults = faults
    this.#timers = timers
    this.#token = first
  }

  get openCount(): number {
    return this.#open.size
  }

  /** A number that no other request or subscription of this client carries. */
  nextToken(): number {
    return ++this.#token
  }

  ask(question: Question, out: Effect[]): number {
    const token = this.nextToken()
    const fails = (error: EpochcastError) => this.fail(token, error)
    const timers = this.#faults.walled(this.#timers, fails)
    const silence = timers.timer('question', question.message.kind, (into) => this.#again(token, into))
    this.#open.set(token, { ...question, silence, tries: 0, isAnswered: false, asked: undefined })
    this.#send(token, out)
    return token
  }

  withdraw(token: number): void {
    this.#open.get(token)?.silence.stop()
    this.#open.delete(token)
  }

  take(token: number, message: Message, from: Address, out: Effect[]): boolean {
    const open = this.#open.get(token)
    if (open === undefined) return false
    // A server that refuses without ending the question is not one to wait for.
    const refusal = message.kind === 'refused' || message.kind === 'declined' ? message.refusal : null
    open.isAnswered = refusal === null
    open.silence.set(patienceOf(open))
    if (refusal !== null && open.mayDiffer?.includes(refusal) === true && open.tries < open.to().length) {
      this.#send(token, out)
      return true
    }
    const take = () => {
      if (open.answer(message, from, out)) this.withdraw(token)
    }
    this.#faults.wall(out, take, (error) => this.fail(token, error))
    return true
  }

  /** @returns whether there was such a question */
  fail(token: number, error: EpochcastError): boolean {
    const open = this.#open.get(token)
    if (open === undefined) return false
    this.withdraw(token)
    open.failed?.(error)
    return true
  }

  /** A connection broke: what was asked there is asked elsewhere. */
  peerDown(address: Address, out: Effect[]): void {
    for (const [token, open] of [...this.#open]) if (open.asked === address) this.#send(token, out)
  }

  #again(token: number, out: Effect[]): void {
    const open = this.#open.get(token)
    if (open === undefined) return
    open.isAnswered = false
    this.#send(token, out)
  }

  #send(token: number, out: Effect[]): void {
    const open = this.#open.get(token)
    if (open === undefined) return
    open.silence.set(patienceOf(open))
    const addresses = open.to()
    const to = addresses[open.tries++ % Math.max(1, addresses.length)]
    open.asked = to
    if (to !== undefined) send(out, to, open.message, token)
  }
}
