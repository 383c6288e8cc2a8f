/**
 * A group of real machines over a modelled log: epochs that end by one of several changes, each with a closing set that holds
 * all that any reader was given and perhaps more; publishers in order, readers that see them interleaved as it comes.
 */
import { expect } from 'vitest'
import type { Item } from '../../../client-sdk/groups/hand-out.ts'
import type { LogMessage, Run, Wish } from '../../../client-sdk/groups/messages.ts'
import { GroupNode, type NodeEffect } from '../../../client-sdk/groups/node.ts'
import { GroupState } from '../../../client-sdk/groups/state.ts'
import { type Epoch, epoch, nextEpoch, publisherId } from '../../../proto/ids.ts'
import type { Random } from '../../../proto/machine/ports.ts'

const publishers = [publisherId('00000000000000aa'), publisherId('00000000000000bb')]

interface LogEpoch {
  readonly changeId: string
  /** By writer: everything that it sent, and how much of that is durable. */
  readonly sent: Map<number, string[]>
  readonly durable: Map<number, number>
  isClosed: boolean
}

interface Work {
  readonly item: Item
  readonly member: string
}

/** The message that a member has said it begins, in a group with a limit of deliveries. */
interface Beginning extends Work {
  readonly number: number
}

export class ModelMember {
  readonly node: GroupNode
  /** Where its clock begins: those of two processes have nothing to do with each other. */
  readonly clockMs: number
  isAlive = true
  isLeaving = false
  pausedUntilMs = 0
  at = 0
  readonly read = new Map<number, number>()
  /** Granted and not begun; begun and not answered. */
  queue: Item[] = []
  busy: Work[] = []
  beginning: Beginning | null = null
  feedsFrom: Epoch | null = null
  fed = new Map<string, string>()

  constructor(node: GroupNode, clockMs: number) {
    this.node = node
    this.clockMs = clockMs
  }
}

export interface ModelOptions {
  readonly leaseMs?: number
  readonly capacity?: number
  readonly deliveriesMax?: number
  /** Whether a message ends the process that begins it. */
  readonly isPoison?: (id: string) => boolean
  readonly nakPercent?: number
  readonly rollBytes?: number
}

