import * as fs from 'node:fs'
import { devNull } from 'node:os'
import { isNoDescriptor } from './failure.ts'

/**
 * File descriptors that are held for the log of a server. Connections and files share the limit of a process: without these,
 * the one connection too many would keep the log from making its next segment, and so end the server.
 */
export class SpareDescriptors {
  /** Open on the null device, each to be given up for a file. */
  readonly #spare: number[] = []
  /** Files and spare descriptors together. */
  #wanted = 0
  #files = 0

  /** Holds so many descriptors, those of open files included; 0 gives the spare ones back. */
  hold(count: number): void {
    this.#wanted = count
    this.#balance()
  }

  /** Opens a file, in place of a spare descriptor where the process has no other. */
  async open(path: string, flags: string): Promise<number> {
    const fd = await openFile(path, flags).catch((error: unknown) => this.#openInPlace(path, flags, error))
    this.#files++
    this.#balance()
    return fd
  }

  /** A file that was opened here has been closed. */
  closed(): void {
    this.#files--
    this.#balance()
  }

  /** Nothing comes between the two calls: what is given up is not taken by a connection. */
  #openInPlace(path: string, flags: string, error: unknown): number {
    let last = error
    while (isNoDescriptor(last) && this.#spare.length > 0) {
      fs.closeSync(this.#spare.pop() as number)
      try {
        return fs.openSync(path, flags, fileMode)
      } catch (again) {
        last = again
      }
    }
    throw last
  }

  #balance(): void {
    while (this.#spare.length > 0 && this.#spare.length + this.#files > this.#wanted) {
      fs.closeSync(this.#spare.pop() as number)
    }
    try {
      while (this.#spare.length + this.#files < this.#wanted) this.#spare.push(fs.openSync(devNull, 'r'))
    } catch (error) {
      // What is missing is taken back when a file is closed.
      if (!isNoDescriptor(error)) throw error
    }
  }
}

const fileMode = 0o640

function openFile(path: string, flags: string): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.open(path, flags, fileMode, (error, fd) => (error === null ? resolve(fd) : reject(error)))
  })
}
