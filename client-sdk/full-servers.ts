import type { ServerName } from '../proto/ids.ts'

/** The servers whose disks are full, as far as this client knows: one for all its topics, as a server has one log. */
export class FullServers {
  readonly #names = new Set<ServerName>()

  get isEmpty(): boolean {
    return this.#names.size === 0
  }

  has(name: ServerName): boolean {
    return this.#names.has(name)
  }

  note(name: ServerName, isFull: boolean): void {
    if (isFull) this.#names.add(name)
    else this.#names.delete(name)
  }
}
