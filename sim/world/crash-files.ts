/**
 * A simulated directory that loses what was not flushed, for tests and the simulator.
 *
 * Every file has two images: what reading shows (the page cache) and what is on disk. A write changes the first, a
 * datasync brings its sectors to the second. A power loss keeps any subset of the sectors that were not flushed, and a
 * first part of the changes of names since the directory was flushed. A datasync that fails leaves its sectors marked
 * clean, as Linux does: later ones succeed without them, while reading still shows them.
 */
import type { SystemFile, SystemFiles } from '../../broker/log/files.ts'
import type { Random } from '../../proto/machine/ports.ts'

const sectorBytesDefault = 512

interface Inode {
  cached: Uint8Array
  durable: Uint8Array
  readonly dirty: Set<number>
  readonly sectorBytes: number
}

export type Operation = 'create' | 'open' | 'read' | 'writev' | 'datasync' | 'rename' | 'remove' | 'flushDirectory'

export type PausedOperation = Operation | 'list' | 'freeBytes'

export interface CrashOptions {
  /** Size of the disk. */
  readonly capacityBytes?: number
  /** What is kept or lost as one; smaller is harder. */
  readonly sectorBytes?: number
  /** Awaited in the middle of every operation: a crash can come there. */
  readonly pause?: (operation: PausedOperation) => Promise<void> | undefined
}

/** What a loss of power did to sectors that were not flushed. */
export interface PowerLoss {
  readonly kept: number
  readonly lost: number
  /** A sector was kept that lies behind a lost one of the same file. */
  readonly hasHole: boolean
}

type Names = Map<string, Inode>

export class CrashFiles implements SystemFiles {
  readonly #random: Random
  readonly #options: CrashOptions
  #names: Names = new Map()
  #durableNames: Names = new Map()
  #changes: ((names: Names) => void)[] = []
  #dead = false
  /** Asked before every operation; the error that it returns is what the operation rejects with. */
  fault: (operation: Operation, name: string) => Error | null = () => null
  /** Of the last loss of power. */
  loss: PowerLoss = { kept: 0, lost: 0, hasHole: false }
  /** Bytes that somebody else has put on the disk. */
  foreignBytes = 0
  readonly counts: Record<Operation, number> = {
    create: 0,
    open: 0,
    read: 0,
    writev: 0,
    datasync: 0,
    rename: 0,
    remove: 0,
    flushDirectory: 0,
  }

  constructor(random: Random, options: CrashOptions = {}) {
    this.#random = random
    this.#options = options
  }

