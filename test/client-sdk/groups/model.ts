/**
 * A group of real machines over a modelled log: epochs that end by one of several changes, each with a closing set that holds
 * whatever anybody was given and perhaps more; publishers in order, readers that see them interleaved as it comes.
 */
import { expect } from 'vitest'
import type { Item } from '../../../client-sdk/groups/hand-out.ts'
import type { LogMessage, Wish } from '../../../client-sdk/groups/messages.ts'
import { GroupNode, type NodeEffect } from '../../../client-sdk/groups/node.ts'
import { GroupState } from '../../../client-sdk/groups/state.ts'
import { type Epoch, epoch, nextEpoch, publisherId } from '../../../proto/ids.ts'
import type { Random } from '../../../proto/machine/ports.ts'

export const leaseMs = 1_000
const publishers = [publisherId('00000000000000aa'), publisherId('00000000000000bb')]

interface LogEpoch {
  readonly changeId: string
  /** By writer: everything that it sent, and how much of that is durable. */
  readonly sent: Map<number, LogMessage[]>
  readonly durable: Map<number, number>
  isClosed: boolean
}

interface Work {
  readonly item: Item
  readonly member: string
}

export class ModelMember {
  readonly node: GroupNode
  isAlive = true
  pausedUntilMs = 0
  at = 0
  readonly read = new Map<number, number>()
  /** Granted and not begun; begun and not answered. */
  queue: Item[] = []
  busy: Work[] = []
  feedsFrom: Epoch | null = null
  fed = new Map<string, string>()

  constructor(node: GroupNode) {
    this.node = node
  }
}

export interface ModelOptions {
  readonly deliveriesMax?: number
  readonly nakPercent?: number
  readonly rollBytes?: number
}

export class GroupModel {
  readonly members: ModelMember[] = []
  /** Given to a reader at least once. */
  readonly begun = new Set<string>()
  /** Who began to work on a message last, and has not given it back. */
  readonly workers = new Map<string, { member: ModelMember; id: string }>()
  readonly published = new Set<string>()
  nowMs = 0
  readonly #log: LogEpoch[] = [newEpoch('create-1')]
  readonly #topic: { ends: Map<string, number>; closed: boolean }[] = [{ ends: new Map(), closed: false }]
  #claims: { readonly by: ModelMember; readonly epoch: Epoch; readonly changeId: string }[] = []
  readonly #states = new Map<string, string>()
  readonly #random: Random
  readonly #options: ModelOptions
  #ids = 0

  constructor(random: Random, options: ModelOptions = {}) {
    this.#random = random
    this.#options = options
  }

  get epochs(): number {
    return this.#log.length
  }

