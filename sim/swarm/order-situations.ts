/** Notices what orders, early delivery and topics that are read together lead to, in what subscriptions are given. */
import type { Operation, Step } from '../world/operations.ts'
import type { FaultId } from './fault-classes.ts'

export class OrderSituations {
  readonly #note: (id: FaultId) => void
  /** Epoch of the last message with a position, by subscription. */
  readonly #placed = new Map<Operation, number>()
  /** By client and name of a common stream: the topic that was given last. */
  readonly #together = new Map<string, string>()

  constructor(note: (id: FaultId) => void) {
    this.#note = note
  }

  see(operation: Operation, step: Step): void {
    if (step.kind === 'confirmed') this.#note('S3')
    if (step.kind === 'retracted') this.#note('S4')
    if (step.kind !== 'delivered') return
    const { given, position, lost } = step
    const { reading, client, topic } = operation
    if (reading?.order === 'causal' && isAnswer(given.value)) this.#note('S1')
    if (lost !== undefined) this.#note('S8')
    if (position !== undefined) {
      if ((this.#placed.get(operation) ?? given.id.epoch) < given.id.epoch) this.#note('S2')
      this.#placed.set(operation, given.id.epoch)
    }
    if (reading?.together === undefined) return
    const key = `${client} ${reading.together}`
    if ((this.#together.get(key) ?? topic) !== topic) this.#note('S6')
    this.#together.set(key, topic)
  }
}

/** How the values of answers are marked, so that a history shows them. */
export function answerValue(value: string): string {
  return `re-${value}`
}

function isAnswer(value: string): boolean {
  return value.startsWith(answerPrefix)
}

const answerPrefix = answerValue('')