  /** The process dies now; the machine goes on. What the next process sees. */
  restart(): CrashFiles {
    this.#dead = true
    const next = new CrashFiles(this.#random, this.#options)
    next.foreignBytes = this.foreignBytes
    next.#names = this.#names
    next.#durableNames = this.#durableNames
    next.#changes = this.#changes
    return next
  }

  /** The machine loses power now. What the next process sees. */
  powerLoss(): CrashFiles {
    const kept = this.#random.below(this.#changes.length + 1)
    for (const change of this.#changes.splice(0).slice(0, kept)) change(this.#durableNames)
    // Any share of the sectors, so that "none" and "all" are not rare.
    const share = this.#random.below(5)
    let [count, lost, hasHole] = [0, 0, false]
    for (const inode of new Set(this.#durableNames.values())) {
      let lowestLost = Number.POSITIVE_INFINITY
      for (const sector of inode.dirty) {
        if (this.#random.below(4) < share) {
          keep(inode, sector)
          count++
          hasHole ||= sector > lowestLost
        } else {
          lost++
          lowestLost = Math.min(lowestLost, sector)
        }
      }
      inode.dirty.clear()
      inode.cached = inode.durable.slice()
    }
    this.#names = new Map(this.#durableNames)
    const next = this.restart()
    next.loss = { kept: count, lost, hasHole }
    return next
  }

  /** Time passes: the system brings to the disk what was written. */
  writeBack(): void {
    for (const change of this.#changes.splice(0)) change(this.#durableNames)
    for (const inode of this.#durableNames.values()) {
      inode.durable = inode.cached.slice()
      inode.dirty.clear()
    }
  }

  async list(): Promise<string[]> {
    await this.#pause('list')
    return [...this.#names.keys()]
  }

  async create(name: string, bytes: number): Promise<SystemFile> {
    this.begin('create', name)
    if (bytes > (await this.freeBytes())) throw systemError('ENOSPC')
    const inode: Inode = {
      cached: new Uint8Array(bytes),
      durable: new Uint8Array(0),
      dirty: new Set(),
      sectorBytes: this.#sectorBytes,
    }
    markDirty(inode, 0, bytes)
    this.#change((names) => names.set(name, inode))
    await this.#pause('create')
    inode.durable = inode.cached.slice()
    inode.dirty.clear()
    return new CrashFile(this, name, inode)
  }

  async open(name: string): Promise<SystemFile> {
    this.begin('open', name)
    await this.#pause('open')
    return new CrashFile(this, name, this.#inode(name))
  }

  async rename(from: string, to: string): Promise<void> {
    this.begin('rename', from)
    await this.#pause('rename')
    const inode = this.#inode(from)
    this.#change((names) => {
      names.delete(from)
      names.set(to, inode)
    })
  }

  async remove(name: string): Promise<void> {
    this.begin('remove', name)
    await this.#pause('remove')
    this.#inode(name)
    this.#change((names) => names.delete(name))
  }

  async flushDirectory(): Promise<void> {
    this.begin('flushDirectory', '.')
    const count = this.#changes.length
    await this.#pause('flushDirectory')
    for (const change of this.#changes.splice(0, count)) change(this.#durableNames)
  }

  async freeBytes(): Promise<number> {
    await this.#pause('freeBytes')
    let used = this.foreignBytes
    for (const { cached } of this.#names.values()) used += cached.length
    return Math.max(0, (this.#options.capacityBytes ?? Number.MAX_SAFE_INTEGER) - used)
  }

  /** Flips one bit of a file, on disk and in the page cache. */
  flip(name: string, byte: number, bit: number): void {
    const inode = this.#inode(name)
    for (const image of new Set([inode.cached, inode.durable])) {
      if (byte < image.length) image[byte] = (image[byte] as number) ^ (1 << bit)
    }
  }

  /** Names of all files, in order. */
  names(): string[] {
    return [...this.#names.keys()].sort()
  }

  /** Deletes a file for good, behind the back of the process that uses it. */
  drop(name: string): void {
    this.#change((names) => names.delete(name))
    for (const change of this.#changes.splice(0)) change(this.#durableNames)
  }

  /** Puts a file there as a whole, in the place of one that may be there. */
  put(name: string, bytes: Uint8Array): void {
    const inode: Inode = {
      cached: bytes.slice(),
      durable: bytes.slice(),
      dirty: new Set(),
      sectorBytes: this.#sectorBytes,
    }
    this.#change((names) => names.set(name, inode))
    for (const change of this.#changes.splice(0)) change(this.#durableNames)
  }

  truncate(name: string, bytes: number): void {
    const inode = this.#inode(name)
    inode.cached = inode.cached.slice(0, bytes)
    inode.durable = inode.durable.slice(0, bytes)
    inode.dirty.clear()
  }

  has(name: string): boolean {
    return this.#names.has(name)
  }

  /** What reading would show. */
  bytesOf(name: string): Uint8Array {
    return this.#inode(name).cached
  }

  /** A second directory with the same content; nothing is shared. */
  clone(): CrashFiles {
    const next = new CrashFiles(this.#random, this.#options)
    for (const [name, { cached }] of this.#names) {
      const inode: Inode = {
        cached: cached.slice(),
        durable: cached.slice(),
        dirty: new Set(),
        sectorBytes: this.#sectorBytes,
      }
      next.#names.set(name, inode)
      next.#durableNames.set(name, inode)
    }
    return next
  }

  get #sectorBytes(): number {
    return this.#options.sectorBytes ?? sectorBytesDefault
  }

  /** For the files of this directory. */
  begin(operation: Operation, name: string): void {
    this.#mustLive()
    this.counts[operation]++
    const error = this.fault(operation, name)
    if (error !== null) throw error
  }

  /** For the files of this directory. */
  async pause(operation: PausedOperation): Promise<void> {
    await this.#pause(operation)
  }

  async #pause(operation: PausedOperation): Promise<void> {
    await this.#options.pause?.(operation)
    this.#mustLive()
  }

  #mustLive(): void {
    if (this.#dead) throw systemError('ECRASHED')
  }

  #inode(name: string): Inode {
    const inode = this.#names.get(name)
    if (inode === undefined) throw systemError('ENOENT')
    return inode
  }

  #change(change: (names: Names) => void): void {
    change(this.#names)
    this.#changes.push(change)
  }
}

class CrashFile implements SystemFile {
  readonly bytes: number
  readonly #owner: CrashFiles
  readonly #name: string
  readonly #inode: Inode

  constructor(owner: CrashFiles, name: string, inode: Inode) {
    this.#owner = owner
    this.#name = name
    this.#inode = inode
    this.bytes = inode.cached.length
  }

  async read(buffer: Uint8Array, at: number): Promise<number> {
    this.#owner.begin('read', this.#name)
    await this.#owner.pause('read')
    const found = this.#inode.cached.subarray(at, at + buffer.length)
    buffer.set(found)
    return found.length
  }

  async writev(parts: readonly Uint8Array[], at: number): Promise<void> {
    this.#owner.begin('writev', this.#name)
    await this.#owner.pause('writev')
    let to = at
    for (const part of parts) {
      this.#inode.cached = grown(this.#inode.cached, to + part.length)
      this.#inode.cached.set(part, to)
      to += part.length
    }
    markDirty(this.#inode, at, to)
    await this.#owner.pause('writev')
  }

  async datasync(): Promise<void> {
    const sectors = [...this.#inode.dirty]
    try {
      this.#owner.begin('datasync', this.#name)
    } catch (error) {
      for (const sector of sectors) this.#inode.dirty.delete(sector)
      throw error
    }
    await this.#owner.pause('datasync')
    for (const sector of sectors) {
      keep(this.#inode, sector)
      this.#inode.dirty.delete(sector)
    }
  }

  async close(): Promise<void> {}
}

export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: injected`), { code })
}

function markDirty(inode: Inode, from: number, to: number): void {
  const { sectorBytes } = inode
  for (let sector = Math.floor(from / sectorBytes); sector * sectorBytes < to; sector++) inode.dirty.add(sector)
}

function keep(inode: Inode, sector: number): void {
  const { sectorBytes } = inode
  const at = sector * sectorBytes
  const bytes = inode.cached.subarray(at, at + sectorBytes)
  inode.durable = grown(inode.durable, at + bytes.length)
  inode.durable.set(bytes, at)
}

function grown(bytes: Uint8Array, length: number): Uint8Array {
  if (bytes.length >= length) return bytes
  const next = new Uint8Array(length)
  next.set(bytes)
  return next
}
