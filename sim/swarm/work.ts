/** What happened in seeds, without the frames that it took: two versions of the product are compared by it. */
import type { HistoryEvent } from '../check/history.ts'

export interface Work {
  /** Calls of clients. */
  operations: number
  /** Faults that were brought about. */
  faults: number
  /** Epochs that any server began. */
  epochs: number
  /** Changes that were decided. */
  decisions: number
}

export function noWork(): Work {
  return { operations: 0, faults: 0, epochs: 0, decisions: 0 }
}

export function workOf(history: readonly HistoryEvent[], operations: number): Work {
  const epochs = new Set<string>()
  const decisions = new Set<string>()
  let faults = 0
  for (const event of history) {
    if (event.kind === 'fault') faults++
    if (event.kind === 'started') {
      epochs.add(`${event.topic} ${event.epoch}`)
      decisions.add(event.rc)
    }
  }
  return { operations, faults, epochs: epochs.size, decisions: decisions.size }
}

export function addWork(sum: Work, { operations, faults, epochs, decisions }: Work): void {
  sum.operations += operations
  sum.faults += faults
  sum.epochs += epochs
  sum.decisions += decisions
}
