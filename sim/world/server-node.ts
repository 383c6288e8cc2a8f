/** One server of a virtual world: its storages, and the process that runs on the newest of them. */
import type { TopicDefaults } from '../../broker/finder.ts'
import type { Limits } from '../../broker/host.ts'
import { noteFileName, saysMayLack } from '../../broker/log/unflushed.ts'
import { ServerMachine } from '../../broker/server-machine.ts'
import { type Address, address, type ServerName, serverId, serverName } from '../../proto/ids.ts'
import { Loop, type LoopTimers } from '../../proto/machine/loop.ts'
import type { Clock, Random } from '../../proto/machine/ports.ts'
import type { Position, RecordKind, Store } from '../../proto/machine/store.ts'
import type { Sync } from '../../proto/sync.ts'
import { CrashFiles, type PausedOperation } from './crash-files.ts'
import type { EventQueue } from './event-queue.ts'
import type { PointHook, WorldEvent } from './events.ts'
import type { Network } from './network.ts'
import { diskBytes, SegmentDisk } from './segment-disk.ts'
import { type DiskRecord, VirtualDisk } from './virtual-disk.ts'
import type { VirtualEngine } from './virtual-engine.ts'

/** What a server needs of its world. */
export interface Surroundings {
  readonly now: number
  readonly queue: EventQueue
  readonly network: Network
  readonly options: {
    readonly disks?: 'records' | 'segments'
    readonly points?: boolean
    readonly limits?: Partial<Limits>
    readonly defaults?: TopicDefaults
    readonly flushTime?: (server: string) => number
    readonly sync?: (server: string) => Sync
  }
  readonly onPoint: PointHook | null
  /** Promises may have moved. */
  restless: boolean
  tell(event: WorldEvent): void
  newRandom(owner: string): Random
  newStorage(): string
  clockOf(id: string): Clock
  timersOf(id: string): LoopTimers
  /** Decision engines outside of the cluster. */
  engine(id: string): VirtualEngine
  enginesOf(server: string): readonly VirtualEngine[]
}

/** What was on a storage at one moment. */
interface DiskCopy {
  readonly storage: string
  /** Its log ends there. */
  readonly end: Position
  readonly content: readonly DiskRecord[] | CrashFiles
}

interface Running {
  readonly machine: ServerMachine
  readonly loop: Loop
  readonly store: VirtualDisk | SegmentDisk
  hasRecovered: boolean
}

/** Operations of a directory that take as long as a flush. */
const slow = new Set<PausedOperation>(['datasync', 'flushDirectory'])

export class ServerNode {
  readonly id: string
  /** Every storage it ever had; the last is the present one. */
  readonly storages: string[] = []
  readonly #world: Surroundings
  readonly #seeds: readonly Address[]
  /** What the disk holds, while no process runs. */
  #records: readonly DiskRecord[] = []
  #copy: DiskCopy | null = null
  #files: CrashFiles | null = null
  /** Everything below was told to be on disk. */
  #toldTo: Position = -1
  /** How often its machine has started. */
  #boots = 1
  #running: Running | null = null
  #holdsFlushes = false
  #heldFlushes: (() => void)[] = []
  /** Of a directory: what is under way, marks of an idle log included. */
  readonly #flushesOfFiles = new Set<object>()
  #paused = false
  #missed: (() => void)[] = []

  constructor(world: Surroundings, id: string, seeds: readonly string[]) {
    this.id = id
    this.#world = world
    this.#seeds = seeds.map(address)
    this.storages.push(world.newStorage())
    this.start()
  }

  get name(): ServerName {
    return serverName(serverId(this.id), this.#storage)
  }

  get #storage(): string {
    return this.storages[this.storages.length - 1] ?? ''
  }

  get member() {
    return { name: this.name, address: address(this.id) }
  }

  get alive(): boolean {
    return this.#running !== null
  }

