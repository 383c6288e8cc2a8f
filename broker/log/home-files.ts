import { stat } from 'node:fs/promises'
import { DiskFiles } from './disk-files.ts'
import { storageLacks } from './failure.ts'
import type { SystemFile } from './files.ts'
import { hasDriftingInodes } from './place.ts'

/**
 * The files of one data directory, which refuses to change any name once another directory has taken its path: files of the
 * other one would be replaced or removed.
 */
export class HomeFiles extends DiskFiles {
  readonly #path: string
  /** Null where the file system may give the directory another number at any time. */
  readonly #inode: bigint | null

  private constructor(path: string, inode: bigint | null) {
    super(path)
    this.#path = path
    this.#inode = inode
  }

  static async open(path: string): Promise<HomeFiles> {
    return new HomeFiles(path, hasDriftingInodes(path) ? null : await inodeOf(path))
  }

  override async create(name: string, bytes: number): Promise<SystemFile> {
    await this.#mustBeHome()
    return super.create(name, bytes)
  }

  override async rename(from: string, to: string): Promise<void> {
    await this.#mustBeHome()
    return super.rename(from, to)
  }

  override async remove(name: string): Promise<void> {
    await this.#mustBeHome()
    return super.remove(name)
  }

  async #mustBeHome(): Promise<void> {
    if (this.#inode === null || (await inodeOf(this.#path)) === this.#inode) return
    throw storageLacks(`the data directory ${this.#path} was exchanged for another while the server ran`)
  }
}

async function inodeOf(path: string): Promise<bigint> {
  return (await stat(path, { bigint: true })).ino
}
