/** Notices the situations of an epoch change that faults, changes and chance lead to. */
import type { Configuration } from '../../proto/configuration.ts'
import { outsideEngine } from '../../proto/decider.ts'
import type { ServerName } from '../../proto/ids.ts'
import type { Message } from '../../proto/wire/messages.ts'
import type { LogRecordOf } from '../../proto/wire/records.ts'
import { messageOf } from '../check/recorder.ts'
import type { PowerLoss } from '../world/crash-files.ts'
import type { WorldEvent } from '../world/events.ts'
import type { Parcel } from '../world/network.ts'
import type { Operation, Step } from '../world/operations.ts'
import type { DiskRecord } from '../world/virtual-disk.ts'
import type { World } from '../world/world.ts'
import { type FaultId, type Reached, reach } from './fault-classes.ts'
import { OrderSituations } from './order-situations.ts'
import { topicNames } from './plan.ts'

interface Life {
  /** Epochs that it opened and wedged. */
  readonly opened: Set<string>
  readonly wedged: Set<string>
  /** Epochs for whose end it has said that it staged, until it knows the decision. */
  readonly staged: Set<string>
  restarted: boolean
}

/** An epoch of a topic. */
function keyOf({ topic, epoch }: { readonly topic: string; readonly epoch: number }): string {
  return `${topic} ${epoch}`
}

export class Situations {
  readonly #world: World
  readonly #reached: Reached
  readonly #lives = new Map<string, Life>()
  /** Who sent wedges of an epoch, the first one first. */
  readonly #coordinators = new Map<string, string[]>()
  readonly #openedAt = new Map<string, number>()
  readonly #configurations = new Map<string, Configuration>()
  /** Servers to which messages are being carried over. */
  readonly #receiving = new Set<string>()
  #finishedChanges: { readonly number: number; readonly topic: string; readonly epoch: number }[] = []
  /** The newest configuration of each topic. */
  readonly #newest = new Map<string, Configuration>()
  readonly #orders: OrderSituations

  constructor(world: World, reached: Reached) {
    this.#world = world
    this.#reached = reached
    this.#orders = new OrderSituations((id) => this.#note(id))
  }

