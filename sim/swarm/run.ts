/**
 * Runs one plan: a cluster, clients, faults until they end, then what must work again, and every check over what happened.
 */
import { createHash, type Hash } from 'node:crypto'
import { EpochcastError } from '../../proto/errors.ts'
import { formatMessageId, parseMessageId } from '../../proto/ids.ts'
import { checkHistory } from '../check/check.ts'
import type { HistoryEvent, Violation } from '../check/history.ts'
import { OrderRules } from '../check/order-rules.ts'
import { Recorder } from '../check/recorder.ts'
import { ServerRules } from '../check/server-rules.ts'
import type { ClientNode } from '../world/client-node.ts'
import type { WorldEvent } from '../world/events.ts'
import type { Operation, Step } from '../world/operations.ts'
import type { ServerNode } from '../world/server-node.ts'
import { World } from '../world/world.ts'
import { namedStream } from './chance.ts'
import { drawPlan } from './draw.ts'
import { type FaultId, type Reached, reach } from './fault-classes.ts'
import { Injector } from './injector.ts'
import { LostFiles } from './lost-files.ts'
import { OldDisks } from './old-disks.ts'
import { engineName, type Plan, type PlannedOperation, type PlannedTopic, topicNames } from './plan.ts'
import { Situations } from './situations.ts'
import { Tolerance } from './tolerance.ts'
import { type Work, workOf } from './work.ts'

export interface RunOptions {
  /** Classes of faults that are left out. */
  readonly without?: ReadonlySet<FaultId>
  /** Digest of everything that happened, to compare two runs of one seed. */
  readonly digest?: boolean
  /** Ends at the first rule that is broken while it runs. */
  readonly stopEarly?: boolean
  /** Keeps the history in the verdict also when all is well. */
  readonly keepHistory?: boolean
  /** Called once the cluster is there: for tests that tamper with it. */
  readonly prepare?: (world: World) => void
  /** Sees every event of the world, after the rules. */
  readonly watch?: (event: WorldEvent) => void
}

export interface Verdict {
  readonly seed: number
  readonly plan: Plan
  /** Empty when every rule held. */
  readonly violations: readonly Violation[]
  readonly reached: Reached
  readonly events: number
  readonly work: Work
  readonly digest: string | null
  /** Of a seed that failed, or when it was asked for. */
  readonly history: readonly HistoryEvent[] | null
}

const [firstTopic, secondTopic] = topicNames
/** Milliseconds of virtual time after which what was asked for once all faults are over must be there. */
const operationMs = 12_000
const changeMs = 6_000
/** A change whose members do not answer gives up after its plan's time, and the next one waits for that. */
const planMs = 3_000
const limits = { planTicks: 150, stageTicks: 60 }
/** Where servers replace dead members: sooner than production does, as a world lives for seconds. */
const replacing = { recoveryReplaceTicks: 15, maskingReplaceTicks: 60 }
const stepMs = 10
/** How long a cluster is watched that cannot do what it is asked. */
const hopelessMs = 1_000
/** An operator looks at what became of a change before asking for the next. */
const askAgainMs = 100
/** Time after which a client knows that there is space again, or that its topic is elsewhere. */
const againMs = 2_500
/** Time for everybody to know each other. */
const settleMs = 100
const introductionMs = 20
/** Events of a world that does not come to rest. */
const eventsMax = 400_000

type ChangeTarget = Pick<PlannedTopic, 'members' | 'mode' | 'decider'> & { readonly by: readonly string[] }

/** A rule is broken, and that is enough. */
class Stopped extends Error {}

/** The same seed gives the same verdict, in any process. */
export function runSeed(seed: number, options: RunOptions = {}): Promise<Verdict> {
  return runPlan(drawPlan(seed, { ...(options.without && { without: options.without }) }), options)
}

export async function runPlan(plan: Plan, options: RunOptions = {}): Promise<Verdict> {
  const run = new Run(plan, options)
  try {
    await run.all()
  } catch (error) {
    if (!(error instanceof Stopped))
      run.broken('crash', error instanceof Error ? (error.stack ?? error.message) : String(error))
  }
  return run.verdict()
}

class Run {
  readonly #plan: Plan
  readonly #options: RunOptions
  readonly #reached: Reached = new Map()
  readonly #violations: Violation[] = []
  readonly #world: World
  #recorder: Recorder | null = null
  #injector: Injector | null = null
  #events = 0
  #clockReadings = 0
  readonly #hash: Hash | null
  /** Ids of every Add that has one, by value. */
  readonly #ids = new Map<string, string[]>()

