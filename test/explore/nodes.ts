/**
 * What takes part in an exploration, each driven by its inputs alone: a server with one replica and its log, a coordinator, an
 * arbiter, a proposer, and a register that stands for an engine. The machines are the product's.
 */

import { Audience } from '../../broker/audience.ts'
import { Drops } from '../../broker/drops.ts'
import { Arbiter } from '../../broker/engines/arbiter.ts'
import { type ArbiterAnswer, Arbiters } from '../../broker/engines/arbiters.ts'
import type { Deciders } from '../../broker/engines/deciders.ts'
import type { Proposal, ProposalListener, Registry } from '../../broker/engines/engine.ts'
import type { ChangeListener } from '../../broker/epoch/change.ts'
import { Coordinator } from '../../broker/epoch/coordinator.ts'
import { endlessRoom, type Host, limits } from '../../broker/host.ts'
import { Outlets } from '../../broker/outlets.ts'
import { Replica } from '../../broker/replica/replica.ts'
import type { ServerTimer } from '../../broker/timers.ts'
import type { Configuration, Decision, Intent, Member } from '../../proto/configuration.ts'
import { address, epoch, type ServerName, serverId, serverName, topicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { RecordKind } from '../../proto/machine/store.ts'
import { Timers } from '../../proto/machine/timers.ts'
import { decodeRecord, messageBytes } from '../../proto/wire/codec.ts'
import type { Message, MessageTo } from '../../proto/wire/messages.ts'
import type { ArbiterRecord, LogRecord, ReplicaRecord } from '../../proto/wire/records.ts'

export const topic = topicName('t')

/** What goes from one node to another; `engine` messages are this exploration's own. */
export type Said = Message | { readonly kind: 'engine-propose' | 'engine-decided'; readonly decision: Decision }

export interface Parcel {
  readonly from: string
  readonly to: string
  readonly token: number
  readonly message: Said
}

export type NodeInput =
  | { readonly kind: 'parcel'; readonly parcel: Parcel }
  | { readonly kind: 'begin' }
  /** The process dies and comes back with its disk. */
  | { readonly kind: 'restart' }
  /** Time passes until something is said, or for a while. */
  | { readonly kind: 'timeout' }

export interface DiskRecord {
  readonly record: RecordKind
  readonly message: LogRecord
  readonly bytes: Uint8Array
}

export interface Turn {
  readonly sends: Parcel[]
  readonly written: DiskRecord[]
}

export interface Node {
  take(input: NodeInput): Turn
  /** Everything that decides what it does next. */
  readonly state: unknown
}

const timeoutTicks = 60

export function memberOf(id: string): Member {
  return { name: serverName(serverId(id), storageOf(id)), address: address(id) }
}

function storageOf(id: string): string {
  return `00000000-0000-4000-8000-${id.charCodeAt(0).toString().padStart(12, '0')}`
}

/** Sends and records of one turn, and the log that the records go to. */
class Effects {
  readonly turn: Turn = { sends: [], written: [] }
  readonly #self: string
  readonly #log: DiskRecord[]

  constructor(self: string, log: DiskRecord[]) {
    this.#self = self
    this.#log = log
  }

  perform(out: readonly Effect[]): Turn {
    for (const effect of out) {
      if (effect.kind === 'persist') this.#write(effect)
      else if (effect.kind === 'send') {
        for (const to of effect.to) this.#send(to, effect.token, effect.message)
      } else if (effect.kind === 'send-record') {
        const record = this.#log[effect.placement.positionOf(effect.slot)]
        if (record?.message.kind === 'batch') this.#send(effect.to, effect.token, record.message)
      }
    }
    return this.turn
  }

  #write({ record, bytes, placement, slot }: Effect & { kind: 'persist' }): void {
    if (placement !== undefined && slot !== undefined) placement.place(slot, this.#log.length)
    const written = { record, message: decodeRecord(bytes), bytes }
    this.#log.push(written)
    this.turn.written.push(written)
  }

  #send(to: string, token: number, message: Said): void {
    this.turn.sends.push({ from: this.#self, to, token, message })
  }
}

/** What a node's process shares; a new life has other numbers. */
class Process {
  life = 0
  #token = 0
  readonly host: Host
  timers = new Timers<ServerTimer>()

  constructor(id: string) {
    const process = this
    this.host = {
      self: memberOf(id),
      get incarnation() {
        return process.life
      },
      random: { below: () => 0 },
      timers: {
        get now() {
          return process.timers.now
        },
        timer: (name, key, ring) => process.timers.timer(name, key, ring),
      },
      nextToken: () => ++this.#token,
      addressOf: (member) => member.address,
      isAlive: () => true,
      isSettled: () => true,
      alive: () => [],
      isFull: () => false,
      isCutOff: () => false,
      askDecider: () => {},
      askNewest: () => {},
      note: () => {},
      topicCount: () => 1,
      room: endlessRoom,
      audience: new Audience(this.timers, limits.clientTicks, () => {}),
      outlets: new Outlets(),
      drops: new Drops(),
      sync: 'always',
      coordinate: () => {},
    }
  }

  get state(): unknown {
    return [this.life, this.#token, this.timers.now]
  }

  restart(): void {
    this.life++
    this.#token = this.life * 1000
    this.timers = new Timers()
  }

  /** Lets time pass until something is said, or for a while. */
  wait(out: Effect[], settle: () => void): void {
    for (let tick = 0; tick < timeoutTicks && !out.some(({ kind }) => kind === 'send'); tick++) {
      this.timers.pass(this.timers.now + 1)
      this.timers.ring(out)
      settle()
    }
  }
}

export class ServerNode implements Node {
  readonly #id: string
  readonly #process: Process
  readonly #log: DiskRecord[]
  #replica: Replica

  constructor(id: string, before: readonly Decision[]) {
    this.#id = id
    this.#process = new Process(id)
    const member = memberOf(id)
    this.#log = before.map((decision) => {
      const isNamed = decision.next.members.some(({ name }) => name === member.name)
      const of = { topic, epoch: isNamed ? decision.next.epoch : epoch(decision.next.epoch - 1), decision }
      const message: LogRecord = isNamed ? { kind: 'opening', ...of } : { kind: 'decided', ...of }
      return { record: 'protocol', message, bytes: messageBytes(message) }
    })
    this.#replica = this.#recovered()
  }

  get state(): unknown {
    return [this.#process.state, this.#replica, this.#log.map(({ record, bytes }) => [record, bytes])]
  }

  take(input: NodeInput): Turn {
    const effects = new Effects(this.#id, this.#log)
    const out: Effect[] = []
    if (input.kind === 'restart') {
      this.#process.restart()
      this.#replica = this.#recovered()
    } else if (input.kind === 'parcel') {
      const { from, token, message } = input.parcel
      const bytes = messageBytes(message as Message)
      const envelope = { cluster: '' as const, from: nameOf(from), token }
      this.#replica.take(address(from), { envelope, message: message as MessageTo<'member'>, bytes }, out)
      this.#replica.settle(out)
    } else {
      this.#process.wait(out, () => this.#replica.settle(out))
    }
    return effects.perform(out)
  }

  #recovered(): Replica {
    const replica = new Replica(topic, this.#process.host, limits, () => {})
    for (const [position, { record, message }] of this.#log.entries())
      replica.state.recover(record, message as ReplicaRecord, position)
    return replica
  }
}

/** The name in the envelope: servers have one, clients and coordinators of this exploration are called like their address. */
function nameOf(from: string): ServerName | string {
  return /^\d$/.test(from) ? memberOf(from).name : from
}

const silent: ChangeListener = {
  phase: () => {},
  decided: () => {},
  ended: () => {},
  retirable: () => {},
  failed: () => {},
  outdated: () => {},
  stalled: () => {},
  over: () => {},
}

export class CoordinatorNode implements Node {
  readonly #id: string
  readonly #process: Process
  readonly #coordinator: Coordinator
  #round = 0
  #listener: ProposalListener | null = null
  #into: Effect[] = []

  constructor(id: string, old: Configuration, intent: Intent) {
    this.#id = id
    this.#process = new Process(id)
    const deciders = {
      open: (_decider: unknown, _topic: unknown, _epoch: unknown, listener: ProposalListener) => {
        this.#listener = listener
        return this.#proposal()
      },
    } as unknown as Deciders
    const registry: Registry = { note: () => {}, lookup: () => {}, list: () => {} }
    const nextRound = (_topic: unknown, above: number) => {
      this.#round = Math.max(this.#round, above) + 1
      return this.#round
    }
    const needs = { host: this.#process.host, limits, deciders, registry, nowMs: () => 0, nextRound }
    this.#coordinator = new Coordinator(old, intent, needs, silent)
  }

  get state(): unknown {
    return [this.#process.state, this.#round, this.#coordinator]
  }

  take(input: NodeInput): Turn {
    const effects = new Effects(this.#id, [])
    const out: Effect[] = []
    this.#into = out
    if (input.kind === 'begin') this.#coordinator.begin(true, out)
    else if (input.kind === 'parcel') {
      const { from, message } = input.parcel
      if (message.kind === 'engine-decided') this.#listener?.decided(message.decision, out)
      else if (message.kind !== 'engine-propose')
        this.#coordinator.take(nameOf(from) as ServerName, message as Message, out)
    } else this.#process.wait(out, () => {})
    return effects.perform(out)
  }

  #proposal(): Proposal {
    const propose = (decision: Decision) => {
      const message = { kind: 'engine-propose', decision } as const
      this.#into.push({ kind: 'send', to: [address('e')], token: 0, message: message as unknown as Message })
    }
    return { propose, cancel: () => {} }
  }
}

/** The consensus engine of Figures 4 and 5, taken for granted: the first value is the value. */
export class EngineNode implements Node {
  #value: Decision | null = null

  get state(): unknown {
    return this.#value
  }

  take(input: NodeInput): Turn {
    if (input.kind !== 'parcel' || input.parcel.message.kind !== 'engine-propose') return { sends: [], written: [] }
    this.#value ??= input.parcel.message.decision
    const message: Said = { kind: 'engine-decided', decision: this.#value }
    return { sends: [{ from: 'e', to: input.parcel.from, token: 0, message }], written: [] }
  }
}

export class ArbiterNode implements Node {
  readonly #id: string
  readonly #log: DiskRecord[] = []
  #arbiter = new Arbiter()

  constructor(id: string) {
    this.#id = id
  }

  get state(): unknown {
    return [this.#arbiter, this.#log.map(({ bytes }) => bytes)]
  }

  take(input: NodeInput): Turn {
    const effects = new Effects(this.#id, this.#log)
    const out: Effect[] = []
    if (input.kind === 'restart') {
      this.#arbiter = new Arbiter()
      for (const { message } of this.#log) this.#arbiter.recover(message as ArbiterRecord)
    } else if (input.kind === 'parcel') {
      const { from, token, message } = input.parcel
      this.#arbiter.take(address(from), token, message as MessageTo<'arbiter'>, out)
    }
    return effects.perform(out)
  }
}

/** Somebody who wants one register to hold a value of its own. */
export class ProposerNode implements Node {
  readonly #id: string
  readonly #process: Process
  readonly #arbiters: Arbiters
  readonly #decision: Decision
  decided: Decision | null = null

  constructor(id: string, arbiters: readonly Member[], decision: Decision) {
    this.#id = id
    this.#process = new Process(id)
    this.#decision = decision
    this.#arbiters = new Arbiters(this.#process.host, limits, () => arbiters)
  }

  get state(): unknown {
    return [this.#process.state, this.#arbiters, this.decided]
  }

  take(input: NodeInput): Turn {
    const effects = new Effects(this.#id, [])
    const out: Effect[] = []
    if (input.kind === 'begin') {
      const listener: ProposalListener = {
        ready: () => {},
        decided: (decision) => {
          this.decided = decision
        },
        closed: () => {},
      }
      const { topic: of, epoch: next } = this.#decision.next
      const proposal = this.#arbiters.open(of, epoch(next - 1), listener, out)
      proposal.propose(this.#decision, out)
    } else if (input.kind === 'parcel') {
      const { from, token, message } = input.parcel
      this.#arbiters.take(nameOf(from) as ServerName, token, message as ArbiterAnswer, out)
    } else {
      const { timers } = this.#process
      for (let tick = 0; tick < timeoutTicks && !out.some(({ kind }) => kind === 'send'); tick++) {
        timers.pass(timers.now + 1)
        timers.ring(out)
      }
    }
    return effects.perform(out)
  }
}
