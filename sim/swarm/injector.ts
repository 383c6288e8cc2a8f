/** Brings about what a plan says: at its moment or at its point, and takes it back when its time is over. */
import type { Random } from '../../proto/machine/ports.ts'
import { systemError } from '../world/crash-files.ts'
import type { Point } from '../world/events.ts'
import type { Parcel } from '../world/network.ts'
import { diskBytes } from '../world/segment-disk.ts'
import type { ServerNode } from '../world/server-node.ts'
import type { World } from '../world/world.ts'
import { namedStream, shuffled, streamOf } from './chance.ts'
import { type FaultId, type Reached, reach } from './fault-classes.ts'
import type { LostFiles } from './lost-files.ts'
import type { OldDisks } from './old-disks.ts'
import { engineName, type Plan, type PlannedFault, triggerText } from './plan.ts'
import type { Tolerance } from './tolerance.ts'

interface Waiting {
  readonly fault: PlannedFault
  remaining: number
}

export interface InjectorNeeds {
  readonly plan: Plan
  readonly reached: Reached
  readonly tolerance: Tolerance
  readonly oldDisks: OldDisks
  readonly lostFiles: LostFiles
  /** Told of every fault when it comes. */
  told(id: FaultId, detail: string): void
  /** A client comes back with nothing but its name. */
  restartClient(id: string): void
}

/** Frames that may be sent again later. */
const keptParcels = 48
/** Frames that tell of epochs which are enabled, kept apart. */
const keptNews = 32
/** Milliseconds within which the servers come back that were killed together. */
const apartMs = 300
/** Milliseconds within which servers are killed again that have not recovered. */
const againMs = 900

export class Injector {
  readonly #world: World
  readonly #needs: InjectorNeeds
  readonly #random: Random
  /** Each link has its own, by sender and receiver: one frame less on another changes nothing here. */
  readonly #links = new Map<string, Map<string, Random>>()
  readonly #disks = new Map<string, Random>()
  #waiting: readonly Waiting[] = []
  #healed = false
  /** Rates that hold now: one frame in so many. */
  #rates = new Map<FaultId, number>()
  #slow: ReadonlySet<string> = new Set()
  #deafEngine: PlannedFault | null = null
  readonly #kept: Parcel[] = []
  #keptAt = 0
  readonly #news: Parcel[] = []
  readonly #keepsNews: boolean
  /** Of the faults that kill all servers: what they draw shifts nothing else. */
  readonly #killer: Random
  /** Takes faults back that still hold. */
  readonly #undo = new Set<() => void>()

  constructor(world: World, needs: InjectorNeeds) {
    this.#world = world
    this.#needs = needs
    this.#random = streamOf(needs.plan.seed, 6)
    this.#killer = namedStream(needs.plan.seed, 'kill all')
    this.#keepsNews = needs.plan.faults.some(({ id }) => id === 'P12')
  }

