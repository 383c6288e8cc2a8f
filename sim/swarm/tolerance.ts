/**
 * Which servers may be lost for good at this moment, so that the guarantees still hold: of every configuration that may yet be
 * needed, no more members than its mode tolerates, and of the arbiters a minority.
 */
import type { HistoryEvent, ReconfigurationEvent } from '../check/history.ts'

interface Known {
  readonly rc: ReconfigurationEvent
  readonly started: Set<string>
}

export class Tolerance {
  readonly #arbiters: readonly string[]
  readonly #known = new Map<string, Known>()
  readonly #lost = new Set<string>()

  constructor(arbiters: readonly string[]) {
    this.#arbiters = arbiters
  }

  see(event: HistoryEvent): void {
    if (event.kind === 'rc') this.#known.set(event.rc, { rc: event, started: new Set() })
    if (event.kind === 'started') this.#known.get(event.rc)?.started.add(event.srv)
  }

  /** Whether all of these may be lost beside what is lost already; if so, they count as lost from now on. */
  lose(names: readonly string[]): boolean {
    const lost = new Set([...this.#lost, ...names])
    if (count(this.#arbiters, lost) > Math.floor((this.#arbiters.length - 1) / 2)) return false
    if (!this.#isTolerable(lost)) return false
    for (const name of names) this.#lost.add(name)
    return true
  }

  /**
   * Whether the guarantees hold after all. Not so where a server was lost that was to be a member of the next epoch and had said
   * that it is ready, in the moment before that epoch was decided: then its quorum may be gone before it begins.
   */
  get holds(): boolean {
    return this.#isTolerable(this.#lost)
  }

  #isTolerable(lost: ReadonlySet<string>): boolean {
    const enabled = new Map<string, number>()
    const known = [...this.#known.values()]
    for (const one of known) {
      const { topic, epoch } = one.rc
      if (isEnabled(one)) enabled.set(topic, Math.max(enabled.get(topic) ?? 0, epoch))
    }
    return known.every(({ rc }) => rc.epoch < (enabled.get(rc.topic) ?? 0) || count(rc.members, lost) <= tolerated(rc))
  }
}

function isEnabled({ rc, started }: Known): boolean {
  const { length } = rc.members
  return started.size >= (rc.mode === 'fault-masking' ? Math.floor(length / 2) + 1 : length)
}

function tolerated({ mode, members }: ReconfigurationEvent): number {
  return mode === 'fault-masking' ? Math.floor((members.length - 1) / 2) : members.length - 1
}

function count(names: readonly string[], among: ReadonlySet<string>): number {
  return names.filter((name) => among.has(name)).length
}
