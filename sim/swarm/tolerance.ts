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
    if (!this.#bears(new Set([...this.#lost, ...names]))) return false
    for (const name of names) this.#lost.add(name)
    return true
  }

  /** Something was decided since that needs more of them than are left. */
  get isExceeded(): boolean {
    return !this.#bears(this.#lost)
  }

  /** These are back. */
  revive(names: readonly string[]): void {
    for (const name of names) this.#lost.delete(name)
  }

  #bears(lost: ReadonlySet<string>): boolean {
    if (count(this.#arbiters, lost) > Math.floor((this.#arbiters.length - 1) / 2)) return false
    const enabled = new Map<string, number>()
    for (const known of this.#known.values()) {
      const { topic, epoch } = known.rc
      if (isEnabled(known)) enabled.set(topic, Math.max(enabled.get(topic) ?? 0, epoch))
    }
    for (const { rc } of this.#known.values()) {
      if (rc.epoch >= (enabled.get(rc.topic) ?? 0) && count(rc.members, lost) > tolerated(rc)) return false
    }
    return true
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
