/**
 * Runs one plan: a cluster, clients, faults until they end, then what must work again, and every check over what happened.
 */
import { createHash, type Hash } from 'node:crypto'
import { EpochcastError } from '../../proto/errors.ts'
import { parseMessageId } from '../../proto/ids.ts'
import { checkHistory } from '../check/check.ts'
import type { HistoryEvent, Violation } from '../check/history.ts'
import { Recorder } from '../check/recorder.ts'
import { ServerRules } from '../check/server-rules.ts'
import type { ClientNode } from '../world/client-node.ts'
import type { WorldEvent } from '../world/events.ts'
import { World } from '../world/world.ts'
import { namedStream } from './chance.ts'
import { drawPlan } from './draw.ts'
import { type FaultId, offByDefault, type Reached, reach } from './fault-classes.ts'
import { Injector } from './injector.ts'
import type { Plan, PlannedOperation } from './plan.ts'
import { Situations } from './situations.ts'
import { Tolerance } from './tolerance.ts'

export interface RunOptions {
  /** Classes of faults that are left out, beside those that are off by default. */
  readonly without?: ReadonlySet<FaultId>
  /** Classes that are off by default and drawn nevertheless. */
  readonly include?: ReadonlySet<FaultId>
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
  readonly digest: string | null
  /** Of a seed that failed, or when it was asked for. */
  readonly history: readonly HistoryEvent[] | null
}

const topic = 't'
/** Milliseconds of virtual time after which what was asked for once all faults are over must be there. */
const operationMs = 12_000
const changeMs = 6_000
/** A change whose members do not answer gives up after its plan's time, and the next one waits for that. */
const planMs = 3_000
const limits = { planTicks: 150, stageTicks: 60 }
const stepMs = 10
/** Time for everybody to know each other. */
const settleMs = 100
const introductionMs = 20
/** Events of a world that does not come to rest. */
const eventsMax = 400_000

/** A rule is broken, and that is enough. */
class Stopped extends Error {}