  /** From now on faults come. */
  begin(): void {
    const world = this.#world
    for (const fault of this.#needs.plan.faults) {
      const { when } = fault
      const { copyAt } = fault
      const copied = fault.targets.length > 0 ? fault.targets : this.#needs.plan.servers
      if (copyAt !== undefined) world.queue.after(copyAt, () => this.#needs.oldDisks.copy(copied), true)
      if ('at' in when) world.queue.after(when.at, () => this.#strike(fault, null), true)
      else this.#waiting = [...this.#waiting, { fault, remaining: when.count }]
    }
    if (this.#waiting.length > 0) world.onPoint = (point) => this.#passed(point)
  }

  /** No fault comes any more, and those that hold end. */
  heal(): void {
    this.#healed = true
    this.#world.onPoint = null
    this.#waiting = []
    this.#rates.clear()
    this.#slow = new Set()
    this.#deafEngine = null
    for (const undo of [...this.#undo]) undo()
    this.#world.network.heal()
    this.#needs.oldDisks.heal()
    this.#needs.lostFiles.heal()
    for (const server of this.#world.servers.values()) {
      server.releaseFlushes()
      server.resume()
    }
  }

  /** Fate of one frame: the delays of its copies. */
  fate(parcel: Parcel): readonly number[] {
    const link = this.#link(parcel)
    const { least, most } = this.#needs.plan.delays
    const delay = spread(link, least, most)
    if (this.#keepsNews && parcel.kind === 'enabled' && this.#news.length < keptNews) this.#news.push(parcel)
    if (this.#healed || this.#rates.size + this.#slow.size === 0) return [delay]
    const { oldDisks } = this.#needs
    if (oldDisks.isProving(parcel.from) || oldDisks.isProving(parcel.to)) return [delay]
    this.#keep(parcel)
    if (this.#chance('N1', link)) return this.#lost('N1')
    if (this.#deafEngine !== null && isEngineReply(parcel.kind) && this.#chance('R8', link)) return this.#lost('R8')
    const delays = [delay]
    if (this.#chance('N2', link)) {
      this.#reached('N2')
      delays.push(link.below(2) === 0 ? delay : delay + link.below(2000))
    }
    if (this.#chance('N3', link)) {
      this.#reached('N3')
      delays[0] = delay + link.below(30)
    }
    if (this.#chance('N4', link)) {
      this.#reached('N4')
      delays[0] = delay + (delay + 5) * link.below(100)
    }
    if (this.#slow.has(parcel.from) || this.#slow.has(parcel.to)) {
      this.#reached('N9')
      delays[0] = delay + 20 + link.below(80)
    }
    return delays
  }

  flushTime(server: string): number {
    const { flushLeast, flushMost } = this.#needs.plan.delays
    let disk = this.#disks.get(server)
    if (disk === undefined) {
      disk = namedStream(this.#needs.plan.seed, server)
      this.#disks.set(server, disk)
    }
    return spread(disk, flushLeast, flushMost)
  }

  #link({ from, to }: Parcel): Random {
    let links = this.#links.get(from)
    if (links === undefined) {
      links = new Map()
      this.#links.set(from, links)
    }
    let link = links.get(to)
    if (link === undefined) {
      link = namedStream(this.#needs.plan.seed, `${from} ${to}`)
      links.set(to, link)
    }
    return link
  }

  #chance(id: FaultId, link: Random): boolean {
    const oneIn = this.#rates.get(id)
    return oneIn !== undefined && link.below(oneIn) === 0
  }

  #lost(id: FaultId): readonly number[] {
    this.#reached(id)
    return []
  }

  #reached(id: FaultId): void {
    reach(this.#needs.reached, id)
  }

  #keep(parcel: Parcel): void {
    if (!this.#rates.has('N12') || parcel.kind === 'alive' || parcel.kind === 'directory') return
    if (this.#kept.length < keptParcels) this.#kept.push(parcel)
    // Old ones stay for long: a later one takes the place of any.
    else if (this.#keptAt++ % 4 === 0) this.#kept[this.#random.below(keptParcels)] = parcel
  }

  #passed(point: Point): boolean {
    const isServer = this.#world.servers.has(point.id)
    let mayLeave = true
    // A list that is never changed, only replaced.
    for (const waiting of this.#waiting) {
      const { when } = waiting.fault
      if ('at' in when || !isServer) continue
      const { moment, what, id, kind } = when.point
      if (what !== point.what || moment !== point.moment) continue
      if ((kind !== undefined && kind !== point.kind) || (id !== undefined && id !== point.id)) continue
      if (--waiting.remaining > 0) continue
      this.#waiting = this.#waiting.filter((one) => one !== waiting)
      // In the middle of a flush, not before the first byte is written.
      if (point.what === 'flush' && point.moment === 'before')
        this.#world.queue.after(1, () => this.#strike(waiting.fault, point.id))
      else this.#strike(waiting.fault, point.id)
      // Whoever died before a frame left does not send it.
      if (point.moment === 'before' && point.what === 'send' && !this.#world.server(point.id).alive) mayLeave = false
    }
    if (this.#waiting.length === 0) this.#world.onPoint = null
    return mayLeave
  }

  /** @param at who passed the point */
  #strike(fault: PlannedFault, at: string | null): void {
    if (this.#healed) return
    const { id } = fault
    const done = this.#bring(fault, at)
    if (done === null) return
    this.#needs.told(id, `${triggerText(fault.when)}: ${done}`)
    if (!isCountedByFrame.has(id)) this.#reached(id)
  }

  /** @returns what was done, in words; null when it cannot be done now */
  #bring(fault: PlannedFault, at: string | null): string | null {
    const world = this.#world
    switch (fault.id) {
      case 'N1':
      case 'N2':
      case 'N3':
      case 'N4':
        this.#rates.set(fault.id, fault.oneIn ?? 10)
        return `one frame in ${fault.oneIn}`
      case 'N9': {
        const slow = this.#target(fault, at)
        this.#slow = new Set(slow === null ? [] : [slow.id])
        return slow === null ? null : `slow links of ${slow.id}`
      }
      case 'N5':
        return this.#cut(fault, fault.targets, this.#others(fault.targets), true)
      case 'N6':
        return this.#cut(fault, fault.targets.slice(0, 1), fault.targets.slice(1), false)
      case 'N7':
        return this.#cut(fault, fault.targets.slice(0, 1), fault.targets.slice(1), true)
      case 'N8':
        return this.#cut(fault, fault.targets, this.#others(fault.targets), true)
      case 'N10': {
        const [one = '', other = ''] = fault.targets
        world.network.reset(one, other)
        return `${one} and ${other}`
      }
      case 'N11':
        return this.#flap(fault)
      case 'N12':
        return this.#replay(fault)
      case 'P10': {
        const [client = ''] = fault.targets
        if (!world.clients.has(client)) return null
        world.killClient(client)
        world.queue.after(fault.lasts, () => this.#needs.restartClient(client), true)
        return client
      }
      case 'R20': {
        const [one = '', other = ''] = fault.targets
        world.network.suspect(one, other)
        return `${one} suspects ${other}`
      }
      case 'R8':
        return this.#silenceEngine(fault)
      case 'E2':
      case 'E3':
      case 'E4':
      case 'E5':
        return this.#disturbEngine(fault)
      case 'C1':
      case 'C2':
      case 'C3':
        return 'from the beginning'
      case 'P4': {
        const alive = [...world.servers.values()].filter((server) => server.alive)
        for (const server of alive) server.kill(this.#mayLosePower(server))
        world.queue.after(fault.lasts, () => this.#startAgain(alive), true)
        return alive.map(({ id }) => id).join(',')
      }
      case 'P11':
        this.#killAll(fault.cycles ?? 1)
        return `${fault.cycles} times`
      case 'P12':
        return this.#restartStagers(fault, at)
      default:
        return this.#strikeServer(fault, this.#target(fault, at))
    }
  }

  /** Each comes back at a moment of its own, perhaps stands still for a while, and is killed again, perhaps before it has recovered. */
  #killAll(cycles: number): void {
    if (this.#healed || cycles === 0) return
    const { queue, servers } = this.#world
    const random = this.#killer
    const alive = shuffled(
      random,
      [...servers.values()].filter((server) => server.alive),
    )
    for (const server of alive) {
      server.kill(random.below(2) === 0 && this.#mayLosePower(server))
      queue.after(random.below(apartMs), () => this.#startSlowly(server), true)
    }
    const isEarly = random.below(10) < 3
    const pauseMs = isEarly ? random.below(againMs) : apartMs + 30 + random.below(2 * againMs)
    queue.after(pauseMs, () => this.#killAll(cycles - 1), true)
  }

  #startSlowly(server: ServerNode): void {
    this.#startAgain([server])
    if (this.#healed || this.#killer.below(3) > 0) return
    server.pause()
    this.#later(this.#killer.below(apartMs), () => server.resume())
  }

  /** Who has said that it staged, and does not know what was decided: it is started again, and then hears of epochs enabled before. */
  #restartStagers({ lasts }: PlannedFault, at: string | null): string {
    const { queue, network, servers } = this.#world
    const stagers = [...servers.values()].filter(
      ({ id, machine }) => id === at || machine?.topics.some(({ state }) => state.promised.size > 0) === true,
    )
    for (const server of stagers) {
      server.kill(this.#killer.below(2) === 0 && this.#mayLosePower(server))
      queue.after(this.#killer.below(Math.min(lasts, apartMs)), () => this.#startAgain([server]), true)
    }
    const tell = () => {
      for (const parcel of this.#news) network.replay(parcel)
    }
    queue.after(apartMs + this.#killer.below(apartMs), tell, true)
    return stagers.map(({ id }) => id).join(',')
  }

  #strikeServer(fault: PlannedFault, server: ServerNode | null): string | null {
    if (server === null) return null
    const world = this.#world
    switch (fault.id) {
      case 'P1':
      case 'P2':
      case 'P3':
      case 'R6':
      case 'R7':
        // Half of the time only the process dies, and its machine goes on.
        server.kill(this.#random.below(2) === 0 && this.#mayLosePower(server))
        world.queue.after(fault.lasts, () => this.#startAgain([server]), true)
        return server.id
      case 'P5':
        if (!this.#needs.tolerance.lose([server.name])) return null
        server.loseDisk()
        world.queue.after(fault.lasts, () => this.#startAgain([server]), true)
        return server.id
      case 'P6':
        return this.#needs.oldDisks.strike(server, fault.lasts) ? server.id : null
      case 'D11':
      case 'D12':
      case 'D13': {
        const done = this.#needs.lostFiles.strike(server, fault.id, this.#random)
        if (done !== null) world.queue.after(fault.lasts, () => this.#startAgain([server]), true)
        return done
      }
      case 'P8':
      case 'P9':
        server.pause()
        this.#later(fault.lasts, () => server.resume())
        return server.id
      case 'D4': {
        if (server.files === null || !this.#mayLosePower(server)) return null
        let isDone = false
        server.files.fault = (operation) => {
          if (operation !== 'datasync' || isDone) return null
          isDone = true
          return systemError('EIO')
        }
        return server.id
      }
      case 'D8':
        return this.#fill(fault, server)
      case 'D10':
        server.holdFlushes()
        this.#later(fault.lasts, () => server.releaseFlushes())
        return server.id
      default:
        return null
    }
  }

  /** With its power, or by a flush that fails, a server that flushes later than it acknowledges loses its storage. */
  #mayLosePower(server: ServerNode): boolean {
    return !server.isLax || this.#needs.tolerance.lose([server.name])
  }

  #fill(fault: PlannedFault, server: ServerNode): string | null {
    const { files, disk } = server
    if (files !== null) {
      files.foreignBytes = diskBytes
      this.#later(fault.lasts, () => {
        if (server.files !== null) server.files.foreignBytes = 0
      })
    } else if (disk !== null) {
      disk.full = true
      this.#later(fault.lasts, () => {
        disk.full = false
      })
    }
    return server.id
  }

  #cut(fault: PlannedFault, some: readonly string[], others: readonly string[], both: boolean): string | null {
    if (some.length === 0 || others.length === 0) return null
    if ([...some, ...others].some((id) => this.#needs.oldDisks.isProving(id))) return null
    const { network } = this.#world
    for (const one of some) {
      for (const other of others) {
        network.cut(one, other)
        if (both) network.cut(other, one)
      }
    }
    this.#later(fault.lasts, () => network.heal(some))
    return `${some.join(',')} ${both ? '|' : '->'} ${others.join(',')}`
  }

  #flap(fault: PlannedFault): string {
    const { queue, network } = this.#world
    const [one = '', other = ''] = fault.targets
    let isUp = true
    let stop = () => {}
    const flip = () => {
      stop = queue.later(100, flip)
      isUp = !isUp
      if (isUp || fault.targets.some((id) => this.#needs.oldDisks.isProving(id))) network.heal([one])
      else {
        network.cut(one, other)
        network.cut(other, one)
      }
    }
    stop = queue.later(100, flip)
    this.#later(fault.lasts, () => {
      stop()
      network.heal([one])
    })
    return `${one} - ${other}`
  }

  /** The first one begins to keep frames; each brings what is kept. */
  #replay(fault: PlannedFault): string {
    this.#rates.set('N12', Number.POSITIVE_INFINITY)
    const count = Math.min(this.#kept.length, 1 + (fault.lasts % 24))
    for (let number = 0; number < count; number++) {
      const parcel = this.#kept[this.#random.below(this.#kept.length)]
      if (parcel !== undefined) this.#world.network.replay(parcel)
    }
    if (count > 0) this.#reached('N12')
    this.#world.queue.after(fault.lasts, () => this.#replayLater(), true)
    return `${count} frames`
  }

  #replayLater(): void {
    if (this.#kept.length > 0) this.#reached('N12')
    for (const parcel of this.#kept.slice(0, 16)) this.#world.network.replay(parcel)
  }

  #silenceEngine(fault: PlannedFault): string {
    this.#deafEngine = fault
    // Some replies are lost, or nobody answers at all.
    this.#rates.set('R8', fault.lasts % 2 === 0 ? 1 : Math.min(3, fault.oneIn ?? 2))
    this.#later(fault.lasts, () => {
      this.#deafEngine = null
      this.#rates.delete('R8')
    })
    return `arbiters ${fault.targets.join(',')}`
  }

  #disturbEngine({ id, lasts, oneIn = 2 }: PlannedFault): string | null {
    const { engine } = this.#world.engines.get(engineName) ?? {}
    if (engine === undefined) return null
    switch (id) {
      case 'E2':
        engine.isDown = true
        this.#later(lasts, () => {
          engine.isDown = false
        })
        break
      case 'E3':
        engine.isSilent = true
        this.#later(lasts, () => {
          engine.isSilent = false
        })
        break
      case 'E4': {
        const before = engine.delay
        engine.delay = () => this.#random.below(200)
        this.#later(lasts, () => {
          engine.delay = before
        })
        break
      }
      default:
        if (lasts % 2 === 0) engine.loseCalls(oneIn)
        else engine.loseAnswers(oneIn)
    }
    return engine.id
  }

  #startAgain(servers: readonly ServerNode[]): void {
    for (const server of servers) if (this.#needs.oldDisks.mayStart(server.id)) server.start()
  }

  #target(fault: PlannedFault, at: string | null): ServerNode | null {
    const id = fault.targets[0] ?? at ?? this.#anyServer()
    const server = this.#world.servers.get(id)
    return server?.alive === true ? server : null
  }

  #anyServer(): string {
    const { servers } = this.#needs.plan
    return servers[this.#random.below(servers.length)] ?? ''
  }

  #others(some: readonly string[]): string[] {
    return [...this.#world.servers.keys(), ...this.#world.clients.keys()].filter((id) => !some.includes(id))
  }

  #later(milliseconds: number, undo: () => void): void {
    const once = () => {
      if (this.#undo.delete(once)) undo()
    }
    this.#undo.add(once)
    this.#world.queue.after(milliseconds, once, true)
  }
}

/** Their reach is the frames that they changed, or what was refused because of them. */
const isCountedByFrame = new Set<FaultId>(['N1', 'N2', 'N3', 'N4', 'N9', 'N12', 'R8', 'D11', 'D12', 'D13'])

function spread(random: Random, least: number, most: number): number {
  return most > least ? least + random.below(most - least + 1) : least
}

function isEngineReply(kind: string): boolean {
  return kind.startsWith('arbiter-') || kind === 'noted' || kind === 'found'
}
