/**
 * Servers that come back with an old copy of their disk (P6). Such a server finds out from the others while more than half of
 * them are there and saw it newer: it is started only then, and nothing stands between it and them until it knows. Whatever it
 * says before is a violation (`check/promises.ts`, `check/server-rules.ts`).
 */
import { type ServerName, serverIdOf } from '../../proto/ids.ts'
import type { Position } from '../../proto/machine/store.ts'
import type { WorldEvent } from '../world/events.ts'
import type { Parcel } from '../world/network.ts'
import type { ServerNode } from '../world/server-node.ts'
import type { World } from '../world/world.ts'
import type { Tolerance } from './tolerance.ts'

/** A copy is made when no flush is on its way. */
const copyAgainMs = 3
const lookMs = 20
/** It knows much earlier; a server that nobody answers would serve after a second. */
const proofMs = 500

export class OldDisks {
  readonly #world: World
  readonly #tolerance: Tolerance
  readonly #foundOut: () => void
  /** By server that was told, in its present life: how far others had reached. */
  readonly #seen = new Map<string, Map<ServerName, Position>>()
  /** Servers that have an old disk, and whether they were started with it. */
  readonly #old = new Map<string, 'waiting' | 'proving'>()
  #healed = false

  constructor(world: World, tolerance: Tolerance, foundOut: () => void) {
    this.#world = world
    this.#tolerance = tolerance
    this.#foundOut = foundOut
  }

  see(event: WorldEvent): void {
    if (event.what === 'deliver' && event.parcel.kind === 'alive') this.#heard(event.parcel)
    if (event.what !== 'crash') return
    this.#seen.delete(serverIdOf(event.server))
    for (const [id, phase] of this.#old) if (phase === 'proving') this.#world.queue.after(0, () => this.#look(id))
  }

  /** Copies the disks of these servers, now or as soon as they are at rest. */
  copy(ids: readonly string[], triesLeft = 40): void {
    const busy = ids.filter((id) => this.#world.servers.get(id)?.backUp() === false)
    if (busy.length > 0 && triesLeft > 0)
      this.#world.queue.after(copyAgainMs, () => this.copy(busy, triesLeft - 1), true)
  }

  /** @returns false when there is no older copy, or when no more servers may be lost */
  strike(server: ServerNode, lasts: number): boolean {
    const { copyEnd, flushedTo, id } = server
    if (copyEnd === null || flushedTo === null || flushedTo <= copyEnd) return false
    if (!this.#tolerance.lose([server.name])) return false
    server.restoreDisk()
    this.#old.set(id, 'waiting')
    this.#world.queue.after(lasts, () => this.#try(id), true)
    return true
  }

  /** Whether others may start it: one with an old disk waits for whoever can tell it. */
  mayStart(id: string): boolean {
    return !this.#old.has(id)
  }

  /** Whether it is on its way to find out, and is not to be disturbed. */
  isProving(id: string): boolean {
    return this.#old.get(id) === 'proving'
  }

  /** It stopped because its disk is old. @returns whether it is */
  stopped(server: ServerNode): boolean {
    if (!this.#old.delete(server.id)) return false
    this.#foundOut()
    this.#replaced(server)
    return true
  }

  /** Those that nobody could tell anything get an empty disk. */
  heal(): void {
    this.#healed = true
    for (const id of [...this.#old.keys()]) {
      this.#old.delete(id)
      this.#world.server(id).loseDisk()
    }
  }

  #replaced(server: ServerNode): void {
    this.#world.queue.after(0, () => server.loseDisk())
  }

  #heard({ from, to, message }: Parcel): void {
    if (message.kind !== 'alive' || message.position === undefined || message.member.address !== from) return
    if (!this.#world.servers.has(to)) return
    const seen = this.#seen.get(to) ?? new Map<ServerName, Position>()
    this.#seen.set(to, seen)
    seen.set(message.member.name, Math.max(seen.get(message.member.name) ?? 0, message.position))
  }

  #try(id: string): void {
    if (this.#healed || this.#old.get(id) !== 'waiting') return
    if (!this.#canFindOut(id)) {
      this.#world.queue.after(lookMs, () => this.#try(id), true)
      return
    }
    this.#old.set(id, 'proving')
    this.#world.network.heal([id])
    this.#world.server(id).start()
    this.#world.queue.after(proofMs, () => this.#giveUp(id), true)
  }

  /** Somebody died: perhaps nobody is left who can tell it. */
  #look(id: string): void {
    if (this.#old.get(id) === 'proving' && !this.#canFindOut(id)) this.#giveUp(id)
  }

  #giveUp(id: string): void {
    if (this.#old.get(id) !== 'proving') return
    this.#world.server(id).kill()
    this.#old.set(id, 'waiting')
    this.#world.queue.after(lookMs, () => this.#try(id), true)
  }

  #canFindOut(id: string): boolean {
    const { name, copyEnd } = this.#world.server(id)
    const others = [...this.#world.servers.values()].filter((other) => other.id !== id)
    const witnesses = others.filter(
      (other) => other.alive && !other.paused && (this.#seen.get(other.id)?.get(name) ?? 0) > (copyEnd ?? 0),
    )
    return witnesses.length * 2 > others.length
  }
}
