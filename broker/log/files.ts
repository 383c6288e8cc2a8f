import { onDisk } from './failure.ts'
import { finishedName } from './segment-name.ts'

/**
 * One directory of a system, as it is: every call rejects with the system's error, its `code` kept. Nothing of the log takes it but
 * `Files`, so a simulated disk is put under the very classes of a real one, and its errors leave through the same door.
 */
export interface SystemFiles {
  list(): Promise<string[]>
  create(name: string, bytes: number): Promise<SystemFile>
  open(name: string): Promise<SystemFile>
  rename(from: string, to: string): Promise<void>
  remove(name: string): Promise<void>
  flushDirectory(): Promise<void>
  freeBytes(): Promise<number>
}

/** An open file of a system, as it is. */
export interface SystemFile {
  readonly bytes: number
  read(buffer: Uint8Array, at: number): Promise<number>
  writev(parts: readonly Uint8Array[], at: number): Promise<void> | undefined
  datasync(): Promise<void>
  close(): Promise<void>
}

/**
 * What the log needs of one directory, and the one door to it. The log's rules about crashes are built on these calls alone. Every
 * call rejects with an EpochcastError that names what could not be done, with the system's error as its cause: `EC_DISK_FULL` or
 * `EC_DISK_FAILED`.
 */
export class Files {
  readonly #system: SystemFiles

  constructor(system: SystemFiles) {
    this.#system = system
  }

  /** Names of the files in the directory, in no order. */
  list(): Promise<string[]> {
    return onDisk('list its data directory', () => this.#system.list())
  }

  /**
   * Makes (or replaces) a file of `bytes` zeros, content and size flushed. Its name is on disk only after
   * `flushDirectory`.
   */
  create(name: string, bytes: number): Promise<OpenFile> {
    return onDisk(`make ${finishedName(name)}`, async () => new OpenFile(name, await this.#system.create(name, bytes)))
  }

  open(name: string): Promise<OpenFile> {
    return onDisk(`open ${name}`, async () => new OpenFile(name, await this.#system.open(name)))
  }

  /** Replaces `to` when it exists; on disk only after `flushDirectory`. */
  rename(from: string, to: string): Promise<void> {
    return onDisk(`rename ${from}`, () => this.#system.rename(from, to))
  }

  /** On disk only after `flushDirectory`. */
  remove(name: string): Promise<void> {
    return onDisk(`remove ${name}`, () => this.#system.remove(name))
  }

  /** Flushes every name that was created, renamed or removed before the call. */
  flushDirectory(): Promise<void> {
    return onDisk('flush its data directory', () => this.#system.flushDirectory())
  }

  /** Bytes that can still be written by this process. */
  freeBytes(): Promise<number> {
    return onDisk('look for free space', () => this.#system.freeBytes())
  }
}

/** An open file of the directory; its errors are those of `Files`. */
export class OpenFile {
  /** Size in bytes when it was opened or created. */
  readonly bytes: number
  readonly #system: SystemFile
  /** What it is called once it is finished. */
  readonly #name: string

  constructor(name: string, system: SystemFile) {
    this.bytes = system.bytes
    this.#system = system
    this.#name = finishedName(name)
  }

  /** Fills `buffer` from offset `at`; resolves to fewer bytes only at the end of the file. */
  read(buffer: Uint8Array, at: number): Promise<number> {
    return onDisk(`read ${this.#name}`, () => this.#system.read(buffer, at))
  }

  /**
   * Writes all parts one behind the other from offset `at`; they are not copied. Grows the file when needed. Done at once
   * where it returns nothing; throws then what it would reject with.
   */
  writev(parts: readonly Uint8Array[], at: number): Promise<void> | undefined {
    return onDisk(`write ${this.#name}`, () => this.#system.writev(parts, at))
  }

  /** Flushes what was written before the call, the size included. After a rejection nothing is known any more. */
  datasync(): Promise<void> {
    return onDisk(`flush ${this.#name}`, () => this.#system.datasync())
  }

  close(): Promise<void> {
    return onDisk(`close ${this.#name}`, () => this.#system.close())
  }
}
