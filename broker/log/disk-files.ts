import * as fs from 'node:fs'
import { join } from 'node:path'
import type { SystemFile, SystemFiles } from './files.ts'
import { SpareDescriptors } from './spare-descriptors.ts'

/** `IOV_MAX` of Linux and macOS. */
const partsMax = 1024
const zeroBytes = 1024 * 1024

/** A directory of the machine, by `node:fs`. Callbacks rather than `fs.promises`: a commit is two calls, nothing else. */
export class DiskFiles implements SystemFiles {
  readonly #path: string
  readonly #descriptors = new SpareDescriptors()
  #zeros: Uint8Array | null = null

  constructor(path: string) {
    this.#path = path
  }

  /** Holds so many file descriptors for the files in here; 0 gives back those that are not used. */
  holdDescriptors(count: number): void {
    this.#descriptors.hold(count)
  }

  async list(): Promise<string[]> {
    return await fs.promises.readdir(this.#path)
  }

  async create(name: string, bytes: number): Promise<SystemFile> {
    const fd = await this.#descriptors.open(join(this.#path, name), 'w+')
    const file = new DiskFile(fd, bytes, this.#descriptors)
    try {
      this.#zeros ??= new Uint8Array(zeroBytes)
      for (let at = 0; at < bytes; at += zeroBytes) {
        await writeAway(fd, this.#zeros.subarray(0, Math.min(zeroBytes, bytes - at)), at)
      }
      await call((done) => fs.fsync(fd, done))
      return file
    } catch (error) {
      await file.close().catch(() => {})
      throw error
    }
  }

  async open(name: string): Promise<SystemFile> {
    const fd = await this.#descriptors.open(join(this.#path, name), 'r+')
    return new DiskFile(fd, fs.fstatSync(fd).size, this.#descriptors)
  }

  async rename(from: string, to: string): Promise<void> {
    await fs.promises.rename(join(this.#path, from), join(this.#path, to))
  }

  async remove(name: string): Promise<void> {
    await fs.promises.unlink(join(this.#path, name))
  }

  async flushDirectory(): Promise<void> {
    await flushDirectoryEntry(this.#path, this.#descriptors)
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await fs.promises.statfs(this.#path)
    return bavail * bsize
  }
}

/** In another thread: for what nobody waits for. */
async function writeAway(fd: number, bytes: Uint8Array, at: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const from = done
    const written = await count((end) => fs.write(fd, bytes, from, bytes.length - from, at + from, end))
    if (written === 0) throw new Error('the system wrote nothing')
    done += written
  }
}

/** Flushes the names inside one directory. */
export async function flushDirectoryEntry(path: string, descriptors = new SpareDescriptors()): Promise<void> {
  const fd = await descriptors.open(path, 'r')
  try {
    await call((done) => fs.fsync(fd, done))
  } finally {
    await call((done) => fs.close(fd, done))
    descriptors.closed()
  }
}

class DiskFile implements SystemFile {
  readonly bytes: number
  readonly #fd: number
  readonly #descriptors: SpareDescriptors
  #closed = false

  constructor(fd: number, bytes: number, descriptors: SpareDescriptors) {
    this.#fd = fd
    this.#descriptors = descriptors
    this.bytes = bytes
  }

  async read(buffer: Uint8Array, at: number): Promise<number> {
    let done = 0
    while (done < buffer.length) {
      const from = done
      const got = await count((end) => fs.read(this.#fd, buffer, from, buffer.length - from, at + from, end))
      if (got === 0) break
      done += got
    }
    return done
  }

  /** Into the page cache, which is quick: two turns through another thread would cost more. */
  writev(parts: readonly Uint8Array[], at: number): undefined {
    let place = at
    for (let from = 0; from < parts.length; from += partsMax) {
      place = this.#writeAll(parts.length <= partsMax ? parts : parts.slice(from, from + partsMax), place)
    }
  }

  /** The system may write less than it was given: goes on with the rest. */
  #writeAll(parts: readonly Uint8Array[], at: number): number {
    let place = at
    let rest = parts
    while (rest.length > 0) {
      const written = fs.writevSync(this.#fd, rest, place)
      if (written === 0) throw new Error('the system wrote nothing')
      place += written
      rest = after(rest, written)
    }
    return place
  }

  datasync(): Promise<void> {
    return call((done) => fs.fdatasync(this.#fd, done))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await call((done) => fs.close(this.#fd, done))
    this.#descriptors.closed()
  }
}

/** What is left of `parts` behind their first `written` bytes. */
export function after(parts: readonly Uint8Array[], written: number): readonly Uint8Array[] {
  let index = 0
  let rest = written
  for (; index < parts.length; index++) {
    const length = parts[index]?.length ?? 0
    if (rest < length) break
    rest -= length
  }
  if (index === parts.length) return []
  const left = parts.slice(index)
  if (rest > 0) left[0] = (left[0] as Uint8Array).subarray(rest)
  return left
}

type Done = (error: NodeJS.ErrnoException | null) => void
type DoneCount = (error: NodeJS.ErrnoException | null, result: number) => void

function call(start: (done: Done) => void): Promise<void> {
  return new Promise((resolve, reject) => start((error) => (error === null ? resolve() : reject(error))))
}

function count(start: (done: DoneCount) => void): Promise<number> {
  return new Promise((resolve, reject) => start((error, n) => (error === null ? resolve(n) : reject(error))))
}