  /** It has read its disk, and written again what a loss of power had left in doubt. */
  get hasRecovered(): boolean {
    return this.#running?.hasRecovered === true
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Null while it is dead. */
  get machine(): ServerMachine | null {
    return this.#running?.machine ?? null
  }

  /** Null while it is dead, or when its disk has segments. */
  get disk(): VirtualDisk | null {
    const store = this.#running?.store
    return store instanceof VirtualDisk ? store : null
  }

  /** The directory of a disk with segments. */
  get files(): CrashFiles | null {
    return this.#files
  }

  start(): void {
    if (this.#running !== null) return
    const world = this.#world
    const { name } = this
    const store = world.options.disks === 'segments' ? this.#openSegments(name) : this.#openRecords(name)
    const machine = new ServerMachine({
      self: { name, address: address(this.id) },
      seeds: this.#seeds,
      random: world.newRandom(this.id),
      clock: world.clockOf(this.id),
      defaults: world.options.defaults ?? { autoCreate: false, template: { members: [] } },
      store,
      shortages: () => (store.full ? ['space'] : []),
      engines: world.enginesOf(this.id).map(({ id }) => ({ id, type: 'virtual' })),
      writtenTo: () => store.writtenTo,
      sync: this.#sync,
      ...(world.options.limits && { limits: world.options.limits }),
    })
    const loop: Loop = new Loop({
      machine,
      name,
      cluster: () => machine.cluster,
      store: this.#observed(store),
      engines: {
        ask: (engine, call, answer) => {
          const point = { what: 'send', id: this.id, kind: `engine-${call.kind}` } as const
          if (world.onPoint?.({ moment: 'before', ...point }) === false) return
          world.tell({ what: 'engine', at: world.now, server: name, engine, call })
          world.engine(engine).ask(call, (given) => this.#unlessPaused(() => answer(given)))
          world.onPoint?.({ moment: 'after', ...point })
        },
      },
      timers: this.#timers(),
      onFatal: (error) => this.#fatal(loop, error),
      onUnsent: (_message, _token, error) => this.#fatal(loop, error),
    })
    const running: Running = { machine, loop, store, hasRecovered: false }
    this.#running = running
    if (store instanceof SegmentDisk) this.#recover(running, store)
    else {
      store.replay((kind, body, position) => machine.recover(kind, body, position))
      this.#begin(running, store.records[store.records.length - 1]?.position ?? -1)
    }
  }

  /**
   * Gone at once, and with it what it had not flushed. `power`: the whole machine; a real disk keeps any part of it then, and
   * a server that had not flushed what it acknowledged comes back as another storage.
   */
  kill(power = true): void {
    const running = this.#running
    if (running === null) return
    this.#running = null
    this.#heldFlushes = []
    this.#flushesOfFiles.clear()
    this.#missed = []
    this.#paused = false
    const { store } = running
    if (store instanceof VirtualDisk) this.#records = store.crash(power)
    else {
      store.detach()
      this.#files = power ? store.files.powerLoss() : store.files.restart()
    }
    running.loop.stop()
    this.#world.network.detach(address(this.id))
    const loss = power ? this.#files?.loss : undefined
    this.#world.tell({ what: 'crash', at: this.#world.now, server: this.name, ...(loss && { loss }) })
    if (power) this.#boots++
    // The next process will see by itself what it has to make of what it finds; the world wants to know its name.
    const mayLack = store instanceof VirtualDisk ? power && this.#sync !== 'always' : this.#saysMayLack()
    if (mayLack) this.#renew()
  }

  /** The server was told to flush later than it acknowledges. */
  get isLax(): boolean {
    return this.#sync !== 'always'
  }

  #saysMayLack(): boolean {
    if (this.#files?.has(noteFileName) !== true) return false
    return saysMayLack(Buffer.from(this.#files.bytesOf(noteFileName)).toString(), this.#boot)
  }

  /** From now on it is another storage. */
  #renew(): void {
    this.#world.tell({ what: 'disk-lost', at: this.#world.now, server: this.name })
    this.#records = []
    this.#toldTo = -1
    this.storages.push(this.#world.newStorage())
  }

  /** Comes back under the same id with an empty disk. */
  loseDisk(): void {
    const { name } = this
    this.kill()
    this.#files = null
    if (this.name === name) this.#renew()
  }

  /** Everything below is on the disk; null while no process runs. */
  get flushedTo(): Position | null {
    return this.#running?.store.flushedTo ?? null
  }

  /** Where the log of the copy ends that was made of the present storage; null where there is none. */
  get copyEnd(): Position | null {
    return this.#copy?.storage === this.#storage ? this.#copy.end : null
  }

  /** Copies what is on the disk now. @returns false when it cannot be done: no process runs, or its directory is not at rest */
  backUp(): boolean {
    const store = this.#running?.store
    if (store === undefined || this.#flushesOfFiles.size > 0 || (store instanceof SegmentDisk && store.dirty))
      return false
    const content = store instanceof SegmentDisk ? store.files.clone() : store.records.slice(0, store.flushedCount)
    this.#copy = { storage: this.#storage, end: store.flushedTo, content }
    return true
  }

  /** Comes back with the copy that was made before: the same storage, as it was then. */
  restoreDisk(): void {
    const { content, end } = this.#copy ?? {}
    if (content === undefined || end === undefined) throw new Error(`nothing was backed up of server ${this.id}`)
    this.kill()
    this.#world.tell({ what: 'disk-old', at: this.#world.now, server: this.name })
    if (content instanceof CrashFiles) this.#files = content.clone()
    else this.#records = content
    this.#toldTo = Math.min(this.#toldTo, end - 1)
  }

  /**
   * Changes the files of a dead server behind its back, so that they lack something that it had told. By the time that somebody does
   * so, the system has brought all that was written to the disk.
   * @param change is given the directory and the position of the last record that was told; says whether it changed anything
   */
  spoil(change: (files: CrashFiles, toldTo: Position) => boolean): boolean {
    const files = this.#files
    if (this.#running !== null || files === null || this.#toldTo < 0) return false
    files.writeBack()
    if (!change(files, this.#toldTo)) return false
    this.#world.tell({ what: 'disk-old', at: this.#world.now, server: this.name })
    return true
  }

  /** Files of the copy that was made of the present storage; null where there is none. */
  get copiedFiles(): CrashFiles | null {
    const copy = this.#copy
    return copy?.storage === this.#storage && copy.content instanceof CrashFiles ? copy.content : null
  }

  /** The process stands still: it takes nothing and says nothing, and goes on later as if nothing had been. */
  pause(): void {
    if (this.#running !== null) this.#paused = true
  }

  resume(): void {
    this.#paused = false
    const missed = this.#missed
    this.#missed = []
    for (const run of missed) this.#world.queue.after(0, run)
  }

  /** The disk takes protocol records alone, or all records again. Only disks that are a list of records. */
  fillDisk(isFull: boolean): void {
    if (this.disk !== null) this.disk.full = isFull
  }

  /** Flushes do not end until they are released. */
  holdFlushes(): void {
    this.#holdsFlushes = true
  }

  get holdsFlushes(): boolean {
    return this.#holdsFlushes
  }

  releaseFlushes(): void {
    this.#holdsFlushes = false
    const held = this.#heldFlushes
    this.#heldFlushes = []
    for (const end of held) this.#world.queue.after(0, end)
  }

  #begin(running: Running, lsn: Position): void {
    running.hasRecovered = true
    this.#world.tell({ what: 'start', at: this.#world.now, server: this.name, lsn })
    running.loop.start(this.#world.network.attach(address(this.id), running.loop, true))
  }

  /** A disk that cannot be read ends the process like one that cannot be written. */
  #recover(running: Running, store: SegmentDisk): void {
    const world = this.#world
    const { name } = this
    const found: DiskRecord[] = []
    let last: Position = -1
    const visit = (kind: RecordKind, body: Uint8Array, position: Position) => {
      if (this.#running !== running) return
      last = position
      if (position > this.#toldTo) found.push({ kind, body, position })
      running.machine.recover(kind, body, position)
    }
    world.restless = true
    store.recover(visit).then(
      () => {
        if (this.#running !== running) return
        // What was on its way when the process ended, and is on disk now.
        if (found.length > 0) this.#flushed(name, found)
        this.#begin(running, last)
        world.restless = true
      },
      (error: unknown) => this.#fatal(running.loop, error),
    )
  }

  #fatal(loop: Loop, error: unknown): void {
    if (this.#running?.loop !== loop) return
    this.#world.tell({ what: 'fatal', at: this.#world.now, server: this.name, error })
    this.kill(false)
  }

  #openRecords(name: ServerName): VirtualDisk {
    const world = this.#world
    return new VirtualDisk(
      {
        appended: (record) => world.tell({ what: 'append', at: world.now, server: name, record }),
        flushed: (records) => this.#flushed(name, records),
        flushing: (end) => this.#flushing(end),
        after: this.#timers().after,
      },
      this.#records,
      this.#sync,
    )
  }

  get #sync(): Sync {
    return this.#world.options.sync?.(this.id) ?? 'always'
  }

  get #boot(): string {
    return String(this.#boots)
  }

  #openSegments(name: ServerName): SegmentDisk {
    const world = this.#world
    this.#files ??= new CrashFiles(world.newRandom(`${this.id} disk`), {
      capacityBytes: diskBytes,
      // Records of a short history are small: they are to be torn all the same.
      sectorBytes: 64,
      pause: (operation) => this.#diskTime(operation),
    })
    const { after } = this.#timers()
    const owner = {
      appended: (record: DiskRecord) => world.tell({ what: 'append', at: world.now, server: name, record }),
      flushed: (records: readonly DiskRecord[]) => this.#flushed(name, records),
      after: (milliseconds: number, run: () => void) =>
        after(milliseconds, () => {
          world.restless = true
          run()
        }),
    }
    const of = { server: serverId(this.id), storage: this.#storage }
    return new SegmentDisk(this.#files, owner, of, this.#sync, this.#boot)
  }

  #flushed(server: ServerName, records: readonly DiskRecord[]): void {
    this.#toldTo = Math.max(this.#toldTo, records[records.length - 1]?.position ?? -1)
    this.#world.tell({ what: 'flush', at: this.#world.now, server, records })
  }

  /** The store as the loop sees it: with points for faults around what it does. */
  #observed(store: VirtualDisk | SegmentDisk): Store {
    const world = this.#world
    if (world.options.points !== true && !(store instanceof SegmentDisk)) return store
    const at = (moment: 'before' | 'after', what: 'persist' | 'flush', kind: string) =>
      world.onPoint?.({ moment, what, id: this.id, kind })
    return {
      append: (kind, body) => {
        at('before', 'persist', kind)
        const position = store.append(kind, body)
        at('after', 'persist', kind)
        return position
      },
      flush: () => {
        world.restless = store instanceof SegmentDisk
        at('before', 'flush', '')
        const flushed = store.flush()
        return flushed.then(() => {
          at('after', 'flush', '')
        })
      },
      get full() {
        return store.full
      },
      admits: (bytes) => store.admits(bytes),
      get dirty() {
        return store.dirty
      },
      get flushedTo() {
        return store.flushedTo
      },
      get writtenTo() {
        return store.writtenTo
      },
      read: (position) => {
        const body = store.read(position)
        if (body instanceof Promise) world.restless = true
        return body
      },
      recover: (visit) => store.recover(visit),
      idle: () => {
        if (store instanceof SegmentDisk) world.restless = true
        store.idle()
      },
      onFailure: (listener) => store.onFailure(listener),
      close: () => store.close(),
    }
  }

  #flushing(end: () => void): void {
    const ended = () => this.#unlessPaused(end)
    if (this.#holdsFlushes) this.#heldFlushes.push(ended)
    else this.#world.queue.after(this.#world.options.flushTime?.(this.id) ?? 0, ended)
  }

  /** Most operations of a directory end at once; a flush takes its time. */
  #diskTime(operation: PausedOperation): Promise<void> | undefined {
    this.#world.restless = true
    if (!slow.has(operation)) return undefined
    const flush = {}
    this.#flushesOfFiles.add(flush)
    return new Promise((resolve) => {
      this.#flushing(() => {
        this.#flushesOfFiles.delete(flush)
        this.#world.restless = true
        resolve()
      })
    })
  }

  #timers(): LoopTimers {
    const { soon, after, nowMs } = this.#world.timersOf(this.id)
    let asked: (() => void) | null = null
    let turn = () => {}
    return {
      soon: (run) => {
        // A loop asks for the same thing again and again.
        if (run !== asked) turn = () => this.#unlessPaused(run)
        asked = run
        soon(turn)
      },
      after: (milliseconds, run) => after(milliseconds, () => this.#unlessPaused(run)),
      nowMs,
    }
  }

  #unlessPaused(run: () => void): void {
    if (this.#paused) this.#missed.push(run)
    else run()
  }
}