export class GroupModel {
  readonly members: ModelMember[] = []
  /** Given to a reader at least once. */
  readonly begun = new Set<string>()
  /** The member that began a message last and has not given it back. */
  readonly workers = new Map<string, { member: ModelMember; id: string }>()
  readonly published = new Set<string>()
  /** How often each was given to a reader. */
  readonly handed = new Map<string, number>()
  readonly putAside = new Set<string>()
  readonly #handedMs = new Map<string, number>()
  /** How often a member said that it begins it: it may have ended before its reader had it. */
  readonly #asked = new Map<string, number>()
  /** Whether readers answer what they were given. */
  isAnswering = true
  nowMs = 0
  readonly leaseMs: number
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
    this.leaseMs = options.leaseMs ?? 1_000
  }

  get #isLimited(): boolean {
    return (this.#options.deliveriesMax ?? 0) > 0
  }

  get epochs(): number {
    return this.#log.length
  }

  /** A process comes up and reads the log from the last epoch that has a snapshot. @returns its place */
  join(): number {
    const settings = { deliveriesMax: this.#options.deliveriesMax ?? 0, deadLetter: '' }
    const start = { epoch: epoch(1), seen: [] }
    const { leaseMs } = this
    const capacity = this.#options.capacity ?? 4
    const join: Extract<Wish, { kind: 'join' }> = { kind: 'join', capacity, leaseMs, settings, start }
    const rollBytes = this.#options.rollBytes ?? 4_000
    const newId = () => `m${++this.#ids}`
    const node = new GroupNode({ leaseMs, join, rollBytes, newId })
    const member = new ModelMember(node, this.#random.below(2) * this.#random.below(10 * 3_600_000))
    this.members.push(member)
    let at = this.#log.length - 1
    while (at > 0 && !this.#hasSnapshot(at)) at--
    member.at = at
    const state = this.#hasSnapshot(at) ? null : new GroupState()
    this.#turn(member, (out) =>
      member.node.begin(epoch(at + 1), this.#log[at]?.changeId ?? '', state, this.#now(member), out),
    )
    return this.members.length - 1
  }

  crash(index: number): void {
    const member = this.members[index]
    if (member !== undefined) this.#end(member)
  }

  /** It leaves properly: what it has not answered is given back. */
  leave(index: number): void {
    const member = this.members[index]
    if (member === undefined || !member.isAlive || member.isLeaving) return
    member.isLeaving = true
    const unread = member.beginning === null ? [] : [runOf(member.beginning.item)]
    for (const { item, member: id } of member.busy) if (id === member.node.member) this.workers.delete(item.id)
    member.busy = []
    this.#turn(member, (out) => member.node.leave(unread, this.#now(member), out))
  }

  #end(member: ModelMember): void {
    member.isAlive = false
    member.feedsFrom = null
  }

  /** Time as this member's own clock shows it. */
  #now(member: ModelMember): number {
    return this.nowMs + member.clockMs
  }

  pause(index: number, ms: number): void {
    const member = this.members[index]
    if (member !== undefined) member.pausedUntilMs = this.nowMs + ms
  }

  /** The topic's own epoch ends, or an operator changes the servers of the log. */
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

  /** Messages that were begun or put aside, and that are done by the state of every living member. */
  doneCount(): number {
    let done = [...new Set([...this.begun, ...this.putAside])]
    for (const { isAlive, node } of this.members) {
      if (isAlive) done = node.state?.isStarted ? doneBy(node.state, done) : []
    }
    return done.length
  }

  /** How often members said that they begin it. */
  askedFor(id: string): number {
    return this.#asked.get(id) ?? 0
  }

  /** Whether a reader was given it after that moment. */
  handedSince(id: string, ms: number): boolean {
    return (this.#handedMs.get(id) ?? -1) > ms
  }

  /** No server answers for so long: nothing becomes durable, members and their clocks go on. */
  silence(ms: number): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      this.nowMs += 20
      for (const member of this.members) if (member.isAlive) this.#tick(member)
    }
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
      else if (what === 5) this.#tick(member)
      else if (what === 6) this.#feed(member)
      else this.#work(member)
    }
  }

  /** Everything happens, in turn, until nothing is left to do, or so many milliseconds are over. */
  finish(isOver: () => boolean, ms = 60_000): boolean {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; ) {
      if (isOver()) return true
      this.nowMs += 40
      this.#persist(true)
      this.#decide()
      for (const member of this.members) {
        if (!member.isAlive || member.pausedUntilMs > this.nowMs) continue
        for (let turn = 0; turn < 20 && this.deliver(member); turn++);
        this.#tick(member)
        this.#feed(member)
        for (let turn = 0; turn < 8 && member.isAlive; turn++) this.#work(member)
      }
    }
    return isOver()
  }

  /** @returns whether there was something to read */
  deliver(member: ModelMember): boolean {
    const at = this.#log[member.at]
    if (at === undefined) return false
    const ready = [...at.sent.keys()].filter((writer) => (member.read.get(writer) ?? 0) < (at.durable.get(writer) ?? 0))
    const writer = ready[this.#random.below(Math.max(1, ready.length))]
    if (writer !== undefined) {
      const index = member.read.get(writer) ?? 0
      member.read.set(writer, index + 1)
      const text = at.sent.get(writer)?.[index]
      if (text === undefined) return false
      const read = JSON.parse(text) as LogMessage
      this.#turn(member, (out) => member.node.message(read, text.length, this.#now(member), out))
      this.#compare(member, read)
      if (member.node.hasLeft) this.#end(member)
      return true
    }
    if (at.isClosed) {
      member.at++
      member.read.clear()
      const changeId = this.#log[member.at]?.changeId ?? ''
      this.#turn(member, (out) => member.node.ended(epoch(member.at + 1), changeId, this.#now(member), out))
      return true
    }
    return false
  }

  #tick(member: ModelMember): void {
    this.#turn(member, (out) => member.node.tick(this.#now(member), out))
  }

  /** Members that applied the same record are in the same state. */
  #compare(member: ModelMember, message: LogMessage): void {
    if (message.kind !== 'record' || message.claim !== this.#log[member.at]?.changeId) return
    const key = `${member.at} ${message.index}`
    const state = JSON.stringify(member.node.state?.snapshot())
    const known = this.#states.get(key)
    if (known === undefined) this.#states.set(key, state)
    else if (state !== known) expect(state).toBe(known)
  }

  #hasSnapshot(at: number): boolean {
    const of = this.#log[at]
    for (const [writer, sent] of of?.sent ?? []) {
      const durable = sent.slice(0, of?.durable.get(writer) ?? 0).map((text) => JSON.parse(text) as LogMessage)
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

  /** A change that a member asked for is made, or fails because another one was. */
  #decide(): void {
    const [claim, ...rest] = this.#claims
    this.#claims = rest
    if (claim === undefined) return
    if (claim.epoch === this.#log.length) this.endLogEpoch(claim.changeId)
    else if (claim.by.isAlive) claim.by.node.claimFailed(claim.changeId, this.#now(claim.by))
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
    if (this.isAnswering && member.busy.length > 0 && this.#random.below(2) === 0) {
      const [work] = member.busy.splice(0, 1)
      if (work !== undefined && work.member === node.member) this.#answer(member, work.item)
      return
    }
    if (member.isLeaving || member.beginning !== null || !node.isSure(this.#now(member))) return
    const item = member.queue.shift()
    if (item === undefined) return
    const work = { item, member: node.member }
    if (item.isDead) {
      this.putAside.add(item.id)
      this.#begin(member, work)
      return
    }
    this.#asked.set(item.id, (this.#asked.get(item.id) ?? 0) + 1)
    if (!this.#isLimited) {
      this.#turn(member, (out) => node.work([], [runOf(item)], this.#now(member), out))
      this.#begin(member, work)
    } else {
      this.#turn(member, (out) => {
        member.beginning = { ...work, number: node.work([], [runOf(item)], this.#now(member), out) }
      })
    }
  }

  #answer(member: ModelMember, item: Item): void {
    const { node } = member
    const isNak = !item.isDead && this.#random.below(100) < (this.#options.nakPercent ?? 0)
    if (isNak) this.workers.delete(item.id)
    this.#turn(member, (out) => {
      if (isNak) node.nak([runOf(item)], this.#random.below(200), this.#now(member), out)
      else node.work([runOf(item)], [], this.#now(member), out)
    })
  }

  #begin(member: ModelMember, { item, member: id }: Work): void {
    this.#checkAlone(member, item)
    this.workers.set(item.id, { member, id })
    member.busy.push({ item: { ...item }, member: id })
    if (item.isDead) return
    const before = this.handed.get(item.id) ?? 0
    // A message that waited in a buffer was not delivered; where deliveries are limited, none is missed.
    const asked = this.#asked.get(item.id) ?? 0
    const least = this.#isLimited ? before : 0
    const isRight = item.deliveries >= least && item.deliveries < asked
    if (!isRight) expect.fail(`${item.deliveries} deliveries of ${item.id} were counted: ${before} happened`)
    this.begun.add(item.id)
    this.handed.set(item.id, before + 1)
    this.#handedMs.set(item.id, this.nowMs)
    if (this.#options.isPoison?.(item.id) === true) this.#end(member)
  }

  /** The member that had it before gave it back, died, or knows by its own clock that it may have been taken for dead. */
  #checkAlone(member: ModelMember, item: Item): void {
    const before = this.workers.get(item.id)
    if (before === undefined || before.id === member.node.member || !before.member.isAlive) return
    const isStill = before.member.node.member === before.id && before.member.node.isSure(this.#now(before.member))
    if (isStill) expect.fail(`${item.id} is worked on by ${before.id} and ${member.node.member}`)
  }

  #turn(member: ModelMember, run: (out: NodeEffect[]) => void): void {
    const out: NodeEffect[] = []
    run(out)
    member.node.settle(this.#now(member), out)
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
        const sent = at.sent.get(writer)
        if (sent === undefined) at.sent.set(writer, [JSON.stringify(effect.message)])
        else sent.push(JSON.stringify(effect.message))
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
        member.beginning = null
        return
      case 'feed':
        member.feedsFrom = effect.from
        return
      case 'answered': {
        const { beginning } = member
        if (beginning?.number !== effect.number) return
        member.beginning = null
        // A reader that leaves is not given it after all.
        if (!member.isLeaving && effect.refused.length === 0) this.#begin(member, beginning)
        return
      }
    }
  }
}

function runOf({ epoch: of, publisher, sequence: number }: Item): Run {
  return { epoch: of, publisher, first: number, last: number }
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