/** The same seed gives the same verdict, in any process. */
export function runSeed(seed: number, options: RunOptions = {}): Promise<Verdict> {
  const left = [...offByDefault].filter((id) => options.include?.has(id) !== true)
  return runPlan(drawPlan(seed, { without: new Set([...left, ...(options.without ?? [])]) }), options)
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
      limits,
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
    await world.found(plan.servers, plan.arbiters)
    const recorder = new Recorder(world, `seed ${plan.seed}`, (event) => this.#recorded(event))
    this.#recorder = recorder
    const tolerance = new Tolerance(world.cluster?.arbiters.map(({ name }) => name) ?? [])
    this.#tolerance = tolerance
    const rules = new ServerRules(world, (text) => this.broken(text.slice(0, text.indexOf(':')), text))
    const situations = new Situations(world, this.#reached)
    world.watchers.push((event) => {
      this.#events++
      rules.see(event)
      situations.see(event)
      this.#watch(event)
      this.#options.watch?.(event)
    })
    this.#injector = new Injector(world, {
      plan,
      reached: this.#reached,
      tolerance,
      told: (id, detail) => recorder.note({ kind: 'fault', at: world.now, id, detail }),
      restartClient: (id) => this.#client(id),
    })
    this.#options.prepare?.(world)
    await this.#create()
    this.#injector.begin()
    for (const operation of plan.operations) world.queue.after(operation.at, () => this.#perform(operation), true)
    await this.#advanceTo(world.now + plan.healAt)
    await this.#heal(tolerance)
    const isQuiescent = await this.#finish()
    recorder.note({ kind: 'end', at: world.now, quiescent: isQuiescent })
    this.#violations.push(...checkHistory(recorder.events))
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
      digest: this.#hash?.digest('hex') ?? null,
      history: keeps ? (this.#recorder?.events ?? []) : null,
    }
  }

  #tolerance: Tolerance | null = null

  #recorded(event: HistoryEvent): void {
    this.#tolerance?.see(event)
    if (event.kind === 'sent') {
      for (const [at, value] of event.values.entries()) {
        const id = `${event.epoch}-${event.pub}-${event.first + at}`
        this.#ids.set(value, [...(this.#ids.get(value) ?? []), id])
      }
    }
    this.#hash?.update(JSON.stringify(event))
  }

  #watch(event: WorldEvent): void {
    if (this.#hash !== null && 'parcel' in event) {
      this.#hash.update(`${event.what} ${event.at} ${event.parcel.from} ${event.parcel.to}`).update(event.parcel.bytes)
    }
    if (event.what !== 'fatal') return
    const { error } = event
    const isDisk = error instanceof EpochcastError && (error.code === 'EC_DISK_FAILED' || error.code === 'EC_DISK_FULL')
    if (!isDisk) this.broken('stop', `server ${event.server} stopped: ${error}`)
    const node = [...this.#world.servers.values()].find(({ name }) => name === event.server)
    this.#world.queue.after(500, () => node?.start(), true)
  }

  async #create(): Promise<void> {
    const plan = this.#plan
    const { mode, decider, members, membersMin } = plan.topic
    for (const id of new Set(['admin', ...plan.operations.map(({ client }) => client)])) this.#client(id)
    await this.#advanceTo(this.#world.now + settleMs)
    const create = this.#client('admin').create(topic, { mode, decider, members: [...members], membersMin })
    for (let waited = 0; !create.over && waited < 200; waited++) await this.#advanceTo(this.#world.now + stepMs)
    if (!create.over) this.broken('L1', 'the topic was not made, and nothing was in the way')
  }

  #perform(operation: PlannedOperation): void {
    const client = this.#client(operation.client)
    if (client.machine.cluster === '') {
      // Not introduced yet, as after a restart: a program waits for that.
      this.#world.queue.after(introductionMs, () => this.#perform(operation), true)
      return
    }
    switch (operation.do) {
      case 'add':
        client.add(topic, operation.value, operation.onEpochEnd)
        return
      case 'get':
        client.get(topic, operation.level)
        return
      case 'subscribe': {
        const count = this.#world.operations.length
        client.subscribe(topic, operation.from === 'new' ? `new-${count}` : `s-${count}`, operation.from)
        return
      }
      case 'outcome': {
        const ids = this.#ids.get(operation.of) ?? []
        const id = ids[ids.length - 1]
        if (id !== undefined) client.outcome(topic, parseMessageId(id))
        return
      }
      case 'reconfigure': {
        const { change, by, members, mode, decider, membersMin } = operation
        client.reconfigure(topic, { by, changeId: change, epoch: 0, members: [...members], mode, decider, membersMin })
        return
      }
    }
  }

  /** Clients follow their topic from their first moment. */
  #client(id: string): ClientNode {
    if (this.#world.clients.has(id)) return this.#world.client(id, false)
    const client = this.#world.client(id, false)
    client.follow(topic)
    return client
  }

  /** All faults end; what is dead comes back, but for those that the rest can do without. */
  async #heal(tolerance: Tolerance): Promise<void> {
    const world = this.#world
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
    const last = this.#client('last').reconfigure(topic, {
      by: live,
      changeId: 'last',
      epoch: 0,
      members,
      mode,
      decider,
      membersMin: 1,
    })
    await this.#until(() => last.over, allChangesMs)
  }

  /** Everybody publishes once more, everything open is asked about, everything is read. */
  async #finish(): Promise<boolean> {
    const world = this.#world
    for (const id of ['x', 'y', 'z']) this.#client(id).add(topic, `last-${id}`)
    const reader = this.#client('reader')
    const asked = [...this.#ids.values()].flat().slice(-8)
    await this.#until(() => !world.operations.some((one) => one.kind === 'add' && isOpen(one)), operationMs)
    for (const id of asked) reader.outcome(topic, parseMessageId(id))
    reader.get(topic)
    const late = reader.subscribe(topic, 's-late')
    await this.#until(() => !world.operations.some(isOpen), operationMs + changeMs)
    await this.#until(() => this.#isAllGiven(late.topic), operationMs)
    return true
  }

  /** Whether every subscription from the beginning was given everything that is durable. */
  #isAllGiven(of: string): boolean {
    const durable = new Set<string>()
    const given = new Map<number, Set<string>>()
    for (const { kind, number, label, client, over, steps } of this.#world.operations) {
      if (over && kind === 'subscribe') continue
      if (kind === 'subscribe' && label.startsWith('s-') && this.#world.clients.has(client))
        given.set(number, new Set(steps.flatMap((step) => (step.kind === 'delivered' ? [step.given.value] : []))))
      for (const step of steps) if (step.kind === 'added' && step.status !== 'dropped') durable.add(label)
    }
    return of === topic && [...given.values()].every((values) => [...durable].every((value) => values.has(value)))
  }

  async #until(isDone: () => boolean, milliseconds: number): Promise<void> {
    const end = this.#world.now + milliseconds
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

function isOpen({ over, kind }: { readonly over: boolean; readonly kind: string }): boolean {
  return !over && kind !== 'subscribe' && kind !== 'follow'
}
