/** Frames that a server did not handle and did not answer, counted by reason and kind. */
import type { MessageKind } from '../proto/wire/messages.ts'

/**
 * - other-cluster: of another cluster, or before there was one
 * - version: newer than the version of the protocol that the cluster speaks
 * - not-permitted: the sender is not one that may send it
 * - no-receiver: no part of a server takes it
 * - phase: the phase of the topic has no use for it
 * - waiting: too much waits for the proof of the storage
 */
export type DropReason = 'other-cluster' | 'version' | 'not-permitted' | 'no-receiver' | 'phase' | 'waiting'

export class Drops {
  readonly #counts = new Map<string, number>()

  note(reason: DropReason, kind: MessageKind): void {
    const name = `${reason} ${kind}`
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  count(reason: DropReason, kind: MessageKind): number {
    return this.#counts.get(`${reason} ${kind}`) ?? 0
  }
}
