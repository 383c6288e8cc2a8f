/**
 * How far the log of every other server was seen to reach. A server that comes back with less has been given an old copy of its
 * disk, and this is how it finds out (design 2, fault P6). Only what its storage will always have is ever shown, so a crash never
 * takes a server below what it had shown.
 *
 * Kept in memory, and in the log when it has grown by much: a position that grows because of such a record alone is not worth
 * the next one, or idle servers would write for each other for ever.
 */
import type { Address, ServerName } from '../../proto/ids.ts'
import { type Effect, send } from '../../proto/machine/contract.ts'
import type { Position } from '../../proto/machine/store.ts'
import type { Timer } from '../../proto/machine/timers.ts'
import { messageBytes } from '../../proto/wire/codec.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'
import type { LogRecordOf } from '../../proto/wire/records.ts'
import type { ServerTimers } from '../timers.ts'

interface Shown {
  /** The life (process) that showed the highest position, and what other lives showed at most: the two must not be mixed. */
  incarnation: number
  position: Position
  before: Position
  /** The highest position that is in the log. */
  kept: Position
}

const keepTicks = 1000
const growthBytes = 1024
const growthBytesPerServer = 128

export class ShownPositions {
  readonly #shown = new Map<ServerName, Shown>()
  /** Servers that asked, and reached less far than they had shown. */
  readonly #old = new Set<ServerName>()
  readonly #keeping: Timer

  constructor(timers: ServerTimers) {
    this.#keeping = timers.timer('keep-positions', '', (out) => this.#keep(out))
  }

  /** A record that survived a restart. */
  recover({ servers }: LogRecordOf<'remembered'>): void {
    for (const { name, incarnation, position, before } of servers) {
      const shown = this.#noted(name, incarnation, position)
      shown.before = Math.max(shown.before, before)
      shown.kept = shown.position
    }
  }

  /** One life of a server has this much on its disk. */
  note(name: ServerName, incarnation: number, position: Position): void {
    if (this.#isWorthKeeping(this.#noted(name, incarnation, position))) this.#keeping.setIfStopped(keepTicks)
  }

  /** A heartbeat: one that says less than another life of its server had shown comes from an old disk, or from a life that is gone. */
  heard(from: Address, name: ServerName, incarnation: number, position: Position, out: Effect[]): void {
    const before = this.ofOtherLives(name, incarnation)
    if (before > position) send(out, from, { kind: 'shown', incarnation, position: before })
    this.note(name, incarnation, position)
  }

  /** The highest position that any other life of a server showed here. */
  ofOtherLives(name: ServerName, incarnation: number): Position {
    const shown = this.#shown.get(name)
    if (shown === undefined) return 0
    return shown.incarnation === incarnation ? shown.before : shown.position
  }

  /** Answers a server that asks whether it is as new as it ever was. */
  answer(from: Address, token: number, asked: MessageOf<'prove'>, out: Effect[]): void {
    const { incarnation, position } = asked
    const { name } = asked.member
    const before = this.ofOtherLives(name, incarnation)
    if (before > position) this.#old.add(name)
    else this.#old.delete(name)
    this.note(name, incarnation, position)
    send(out, from, { kind: 'shown', incarnation, position: before }, token)
  }

  /** Servers whose disk is an old copy, as far as is known here. */
  old(): ServerName[] {
    return [...this.#old]
  }

  #noted(name: ServerName, incarnation: number, position: Position): Shown {
    const shown = this.#shown.get(name)
    if (shown === undefined) {
      const first = { incarnation, position, before: 0, kept: 0 }
      this.#shown.set(name, first)
      return first
    }
    if (incarnation === shown.incarnation) shown.position = Math.max(shown.position, position)
    else if (position <= shown.position) shown.before = Math.max(shown.before, position)
    else {
      shown.before = shown.position
      shown.incarnation = incarnation
      shown.position = position
    }
    return shown
  }

  #isWorthKeeping({ position, kept }: Shown): boolean {
    return position >= kept + growthBytes + growthBytesPerServer * this.#shown.size
  }

  #keep(out: Effect[]): void {
    if (![...this.#shown.values()].some((shown) => this.#isWorthKeeping(shown))) return
    const servers = [...this.#shown].map(([name, { incarnation, position, before }]) => {
      return { name, incarnation, position, before }
    })
    for (const shown of this.#shown.values()) shown.kept = shown.position
    out.push({ kind: 'persist', record: 'protocol', bytes: messageBytes({ kind: 'remembered', servers }) })
  }
}
