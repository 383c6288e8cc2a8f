/**
 * The states of one node, numbered, and what every input leads to. A node's next state depends on its own inputs alone, so
 * the machine runs once for every pair of state and input, however many global states have that pair; a state is rebuilt from
 * the inputs that first led to it.
 */
import { canonical } from './canonical.ts'
import type { DiskRecord, Node, NodeInput, Parcel } from './nodes.ts'

export interface Step {
  /** State that follows; the same one when the input changed nothing. */
  readonly next: number
  /** Numbers of the parcels that leave. */
  readonly sends: readonly number[]
  readonly written: readonly DiskRecord[]
  /** The node stopped: a rule that it checks by itself does not hold. */
  readonly stopped: string | null
}

/** Parcels by number; equal ones have one number. */
export class Parcels {
  readonly all: Parcel[] = []
  readonly #numbers = new Map<string, number>()

  numberOf(parcel: Parcel): number {
    const text = canonical(parcel)
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    this.#numbers.set(text, this.all.length)
    return this.all.push(parcel) - 1
  }
}

export const beginInput = -1
export const restartInput = -2
export const timeoutInput = -3

export class Locals {
  readonly #make: () => Node
  readonly #parcels: Parcels
  readonly #numbers = new Map<string, number>()
  /** Inputs that first led to each state. */
  readonly #ways: (readonly number[])[] = []
  readonly #steps: Map<number, Step>[] = []
  /** How often a machine was run for a new pair. */
  runs = 0

  constructor(make: () => Node, parcels: Parcels) {
    this.#make = make
    this.#parcels = parcels
    this.#numberOf(make(), [])
  }

  get count(): number {
    return this.#ways.length
  }

  step(state: number, input: number): Step {
    const known = this.#steps[state]?.get(input)
    if (known !== undefined) return known
    const step = this.#run(state, input)
    this.#steps[state]?.set(input, step)
    return step
  }

  #run(state: number, input: number): Step {
    this.runs++
    const way = this.#ways[state] ?? []
    const node = this.#make()
    for (const before of way) node.take(this.#inputOf(before))
    try {
      const { sends, written } = node.take(this.#inputOf(input))
      const numbers = sends.map((parcel) => this.#parcels.numberOf(parcel))
      return { next: this.#numberOf(node, [...way, input]), sends: [...new Set(numbers)], written, stopped: null }
    } catch (error) {
      return { next: state, sends: [], written: [], stopped: String(error) }
    }
  }

  #inputOf(input: number): NodeInput {
    if (input === beginInput) return { kind: 'begin' }
    if (input === restartInput) return { kind: 'restart' }
    if (input === timeoutInput) return { kind: 'timeout' }
    const parcel = this.#parcels.all[input]
    if (parcel === undefined) throw new Error(`no parcel ${input}`)
    return { kind: 'parcel', parcel }
  }

  #numberOf(node: Node, way: readonly number[]): number {
    const text = canonical(node.state)
    const known = this.#numbers.get(text)
    if (known !== undefined) return known
    this.#numbers.set(text, this.#ways.length)
    this.#steps.push(new Map())
    return this.#ways.push(way) - 1
  }
}