  see(event: WorldEvent): void {
    switch (event.what) {
      case 'send':
        return this.#said(event.parcel)
      case 'deliver':
        return this.#delivered(event.parcel)
      case 'drop':
        if (event.parcel.kind === 'start' && this.#world.servers.get(event.parcel.to)?.alive === false)
          this.#note('R16')
        return
      case 'flush':
        return this.#kept(event.server, event.records)
      case 'crash':
        if (event.loss !== undefined) this.#lostPower(event.loss)
        return this.#died(event.server)
      case 'start': {
        const life = this.#life(event.server)
        life.restarted = true
        if (life.staged.size > 0) this.#note('R23')
        return
      }
      case 'operation':
        return this.#stepped(event.operation, event.step)
      default:
        return
    }
  }

  #note(id: FaultId): void {
    reach(this.#reached, id)
  }

  #said(parcel: Parcel): void {
    switch (parcel.kind) {
      case 'wedge': {
        const key = keyOf(parcel.message as Extract<Message, { kind: 'wedge' }>)
        const known = this.#coordinators.get(key) ?? []
        if (known.includes(parcel.from)) return
        this.#coordinators.set(key, [...known, parcel.from])
        if (known.length > 0) this.#note('R1')
        if (known[0] !== undefined && this.#world.servers.get(known[0])?.alive === false) this.#note('R21')
        return
      }
      case 'staged':
      case 'preloaded': {
        const { kind, missing, ...of } = parcel.message as Extract<Message, { kind: 'staged' | 'preloaded' }>
        if (missing > 0) return
        this.#receiving.delete(parcel.from)
        const node = this.#world.servers.get(parcel.from)
        if (kind === 'staged' && node !== undefined) this.#life(node.name).staged.add(keyOf(of))
        return
      }
      case 'moved': {
        const node = this.#world.servers.get(parcel.from)
        if (node === undefined) return
        const { newest } = parcel.message as Extract<Message, { kind: 'moved' }>
        const isMember = newest.members.some(({ name }) => name === node.name)
        if (!isMember && this.#life(node.name).restarted) this.#note('R11')
        return
      }
      default:
        return
    }
  }

  #delivered(parcel: Parcel): void {
    switch (parcel.kind) {
      case 'preload':
      case 'stage':
        this.#receiving.add(parcel.to)
        return
      case 'accept': {
        const key = keyOf(parcel.message as Extract<Message, { kind: 'accept' }>)
        const node = this.#world.servers.get(parcel.to)
        if (node === undefined) return
        const life = this.#life(node.name)
        if (life.opened.has(key) && !life.wedged.has(key)) this.#note('R15')
        return
      }
      case 'start': {
        const message = parcel.message as Extract<Message, { kind: 'start' }>
        const node = this.#world.servers.get(parcel.to)
        if (node !== undefined && !this.#life(node.name).opened.has(keyOf(message)) && message.epoch > 1)
          this.#note('R16')
        return this.#late(parcel)
      }
      case 'decided':
        return this.#late(parcel)
      case 'moved': {
        if (!this.#world.clients.has(parcel.to)) return
        const { newest, epoch } = parcel.message as Extract<Message, { kind: 'moved' }>
        if (newest.epoch >= epoch + 2) this.#note('R10')
        return
      }
      case 'decisions': {
        if (!this.#world.clients.has(parcel.to)) return
        if ((parcel.message as Extract<Message, { kind: 'decisions' }>).decisions.length > 1) this.#note('R22')
        return
      }
      default:
        return
    }
  }

  /** A vote or a decision that names an older storage of its receiver. */
  #late(parcel: Parcel): void {
    const node = this.#world.servers.get(parcel.to)
    if (node === undefined || node.storages.length === 1) return
    const { decision } = parcel.message as Extract<Message, { kind: 'start' | 'decided' }>
    const old = decision.next.members.some(({ name }) => name.startsWith(`${node.id}@`) && name !== node.name)
    if (old) this.#note('P5b')
  }

  #kept(server: ServerName, records: readonly DiskRecord[]): void {
    let hasBatch = false
    for (const record of records) {
      if (record.kind === 'batch') {
        hasBatch = true
        continue
      }
      if (record.kind !== 'protocol') continue
      const message = messageOf(record)
      if (message.kind === 'wedge' || message.kind === 'accept') {
        this.#life(server).wedged.add(keyOf(message))
        if (hasBatch) this.#note('R14')
        const openedAt = this.#openedAt.get(keyOf(message))
        if (message.kind === 'wedge' && openedAt !== undefined && this.#world.now - openedAt < 150) this.#note('R2')
      }
      if (message.kind === 'decided') this.#life(server).staged.delete(keyOf(message))
      if (message.kind === 'opening') this.#opened(server, message)
    }
  }

  #opened(server: ServerName, { decision }: LogRecordOf<'opening'>): void {
    const { next } = decision
    const key = keyOf(next)
    const closed = keyOf({ topic: next.topic, epoch: next.epoch - 1 })
    const life = this.#life(server)
    life.staged.delete(closed)
    if (decision.changeId.startsWith('replace-')) this.#note('R25')
    if (life.wedged.has(closed)) this.#note('R18')
    life.opened.add(key)
    if (this.#configurations.has(key)) return
    this.#configurations.set(key, next)
    this.#openedAt.set(key, this.#world.now)
    if ((this.#newest.get(next.topic)?.epoch ?? 0) < next.epoch) this.#newest.set(next.topic, next)
    if (next.epoch > 1 && next.topic !== topicNames[0]) this.#note('S7')
    const old = this.#configurations.get(closed)
    if (old !== undefined) {
      if (outsideEngine(old.decider) !== null) this.#note('E1')
      const common = next.members.filter(({ name }) => old.members.some((member) => member.name === name)).length
      if (common === 0 || next.members.length !== old.members.length) this.#note('R3')
    }
    if (next.members.some(({ name }) => this.#isDown(name))) this.#note('R4')
  }

  #isDown(name: ServerName): boolean {
    const node = this.#world.servers.get(name.slice(0, name.indexOf('@')))
    return node === undefined || node.name !== name || !node.alive
  }

  #died(server: ServerName): void {
    const id = server.slice(0, server.indexOf('@'))
    if (this.#receiving.size > 0) this.#note('R13')
    this.#receiving.delete(id)
    for (const { sequencer } of this.#newest.values()) if (sequencer === server) this.#note('S5')
  }

  #lostPower({ kept, lost, hasHole }: PowerLoss): void {
    if (lost > 0) this.#note('D1')
    if (lost > 0 && kept > 0) this.#note('D2')
    if (hasHole) this.#note('D3')
  }

  #stepped(operation: Operation, step: Step): void {
    if (operation.kind === 'subscribe') this.#orders.see(operation, step)
    if (step.kind === 'added' && (step.status === 'included' || step.status === 'dropped')) this.#note('R19')
    if (step.kind === 'failed' && operation.kind === 'add' && step.code === 'EC_DISK_FULL') this.#note('D8b')
    if (step.kind !== 'changed' || !operation.over) return
    const { epoch, topic } = step.message.decision.next
    const isOfTopic = (other: { readonly topic: string }) => other.topic === topic
    if (!step.message.superseded) {
      const { number } = operation
      if (this.#finishedChanges.some((other) => isOfTopic(other) && other.number > number && other.epoch < epoch))
        this.#note('R5')
      this.#finishedChanges.push({ number, topic, epoch })
    }
  }

  #life(server: string): Life {
    let life = this.#lives.get(server)
    if (life === undefined) {
      life = { opened: new Set(), wedged: new Set(), staged: new Set(), restarted: false }
      this.#lives.set(server, life)
    }
    return life
  }
}
