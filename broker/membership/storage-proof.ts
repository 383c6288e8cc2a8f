/**
 * Whether the disk that this server came back with is as new as it ever was: before it speaks for its topics, it asks the others
 * how far it has shown to reach. One that reaches less far was given an old copy of its disk (a restored backup, a machine put
 * back to a snapshot). It has forgotten what it promised, so it is another server (design 2, fault P6) and stops.
 *
 * It serves once it is, with those that answered, a majority of the servers that it knows, or when they have been silent for
 * long: an old disk is not among the failures that are tolerated, and a server must not wait for ever for those that are gone.
 * Whoever answers later is still heard.
 */
import type { Member } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { type Address, type ServerName, serverIdOf } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Position } from '../../proto/machine/store.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import { emptyDirectory } from '../log/empty-directory.ts'
import type { ServerTimers } from '../timers.ts'
import { twinText } from './incarnations.ts'

const askTicks = 5
const askLateTicks = 100
const patienceTicks = 100

export class StorageProof {
  readonly #self: Member
  readonly #incarnation: number
  /** Where the log ended when the process began. */
  #recovered: Position = 0
  #others: readonly Address[] = []
  readonly #answered = new Map<Address, ServerName>()
  #phase: 'new' | 'asking' | 'served' = 'new'
  readonly #again: Timer
  readonly #patience: Timer
  readonly #tellServing: (out: Effect[]) => void

  /** @param tellServing called whenever the server may speak for its topics from now on */
  constructor(self: Member, incarnation: number, timers: ServerTimers, tellServing: (out: Effect[]) => void) {
    this.#self = self
    this.#incarnation = incarnation
    this.#tellServing = tellServing
    this.#again = timers.timer('prove', '', (out) => this.#ask(out))
    this.#patience = timers.timer('prove-patience', '', (out) => this.#serve(out))
  }

  /** Whether the server may speak for its topics. */
  get isServing(): boolean {
    return this.#phase === 'served'
  }

  /** Once, when everything has been read from the disk. @param others servers that may have seen this one before */
  begin(recovered: Position, others: readonly Address[], out: Effect[]): void {
    if (this.#phase !== 'new') return
    this.#recovered = recovered
    this.#askAll(others, out)
  }

  /**
   * A cluster took this server in, which belonged to none when it began: its disk may be as old as the time before it belonged to
   * this very cluster.
   */
  joined(others: readonly Address[], out: Effect[]): void {
    if (this.#phase === 'served' && this.#others.length === 0) this.#askAll(others, out)
  }

  get isNew(): boolean {
    return this.#phase === 'new'
  }

  /**
   * @throws EpochcastError `EC_STORAGE_OLD` when this server had shown more than it has, `EC_STORAGE_TWICE` when another process
   * runs under its id
   */
  shown(from: Address, name: ServerName, message: MessageOf<'shown'>, out: Effect[]): void {
    const { incarnation, position, twin } = message
    if (incarnation !== this.#incarnation) return
    if (twin !== undefined) throw this.#isTwin(name, twin)
    if (position > this.#recovered) throw this.#isOld(name, position)
    this.#answered.set(from, name)
    // With this server itself, a majority.
    if (new Set(this.#answered.values()).size * 2 >= this.#others.length) this.#serve(out)
  }

  #askAll(others: readonly Address[], out: Effect[]): void {
    this.#others = others.filter((other, at) => other !== this.#self.address && others.indexOf(other) === at)
    if (this.#others.length === 0) return this.#serve(out)
    this.#phase = 'asking'
    this.#patience.set(patienceTicks)
    this.#ask(out)
  }

  #serve(out: Effect[]): void {
    if (this.#phase === 'served') return
    this.#phase = 'served'
    this.#patience.stop()
    if (this.#again.isSet) this.#again.set(askLateTicks)
    this.#tellServing(out)
  }

  /** Until all have answered. */
  #ask(out: Effect[]): void {
    const to = this.#others.filter((other) => !this.#answered.has(other))
    if (to.length === 0) return
    this.#again.set(this.#phase === 'asking' ? askTicks : askLateTicks)
    send(out, to, { kind: 'prove', member: this.#self, incarnation: this.#incarnation, position: this.#recovered })
  }

  #isTwin(witness: ServerName, twin: Member): EpochcastError {
    return new EpochcastError('EC_STORAGE_TWICE', twinText(this.#self.name, twin, serverIdOf(witness)), {
      hint:
        'One of the two must stay down for good. If this one is to go on, stop the other and start this one again: it is ' +
        'refused where the other has acknowledged more. A copy of a running server needs an id and an empty directory of its own.',
    })
  }

  #isOld(witness: ServerName, position: Position): EpochcastError {
    const text =
      `the data directory of ${this.#self.name} is an old copy: its log ends at ${this.#recovered}, ` +
      `and it had reached ${position} when ${serverIdOf(witness)} saw it`
    return new EpochcastError('EC_STORAGE_OLD', text, {
      hint: `Put back the newest disk if it exists; else ${emptyDirectory}`,
    })
  }
}
