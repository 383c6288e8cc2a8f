/**
 * Answers to pulls: how bodies travel to next members, to members that fell behind, and to clients. A receiver that has not
 * taken what was sent to it before waits for its turn, so what is queued for it is bounded however much it asks for; asking
 * again takes the place of the question before, and an answer is made when it is sent.
 */
import type { Address } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { Outlets } from '../outlets.ts'
import type { ServerTimers } from '../timers.ts'
import type { TopicState } from './topic-state.ts'

interface Question {
  readonly to: Address
  readonly token: number
  pull: MessageOf<'pull'>
  /** Tick at which it came. */
  readonly since: number
}

/** About what a batch takes in a frame without its body. */
const bareBytes = 100
/** Batches in one answer: small ones cost as much as large ones, and everybody else waits for the turn to end. */
const batchesMax = 512
/** Questions of one topic that wait; more are not heard, and asked again. */
const waitingMax = 10_000
/** Ticks after which a question is patient, and those after which nobody waits for its answer any more. */
const patientTicks = 100
const waitingTicksMax = 1_000

export class Pulls {
  readonly #state: TopicState
  readonly #outlets: Outlets
  readonly #bytesMax: number
  readonly #timers: ServerTimers
  readonly #waitingForRoom: Timer
  /** Oldest first, by receiver and token. */
  readonly #waiting = new Map<string, Question>()

  /** @param bytesMax body bytes in one answer */
  constructor(state: TopicState, outlets: Outlets, bytesMax: number, timers: ServerTimers) {
    this.#state = state
    this.#outlets = outlets
    this.#bytesMax = bytesMax
    this.#timers = timers
    this.#waitingForRoom = timers.timer('pull-room', state.topic, (out) => {
      for (const [key, { since }] of this.#waiting) if (timers.now - since > waitingTicksMax) this.#waiting.delete(key)
      this.settle(out)
    })
  }

  /** Questions that wait. */
  get count(): number {
    return this.#waiting.size
  }

  /** Takes a question, which is answered at the end of this turn at the earliest. */
  ask(to: Address, token: number, pull: MessageOf<'pull'>): void {
    const key = `${to} ${token}`
    const before = this.#waiting.get(key)
    if (before !== undefined) before.pull = pull
    else if (this.#waiting.size < waitingMax) this.#waiting.set(key, { to, token, pull, since: this.#timers.now })
  }

  /** The end of a turn: answers those whose receivers have taken what was sent before. */
  settle(out: Effect[]): void {
    for (const [key, question] of this.#waiting) {
      if (!this.#outlets.hasRoom(question.to, this.#timers.now - question.since >= patientTicks)) continue
      this.#waiting.delete(key)
      this.#answer(question, out)
    }
    // What a transport has taken since shows when it is looked at.
    if (this.#waiting.size > 0) this.#waitingForRoom.setIfStopped(1)
  }

  /** A connection broke: its receiver asks again. */
  forget(address: Address): void {
    for (const [key, { to }] of this.#waiting) if (to === address) this.#waiting.delete(key)
  }

  /**
   * Sends the batches that a pull asks for, at least one where there is one, then `pulled`. Reads what this server stored or,
   * of closed epochs, exactly the closing set: never what is only staged.
   */
  #answer({ to, token, pull }: Question, out: Effect[]): void {
    const { topic } = this.#state
    const holdings = this.#state.readable(pull.epoch)
    if (holdings === null) {
      send(out, to, { kind: 'pulled', topic, epoch: pull.epoch, more: false, unheld: true, resume: 0 }, token)
      return
    }
    const { index } = holdings
    const room = Math.min(pull.bytesMax, this.#bytesMax)
    const isBare = pull.bare === true
    let sent = 0
    let batches = 0
    let slot = pull.resume
    for (; slot < index.length && sent < room && batches < batchesMax; slot++) {
      if (!holdings.shows(slot, pull.since, pull.until)) continue
      out.push({ kind: 'send-record', to, token, placement: index, slot, ...(isBare && { bare: true }) })
      sent += isBare ? bareBytes : index.sizeOf(slot) + 1
      batches++
    }
    this.#outlets.sent(to, sent)
    const more = slot < index.length
    send(out, to, { kind: 'pulled', topic, epoch: pull.epoch, more, unheld: false, resume: slot }, token)
  }
}