  /** A process comes up and reads the log from the last epoch that has a snapshot. */
  join(): void {
    const settings = { deliveriesMax: this.#options.deliveriesMax ?? 0, deadLetter: '' }
    const start = { epoch: epoch(1), seen: [] }
    const join: Extract<Wish, { kind: 'join' }> = { kind: 'join', capacity: 4, leaseMs, settings, start }
    const rollBytes = this.#options.rollBytes ?? 2_000
    const newId = () => `m${++this.#ids}`
    const member = new ModelMember(new GroupNode({ leaseMs, join, rollBytes, newId }))
    this.members.push(member)
    let at = this.#log.length - 1
    while (at > 0 && !this.#hasSnapshot(at)) at--
    member.at = at
    const state = this.#hasSnapshot(at) ? null : new GroupState()
    this.#turn(member, (out) => member.node.begin(epoch(at + 1), this.#log[at]?.changeId ?? '', state, this.nowMs, out))
  }

  crash(index: number): void {
    const member = this.members[index]
    if (member === undefined) return
    member.isAlive = false
    member.feedsFrom = null
  }

  pause(index: number, ms: number): void {
    const member = this.members[index]
    if (member !== undefined) member.pausedUntilMs = this.nowMs + ms
  }

  /** The topic's own epoch ends, or somebody else changes the servers of the log. */
  endTopicEpoch(): void {
    const last = this.#topic.at(-1)
    if (last !== undefined) last.closed = true
    this.#topic.push({ ends: new Map(), closed: false })
  }

  endLogEpoch(changeId = `operator-${++this.#ids}`): void {
    const last = this.#log.at(-1)
    if (last === undefined) return
    last.isClosed = true
    for (const [writer, sent] of last.sent) {
      const durable = last.durable.get(writer) ?? 0
      last.durable.set(writer, durable + this.#random.below(sent.length - durable + 1))
    }
    this.#log.push(newEpoch(changeId))
  }

  publish(count: number): void {
    const at = this.#topic.length
    const last = this.#topic.at(-1)
    for (let turn = 0; turn < count; turn++) {
      const publisher = publishers[this.#random.below(publishers.length)] ?? publishers[0]
      if (last === undefined || publisher === undefined) return
      const end = (last.ends.get(publisher) ?? 0) + 1
      last.ends.set(publisher, end)
      this.published.add(`${at}-${publisher}-${end}`)
    }
  }

  /** Messages that somebody began and that are done by the state of every living member. */
  doneCount(): number {
    let done = [...this.begun]
    for (const { isAlive, node } of this.members) {
      if (isAlive) done = node.state?.isStarted ? doneBy(node.state, done) : []
    }
    return done.length
  }

  /** One thing happens at one place. */
  step(): void {
    const member = this.members[this.#random.below(Math.max(1, this.members.length))]
    const what = this.#random.below(8)
    if (what === 0) this.nowMs += this.#random.below(60)
    else if (what === 1) this.#persist()
    else if (what === 2) this.#decide()
    else if (member?.isAlive && member.pausedUntilMs <= this.nowMs) {
      if (what <= 4) this.deliver(member)
      else if (what === 5) this.#turn(member, (out) => member.node.tick(this.nowMs, this.nowMs, out))
      else if (what === 6) this.#feed(member)
      else this.#work(member)
    }
  }

  /** Everything happens, in turn, until nothing is left to do. */
  finish(isOver: () => boolean): boolean {
    for (let round = 0; round < 3_000; round++) {
      if (isOver()) return true
      this.nowMs += 20
      this.#persist(true)
      this.#decide()
      for (const member of this.members) {
        if (!member.isAlive || member.pausedUntilMs > this.nowMs) continue
        for (let turn = 0; turn < 20; turn++) this.deliver(member)
        this.#turn(member, (out) => member.node.tick(this.nowMs, this.nowMs, out))
        this.#feed(member)
        for (let turn = 0; turn < 8; turn++) this.#work(member)
      }
    }
    return false
  }

  deliver(member: ModelMember): void {
    const at = this.#log[member.at]
    if (at === undefined) return
    const ready = [...at.sent.keys()].filter((writer) => (member.read.get(writer) ?? 0) < (at.durable.get(writer) ?? 0))
    const writer = ready[this.#random.below(Math.max(1, ready.length))]
    if (writer !== undefined) {
      const index = member.read.get(writer) ?? 0
      member.read.set(writer, index + 1)
      const message = at.sent.get(writer)?.[index]
      if (message === undefined) return
      const read = JSON.parse(JSON.stringify(message)) as LogMessage
      this.#turn(member, (out) => member.node.message(read, JSON.stringify(message).length, this.nowMs, out))
      this.#compare(member, read)
    } else if (at.isClosed) {
      member.at++
      member.read.clear()
      const changeId = this.#log[member.at]?.changeId ?? ''
      this.#turn(member, (out) => member.node.ended(epoch(member.at + 1), changeId, this.nowMs, out))
    }
  }

  /** Whoever applied the same record is in the same state. */
  #compare(member: ModelMember, message: LogMessage): void {
    if (message.kind !== 'record' || message.claim !== this.#log[member.at]?.changeId) return
    const key = `${member.at} ${message.index}`
    const state = JSON.stringify(member.node.state?.snapshot())
    const known = this.#states.get(key)
    if (known === undefined) this.#states.set(key, state)
    else expect(state).toBe(known)
  }

  #hasSnapshot(at: number): boolean {
    const of = this.#log[at]
    for (const [writer, sent] of of?.sent ?? []) {
      const durable = sent.slice(0, of?.durable.get(writer) ?? 0)
      if (durable.some((one) => one.kind === 'record' && one.index === 0 && one.claim === of?.changeId)) return true
    }
    return false
  }

  #persist(all = false): void {
    const last = this.#log.at(-1)
    for (const [writer, sent] of last?.sent ?? []) {
      const durable = last?.durable.get(writer) ?? 0
      last?.durable.set(writer, durable + (all ? sent.length - durable : this.#random.below(sent.length - durable + 1)))
    }
  }

  /** A change that somebody asked for is made, or fails because another one was. */
  #decide(): void {
    const [claim, ...rest] = this.#claims
    this.#claims = rest
    if (claim === undefined) return
    if (claim.epoch === this.#log.length) this.endLogEpoch(claim.changeId)
    else if (claim.by.isAlive) claim.by.node.claimFailed(claim.changeId, this.nowMs)
  }

  #feed(member: ModelMember): void {
    if (member.feedsFrom === null) return
    const of = member.feedsFrom
    const topic = this.#topic[of - 1]
    if (topic === undefined) return
    this.#turn(member, () =>
      member.node.stored({ kind: 'stored', epoch: of, ends: new Map(topic.ends) as never, closed: topic.closed }),
    )
    if (topic.closed) member.feedsFrom = nextEpoch(of)
  }

  /** The reader of this member takes the next message, or is done with one. */
  #work(member: ModelMember): void {
    const { node } = member
    if (member.busy.length > 0 && this.#random.below(2) === 0) {
      const [work] = member.busy.splice(0, 1)
      if (work === undefined || work.member !== node.member) return
      const { epoch: of, publisher, sequence: number } = work.item
      const runs = [{ epoch: of, publisher, first: number, last: number }]
      const isNak = !work.item.isDead && this.#random.below(100) < (this.#options.nakPercent ?? 0)
      if (isNak) this.workers.delete(work.item.id)
      this.#turn(member, (out) => {
        if (isNak) node.nak(runs, this.#random.below(200), this.nowMs, out)
        else node.ack(runs, this.nowMs, out)
      })
      return
    }
    if (!node.isSure(this.nowMs)) return
    const item = member.queue.shift()
    if (item === undefined) return
    this.begun.add(item.id)
    this.#checkAlone(member, item)
    this.workers.set(item.id, { member, id: node.member })
    member.busy.push({ item: { ...item }, member: node.member })
  }

  /** Whoever had it before gave it back, died, or knows by its own clock that it may have been taken for dead. */
  #checkAlone(member: ModelMember, item: Item): void {
    const before = this.workers.get(item.id)
    if (before === undefined || before.id === member.node.member || !before.member.isAlive) return
    const isStill = before.member.node.member === before.id && before.member.node.isSure(this.nowMs)
    expect(isStill, `${item.id} is worked on by ${before.id} and ${member.node.member}`).toBe(false)
  }

  #turn(member: ModelMember, run: (out: NodeEffect[]) => void): void {
    const out: NodeEffect[] = []
    run(out)
    member.node.settle(this.nowMs, out)
    for (const effect of out) this.#perform(member, effect)
  }