  constructor(plan: Plan, options: RunOptions) {
    this.#plan = plan
    this.#options = options
    this.#hash = options.digest === true ? createHash('sha256') : null
    this.#world = new World({
      seed: plan.seed,
      keepTrace: false,
      disks: plan.disks,
      sync: (server) => plan.sync?.[server] ?? 'always',
      points: true,
      limits: { ...limits, ...(plan.replacesDead && replacing) },
      fate: (parcel) => this.#injector?.fate(parcel) ?? [0],
      flushTime: (server) => this.#injector?.flushTime(server) ?? 0,
      streamFor: (name) => namedStream(plan.seed, name),
      clock: (id, now) => this.#clock(id, now),
      drift: (id) => plan.drift[id] ?? 1,
    })
  }

  async all(): Promise<void> {
    const plan = this.#plan
    const world = this.#world
    if (plan.engine !== 'none') world.addEngine(engineName)
    await world.found(plan.servers, plan.arbiters, plan.engine === 'founding' ? engineName : null)
    const recorder = new Recorder(world, `seed ${plan.seed}`, (event) => this.#recorded(event))
    this.#recorder = recorder
    const tolerance = new Tolerance(world.cluster?.arbiters.map(({ name }) => name) ?? [])
    this.#tolerance = tolerance
    const rules = new ServerRules(world, (text) => this.broken(ruleOf(text), text))
    const situations = new Situations(world, this.#reached)
    const orders = new OrderRules()
    this.#orders = orders
    const oldDisks = new OldDisks(world, tolerance, () => reach(this.#reached, 'P6'))
    this.#oldDisks = oldDisks
    const lostFiles = new LostFiles(world, tolerance, (id) => reach(this.#reached, id))
    this.#lostFiles = lostFiles
    world.watchers.push((event) => {
      this.#events++
      rules.see(event)
      situations.see(event)
      orders.see(event, this.#events)
      oldDisks.see(event)
      this.#watch(event)
      this.#options.watch?.(event)
    })
    this.#injector = new Injector(world, {
      plan,
      reached: this.#reached,
      tolerance,
      oldDisks,
      lostFiles,
      told: (id, detail) => recorder.note({ kind: 'fault', at: world.now, id, detail }),
      restartClient: (id) => this.#client(id),
    })
    this.#options.prepare?.(world)
    await this.#create()
    this.#injector.begin()
    for (const operation of plan.operations) world.queue.after(operation.at, () => this.#perform(operation), true)
    await this.#advanceTo(world.now + plan.healAt)
    await this.#heal(tolerance)
    await this.#finish()
    const isHopeless = this.#isHopeless
    recorder.note({ kind: 'end', at: world.now, quiescent: !isHopeless, ...(isHopeless && { hopeless: true }) })
    this.#violations.push(...checkHistory(recorder.events))
    for (const text of orders.finish(!isHopeless)) this.broken(ruleOf(text), text)
  }

  broken(rule: string, text: string): void {
    // The rest follows from the first few.
    if (this.#violations.length < 20) this.#violations.push({ rule, text, i: this.#recorder?.events.length ?? 0 })
  }

  verdict(): Verdict {
    const keeps = this.#violations.length > 0 || this.#options.keepHistory === true
    return {
      seed: this.#plan.seed,
      plan: this.#plan,
      violations: this.#violations,
      reached: this.#reached,
      events: this.#events,
      work: workOf(this.#recorder?.events ?? [], this.#world.operations.length),
      digest: this.#hash?.digest('hex') ?? null,
      history: keeps ? (this.#recorder?.events ?? []) : null,
    }
  }

  /** From now on every call must end well: no caller gives up any more. */
  #isHealed = false
  #tolerance: Tolerance | null = null
  #oldDisks: OldDisks | null = null
  #lostFiles: LostFiles | null = null
  #orders: OrderRules | null = null
  /** What clients publish once they are given something: by client. */
  readonly #answers = new Map<string, (() => void)[]>()

  #recorded(event: HistoryEvent): void {
    this.#tolerance?.see(event)
    if (event.kind === 'sent') {
      for (const [at, value] of event.values.entries()) {
        const id = `${event.epoch}-${event.pub}-${event.first + at}`
        const key = `${event.topic} ${value}`
        this.#ids.set(key, [...(this.#ids.get(key) ?? []), id])
      }
    }
    this.#hash?.update(JSON.stringify(event))
  }

  #watch(event: WorldEvent): void {
    if (this.#hash !== null && 'parcel' in event) {
      this.#hash.update(`${event.what} ${event.at} ${event.parcel.from} ${event.parcel.to}`).update(event.parcel.bytes)
    }
    if (event.what === 'operation' && isGiven(event.step)) this.#answer(event.operation.client)
    if (event.what === 'gone') this.#answers.delete(event.client)
    if (event.what !== 'fatal') return
    const node = [...this.#world.servers.values()].find(({ name }) => name === event.server)
    if (!this.#mayStop(event.error, node)) this.broken('stop', `server ${event.server} stopped: ${event.error}`)
    const again = () => node !== undefined && this.#oldDisks?.mayStart(node.id) !== false && node.start()
    this.#world.queue.after(500, again, true)
  }

  /** Disks fail, fill up, are old copies, or lack files; nothing else ends a server. */
  #mayStop(error: unknown, node: ServerNode | undefined): boolean {
    if (!(error instanceof EpochcastError)) return false
    if (error.code === 'EC_STORAGE_OLD') return node !== undefined && this.#oldDisks?.stopped(node) === true
    if (error.code === 'EC_LOG_DAMAGED') return node !== undefined && this.#lostFiles?.stopped(node) === true
    return error.code === 'EC_DISK_FAILED' || error.code === 'EC_DISK_FULL'
  }

  /** Whatever this client was to say next, it says now. */
  #answer(client: string): void {
    const [next, ...later] = this.#answers.get(client) ?? []
    if (next === undefined) return
    this.#answers.set(client, later)
    this.#world.queue.after(0, next)
  }

  async #create(): Promise<void> {
    const plan = this.#plan
    for (const id of new Set(['admin', ...plan.operations.map(({ client }) => client)])) this.#client(id)
    await this.#advanceTo(this.#world.now + settleMs)
    const created = this.#topics().map(([name, { mode, decider, members, membersMin, order }]) =>
      this.#client('admin').create(name, { mode, decider, members: [...members], membersMin, order }),
    )
    const isOver = () => created.every(({ over }) => over)
    for (let waited = 0; !isOver() && waited < 200; waited++) await this.#advanceTo(this.#world.now + stepMs)
    if (!isOver()) this.broken('L1', 'a topic was not made, and nothing was in the way')
  }

  #topics(): [string, PlannedTopic][] {
    const { topic, second } = this.#plan
    return second === null
      ? [[firstTopic, topic]]
      : [
          [firstTopic, topic],
          [secondTopic, second],
        ]
  }

  #perform(operation: PlannedOperation): void {
    const client = this.#client(operation.client)
    if (client.machine.cluster === '') {
      // Not introduced yet, as after a restart: a program waits for that.
      this.#world.queue.after(introductionMs, () => this.#perform(operation), true)
      return
    }
    const topic = operation.topic ?? firstTopic
    switch (operation.do) {
      case 'add': {
        const { value, onEpochEnd, patience } = operation
        const added = client.add(topic, value, onEpochEnd)
        if (patience === undefined) return
        const giveUp = () => {
          if (!this.#isHealed && this.#world.clients.get(client.id) === client) client.giveUp(added)
        }
        this.#world.queue.after(patience, giveUp, true)
        return
      }
      case 'answer': {
        const { value } = operation
        const waiting = this.#answers.get(client.id) ?? []
        const say = () => {
          if (this.#world.clients.get(client.id) === client) client.add(topic, value)
        }
        this.#answers.set(client.id, [...waiting, say])
        return
      }
      case 'get':
        client.get(topic, operation.level)
        return
      case 'subscribe':
      case 'together': {
        const count = this.#world.operations.length
        const { from } = operation
        const name = from === 'new' ? `new-${count}` : `s-${count}`
        if (operation.do === 'together') client.together(topicNames, name, from)
        else client.subscribe(topic, name, from, operation.order ?? null, operation.durability)
        return
      }
      case 'outcome': {
        const ids = this.#ids.get(`${topic} ${operation.of}`) ?? []
        const id = ids[ids.length - 1]
        if (id !== undefined) client.outcome(topic, parseMessageId(id))
        return
      }
      case 'ask-again':
        this.#askAgain(client, topic, operation.change, operation.by)
        return
      case 'reconfigure': {
        const { change, by, members, mode, decider, membersMin, order } = operation
        const template = { members: [...members], mode, decider, membersMin, ...(order && { order }) }
        client.reconfigure(topic, { by, changeId: change, epoch: 0, ...template })
        return
      }
    }
  }

  /** A change that is known to have been decided is asked for again: of the epoch that it ended. */
  #askAgain(client: ClientNode, topic: string, change: string, by: readonly string[]): void {
    const asked = this.#world.operations.filter(
      (one) => one.kind === 'reconfigure' && one.topic === topic && one.label === change,
    )
    for (const { steps } of asked) {
      for (const step of steps) {
        if (step.kind !== 'changed' || step.message.superseded) continue
        const { decision } = step.message
        const isOld = [...this.#world.servers.values()].some(({ machine }) =>
          machine?.topics.some(
            ({ state }) => state.topic === topic && (state.newest?.epoch ?? 0) > decision.next.epoch,
          ),
        )
        if (isOld) reach(this.#reached, 'R24')
        client.reconfigure(topic, { by, changeId: change, epoch: decision.next.epoch - 1 })
        return
      }
    }
  }

  /** Clients follow their topics from their first moment. */
  #client(id: string): ClientNode {
    if (this.#world.clients.has(id)) return this.#world.client(id, false)
    const client = this.#world.client(id, false)
    for (const [topic] of this.#topics()) client.follow(topic)
    return client
  }

  /** All faults end; what is dead comes back, but for those that the rest can do without. */
  async #heal(tolerance: Tolerance): Promise<void> {
    const world = this.#world
    this.#isHealed = true
    this.#injector?.heal()
    const gone: string[] = []
    for (const id of this.#plan.deadForGood) {
      const server = world.servers.get(id)
      if (server === undefined || !tolerance.lose([server.name])) continue
      server.kill()
      gone.push(id)
    }
    for (const server of world.servers.values()) if (!gone.includes(server.id)) server.start()
    const changes = this.#plan.operations.filter((operation) => operation.do === 'reconfigure').length + 1
    const allChangesMs = changeMs + changes * planMs
    this.#recorder?.note({
      kind: 'healed',
      at: world.now,
      operationMs: operationMs + allChangesMs,
      changeMs: allChangesMs,
    })
    for (const id of ['x', 'y', 'z', 'last', 'reader']) this.#client(id)
    const live = this.#plan.servers.filter((id) => !gone.includes(id))
    await this.#advanceTo(world.now + 300)
    const mode = live.length >= 3 ? 'fault-masking' : live.length === 2 ? 'fault-recovery' : 'single'
    const members = live.slice(0, 3)
    const decider = mode === 'fault-masking' ? 'stakes' : 'engine'
    const target: ChangeTarget = { by: live, members, mode, decider }
    const wanted = this.#topics().map(([topic]) => this.#changeTo(target, topic))
    const isOver = () => wanted.map((isChanged) => isChanged()).every(Boolean)
    await this.#until(() => isOver() || this.#isHopeless, allChangesMs)
    if (!isOver() && !this.#isHopeless) this.broken('L2', 'nobody can change the topics any more')
  }

  /**
   * Asks until this change wins, as an operator does who wants to be rid of dead members: again, where another change was ahead
   * or something was not there yet.
   * @returns whether it has won
   */
  #changeTo(target: ChangeTarget, topic: string): () => boolean {
    const { by, members, mode, decider } = target
    let tries = 0
    let askAgainAt = 0
    const ask = () => {
      const changeId = `last${topic === firstTopic ? '' : `-${topic}`}${++tries === 1 ? '' : tries}`
      const template = { members: [...members], mode, decider, membersMin: 1 }
      return this.#client('last').reconfigure(topic, { by, changeId, epoch: 0, ...template })
    }
    let last = ask()
    return () => {
      const { now } = this.#world
      if (!last.over) askAgainAt = now + askAgainMs
      else if (last.steps.some((step) => step.kind === 'changed' && !step.message.superseded)) return true
      else if (now >= askAgainAt) last = ask()
      return false
    }
  }

  /** More is lost for good than the guarantees allow: what is wrong must not happen, but nothing has to. */
  get #isHopeless(): boolean {
    return this.#tolerance?.holds === false
  }

  /** Everybody publishes once more, everything open is asked about, everything is read. */
  async #finish(): Promise<void> {
    const world = this.#world
    for (const id of ['x', 'y', 'z']) this.#client(id).add(firstTopic, `last-${id}`)
    if (this.#plan.second !== null) this.#client('x').add(secondTopic, `last-x-${secondTopic}`)
    const reader = this.#client('reader')
    const asked = [...this.#ids].flatMap(([key, ids]) => ids.map((id) => [key.slice(0, key.indexOf(' ')), id] as const))
    const isAdded = () => !world.operations.some((one) => one.kind === 'add' && isOpen(one))
    await this.#until(isAdded, operationMs)
    await this.#addAgain()
    await this.#until(isAdded, operationMs)
    for (const [topic, id] of asked.slice(-8)) reader.outcome(topic, parseMessageId(id))
    for (const [topic, { order }] of this.#topics()) {
      reader.get(topic)
      reader.subscribe(topic, 's-late', 'start', order === 'none' || this.#changesOrder(topic) ? null : order)
    }
    await this.#until(() => !world.operations.some(isOpen), operationMs + changeMs)
    await this.#until(() => this.#isAllGiven() && this.#orders?.isComplete !== false, operationMs)
  }

  /** Whoever is still refused for want of space, not having heard that the topic has left a full disk, asks once more. */
  async #addAgain(): Promise<void> {
    const refused = this.#world.operations.filter((one) => one.label.startsWith('last-') && isWithoutSpace(one))
    if (refused.length === 0) return
    await this.#advanceTo(this.#world.now + againMs)
    for (const { client, topic, label } of refused) this.#client(client).add(topic, `${label}-again`)
  }

  /** An order that is given up may not be asked for. */
  #changesOrder(topic: string): boolean {
    return this.#plan.operations.some(
      (one) => one.do === 'reconfigure' && (one.topic ?? firstTopic) === topic && one.order !== undefined,
    )
  }

  /** Whether every subscription from the beginning was given everything that is durable, for good. */
  #isAllGiven(): boolean {
    const durable: { readonly topic: string; readonly value: string }[] = []
    const given = new Map<Operation, Set<string>>()
    for (const operation of this.#world.operations) {
      const { over, kind, label, client, topic, steps } = operation
      if (kind === 'subscribe') {
        if (!over && label.startsWith('s-') && this.#world.clients.has(client)) given.set(operation, valuesGiven(steps))
        continue
      }
      for (const step of steps)
        if (step.kind === 'added' && step.status !== 'dropped') durable.push({ topic, value: label })
    }
    return [...given].every(([operation, values]) =>
      durable.every(({ topic, value }) => topic !== operation.topic || values.has(value)),
    )
  }

  async #until(isDone: () => boolean, milliseconds: number): Promise<void> {
    const end = this.#world.now + (this.#isHopeless ? Math.min(milliseconds, hopelessMs) : milliseconds)
    while (!isDone() && this.#world.now < end) await this.#advanceTo(this.#world.now + stepMs)
  }

  async #advanceTo(moment: number): Promise<void> {
    await this.#world.advance(moment)
    if (this.#options.stopEarly === true && this.#violations.length > 0) throw new Stopped()
    if (this.#events > eventsMax) throw new Error(`no rest after ${this.#events} events`)
  }

  /** No decision may depend on it. */
  #clock(id: string, now: number): number {
    const base = 1_700_000_000_000 + now
    const { clock } = this.#plan
    if (clock === 'steady') return base
    this.#clockReadings++
    const hourMs = 3_600_000
    if (clock === 'strobe') {
      reach(this.#reached, 'C3')
      return base + ((this.#clockReadings * 7919) % 41) * 24 * hourMs * 90
    }
    const jumps = Math.floor(now / 300) + id.charCodeAt(0)
    return base + (((jumps * 31) % 21) - 10) * hourMs * (jumps % 3 === 0 ? 24 * 365 : 1)
  }
}

function ruleOf(text: string): string {
  return text.slice(0, text.indexOf(':'))
}

/** What was given and is not to be retracted any more. */
function valuesGiven(steps: readonly Step[]): Set<string> {
  const values = new Set<string>()
  const early = new Map<string, string>()
  for (const step of steps) {
    if (step.kind === 'delivered' && step.early === true) early.set(formatMessageId(step.given.id), step.given.value)
    else if (step.kind === 'delivered') values.add(step.given.value)
    if (step.kind === 'confirmed') values.add(early.get(formatMessageId(step.id)) ?? '')
  }
  return values
}

function isWithoutSpace({ kind, steps }: Operation): boolean {
  return kind === 'add' && steps.some((step) => step.kind === 'failed' && step.code === 'EC_DISK_FULL')
}

function isOpen({ over, kind }: { readonly over: boolean; readonly kind: string }): boolean {
  return !over && kind !== 'subscribe' && kind !== 'follow'
}

/** The client was given something. */
function isGiven(step: Step): boolean {
  return step.kind === 'delivered' || (step.kind === 'got' && step.given.length > 0)
}
