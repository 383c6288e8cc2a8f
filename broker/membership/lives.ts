/**
 * Which servers an operator has forgotten. Each time that a server is forgotten, and each time that it comes back, its count
 * rises by one: an odd count is a forgotten server, and of two counts the higher one is newer. So servers that were away teach
 * nobody a server that was forgotten meanwhile, in whatever order they meet.
 */
import { type ServerId, type ServerName, serverIdOf } from '../../proto/ids.ts'
import type { MessageOf } from '../../proto/wire/messages.ts'

/** Servers that can be forgotten: all of them go into one frame. */
const livesMax = 2_000

export class Lives {
  readonly #counts = new Map<ServerName, number>()
  /** Made again when a count changes. */
  #sorted: MessageOf<'directory'>['lives'] | null = null

  static isForgottenAt(count: number): boolean {
    return count % 2 === 1
  }

  isForgotten(name: ServerName): boolean {
    return Lives.isForgottenAt(this.#counts.get(name) ?? 0)
  }

  isNews(name: ServerName, count: number): boolean {
    return count > (this.#counts.get(name) ?? 0)
  }

  get isFull(): boolean {
    return this.#counts.size >= livesMax
  }

  next(name: ServerName): number {
    return (this.#counts.get(name) ?? 0) + 1
  }

  set(name: ServerName, count: number): void {
    this.#counts.delete(name)
    this.#counts.set(name, count)
    this.#sorted = null
  }

  /** The newest of the forgotten servers with that id. */
  forgotten(id: ServerId): ServerName | undefined {
    return [...this.#counts.keys()].findLast((name) => serverIdOf(name) === id && this.isForgotten(name))
  }

  /** In the order of their names. */
  all(): MessageOf<'directory'>['lives'] {
    this.#sorted ??= [...this.#counts]
      .map(([name, count]) => ({ name, count }))
      .sort((one, other) => (one.name < other.name ? -1 : 1))
    return this.#sorted
  }
}