  #perform(member: ModelMember, effect: NodeEffect): void {
    const writer = this.members.indexOf(member)
    switch (effect.kind) {
      case 'publish': {
        // A client may know of the next epoch before its reader does; what it writes in one that is over is lost.
        const isAhead = this.#random.below(2) === 0
        const at = this.#log[isAhead ? this.#log.length - 1 : member.at]
        if (at === undefined || at.isClosed) return
        at.sent.set(writer, [...(at.sent.get(writer) ?? []), effect.message])
        return
      }
      case 'claim':
        this.#claims.push({ by: member, epoch: effect.epoch, changeId: effect.changeId })
        return
      case 'granted':
        member.queue.push(...effect.items.map((item) => ({ ...item })))
        return
      case 'expired':
        member.queue = []
        member.busy = []
        return
      case 'feed':
        member.feedsFrom = effect.from
        return
      case 'answered':
        return
    }
  }
}

function newEpoch(changeId: string): LogEpoch {
  return { changeId, sent: new Map(), durable: new Map(), isClosed: false }
}

function doneBy(state: GroupState, ids: readonly string[]): string[] {
  const epochs = new Map(state.snapshot().epochs.map(([of, isClosed, publishers]) => [of, { isClosed, publishers }]))
  return ids.filter((id) => {
    const [of = '', publisher = '', number = ''] = id.split('-')
    if (state.items.has(id)) return false
    const known = epochs.get(epoch(Number(of)))
    if (known === undefined) return Number(of) < state.firstEpoch
    const progress = known.publishers.find(([one]) => one === publisher)
    return progress === undefined ? known.isClosed : progress[1] > Number(number)
  })
}
