/**
 * Breadth first through every order in which parcels arrive, processes restart and timeouts fire. A global state is the
 * numbers of its nodes' states, the parcels under way, what was told and written, and what may still go wrong. A parcel that
 * never arrives is lost, so losses need no step of their own; nor do coordinators that die.
 */
import { type FactsScope, FactsTable } from './facts.ts'
import { beginInput, Locals, Parcels, restartInput, type Step, timeoutInput } from './locals.ts'
import type { Node, Parcel } from './nodes.ts'
import { SeenStates } from './seen-states.ts'

export interface Scope extends FactsScope {
  readonly name: string
  readonly about: string
  readonly nodes: ReadonlyMap<string, () => Node>
  /** Nodes that begin at any moment. */
  readonly beginners: readonly string[]
  /** Under way from the beginning. */
  readonly parcels: readonly Parcel[]
  /** Nodes that may restart, and how often one of them does altogether. */
  readonly restarting: readonly string[]
  readonly restarts: number
  /** Nodes whose timeouts may fire, and how often altogether. */
  readonly waiting: readonly string[]
  readonly timeouts: number
  /**
   * The coordinators come one after another: when the next one begins, nothing of those before it arrives any more. So long
   * histories can be reached.
   */
  readonly relay?: boolean
  /** Parcels that are not carried, so that what they lead to is left out. */
  readonly drops?: (parcel: Parcel) => boolean
}

export interface Exploration {
  readonly scope: string
  readonly states: number
  readonly depth: number
  readonly exhausted: boolean
  /** Runs of a machine; all other steps were known. */
  readonly machineRuns: number
  readonly seconds: number
  readonly violation: { readonly text: string; readonly trace: readonly string[] } | null
}

interface GlobalState {
  readonly locals: Uint16Array
  /** Sorted. */
  readonly parcels: Uint16Array
  readonly facts: number
  readonly restarts: number
  readonly timeouts: number
  /** Nodes that have not begun, one bit each. */
  readonly toBegin: number
  /** In a relay: whose conversation goes on. */
  readonly speaker: number
  readonly before: GlobalState | null
  /** Which node took which input. */
  readonly node: number
  readonly input: number
}

export class Explorer {
  readonly #scope: Scope
  readonly #names: readonly string[]
  readonly #indexes: ReadonlyMap<string, number>
  readonly #parcels = new Parcels()
  readonly #locals: readonly Locals[]
  readonly #facts: FactsTable
  readonly #seen = new SeenStates()
  /** Node that each parcel goes to; -1 for one that is not here. */
  readonly #targets: number[] = []
  readonly #restarting: readonly number[]
  readonly #waiting: readonly number[]
  /** Coordinator whose conversation each parcel belongs to; -1 for none. */
  readonly #speakers: number[] = []
  #violation: Exploration['violation'] = null

  constructor(scope: Scope) {
    this.#scope = scope
    this.#names = [...scope.nodes.keys()]
    this.#indexes = new Map(this.#names.map((name, index) => [name, index]))
    this.#locals = [...scope.nodes.values()].map((make) => new Locals(make, this.#parcels))
    this.#facts = new FactsTable(scope)
    this.#restarting = scope.restarting.map((name) => this.#indexes.get(name) as number)
    this.#waiting = scope.waiting.map((name) => this.#indexes.get(name) as number)
  }

  run(statesMax: number, budgetMs: number): Exploration {
    const began = performance.now()
    let level: GlobalState[] = [this.#first()]
    let depth = 0
    let exhausted = true
    while (level.length > 0 && this.#violation === null) {
      const next: GlobalState[] = []
      for (const state of level) {
        if (this.#seen.count >= statesMax || performance.now() - began > budgetMs) {
          exhausted = false
          break
        }
        this.#expand(state, next)
        if (this.#violation !== null) break
      }
      if (!exhausted) break
      level = next
      if (level.length > 0) depth++
    }
    return {
      scope: this.#scope.name,
      states: this.#seen.count,
      depth,
      exhausted: exhausted && this.#violation === null,
      machineRuns: this.#locals.reduce((sum, locals) => sum + locals.runs, 0),
      seconds: Math.round((performance.now() - began) / 100) / 10,
      violation: this.#violation,
    }
  }

  #first(): GlobalState {
    const numbers = this.#scope.parcels.map((parcel) => this.#parcels.numberOf(parcel)).sort((a, b) => a - b)
    let toBegin = 0
    for (const name of this.#scope.beginners) toBegin |= 1 << (this.#indexes.get(name) as number)
    const first: GlobalState = {
      locals: new Uint16Array(this.#names.length),
      parcels: Uint16Array.from(numbers),
      facts: 0,
      restarts: this.#scope.restarts,
      timeouts: this.#scope.timeouts,
      toBegin,
      speaker: -1,
      before: null,
      node: -1,
      input: 0,
    }
    this.#isNew(first)
    return first
  }

  #expand(state: GlobalState, into: GlobalState[]): void {
    for (const [at, number] of state.parcels.entries()) {
      const node = this.#targetOf(number)
      if (node >= 0) this.#take(state, node, number, at, into)
    }
    for (let node = 0; node < this.#names.length; node++)
      if ((state.toBegin & (1 << node)) !== 0) this.#take(state, node, beginInput, -1, into)
    if (state.restarts > 0) for (const node of this.#restarting) this.#take(state, node, restartInput, -1, into)
    if (state.timeouts > 0) for (const node of this.#waiting) this.#take(state, node, timeoutInput, -1, into)
  }

  #take(state: GlobalState, node: number, input: number, at: number, into: GlobalState[]): void {
    const speaker = Math.max(state.speaker, this.#speakerOf(node, input))
    if (input === beginInput && speaker > node) return
    const local = state.locals[node] as number
    const step = (this.#locals[node] as Locals).step(local, input)
    if (step.stopped !== null) {
      this.#break(state, node, input, `stop: ${step.stopped}`)
      return
    }
    // Nothing came of it: as if it had been lost, or had not happened.
    if (step.next === local && step.sends.length === 0) return
    const locals = state.locals.slice()
    locals[node] = step.next
    const facts = this.#factsAfter(state, node, local, input, step)
    const next: GlobalState = {
      locals,
      parcels: this.#underWay(state.parcels, at, step.sends, speaker),
      facts: facts.next,
      restarts: state.restarts - (input === restartInput ? 1 : 0),
      timeouts: state.timeouts - (input === timeoutInput ? 1 : 0),
      toBegin: input === beginInput ? state.toBegin & ~(1 << node) : state.toBegin,
      speaker,
      before: state,
      node,
      input,
    }
    if (facts.broken !== null) this.#break(state, node, input, facts.broken)
    else if (this.#isNew(next)) into.push(next)
  }

  #factsAfter(state: GlobalState, node: number, local: number, input: number, step: Step) {
    if (step.sends.length === 0 && step.written.length === 0) return { next: state.facts, broken: null }
    const sends = step.sends.map((number) => this.#parcels.all[number] as Parcel)
    return this.#facts.step(state.facts, `${node}|${local}|${input}`, this.#names[node] as string, step.written, sends)
  }

  /** Parcels for nodes that are here, each once, sorted. */
  #underWay(before: Uint16Array, taken: number, sends: readonly number[], speaker: number): Uint16Array {
    const numbers = new Set<number>(before)
    if (taken >= 0) numbers.delete(before[taken] as number)
    for (const number of sends) if (this.#targetOf(number) >= 0) numbers.add(number)
    if (this.#scope.relay === true) {
      for (const number of numbers) {
        const of = this.#speakerOf(-1, number)
        if (of >= 0 && of < speaker) numbers.delete(number)
      }
    }
    return Uint16Array.from(numbers).sort()
  }

  #targetOf(number: number): number {
    let target = this.#targets[number]
    if (target === undefined) {
      const parcel = this.#parcels.all[number] as Parcel
      target = this.#scope.drops?.(parcel) === true ? -1 : (this.#indexes.get(parcel.to) ?? -1)
      this.#targets[number] = target
    }
    return target
  }

  /** Whose conversation an input belongs to: its coordinator's, at either end or in the stake. Only a relay asks. */
  #speakerOf(node: number, input: number): number {
    if (this.#scope.relay !== true) return -1
    if (input < 0) return input === beginInput ? node : -1
    const known = this.#speakers[input]
    if (known !== undefined) return known
    const parcel = this.#parcels.all[input] as Parcel
    const { beginners } = this.#scope
    const stake = 'stake' in parcel.message ? parcel.message.stake.coordinator : ''
    const name = beginners.find((one) => one === parcel.from || one === parcel.to || stake.startsWith(`${one}@`))
    const speaker = name === undefined ? -1 : (this.#indexes.get(name) as number)
    this.#speakers[input] = speaker
    return speaker
  }

  #isNew(state: GlobalState): boolean {
    const { locals, parcels, facts, restarts, timeouts, toBegin, speaker } = state
    const rest = (restarts << 28) | (timeouts << 24) | ((speaker + 1) << 20) | toBegin
    return this.#seen.add(locals, parcels, facts, rest)
  }

  #break(state: GlobalState, node: number, input: number, text: string): void {
    if (this.#violation !== null) return
    const trace = [this.#describe(node, input)]
    for (let one: GlobalState | null = state; one !== null && one.node >= 0; one = one.before)
      trace.unshift(this.#describe(one.node, one.input))
    this.#violation = { text, trace }
  }

  #describe(node: number, input: number): string {
    const name = this.#names[node]
    if (input === beginInput) return `${name} begins`
    if (input === restartInput) return `${name} restarts`
    if (input === timeoutInput) return `${name} waits long enough`
    const parcel = this.#parcels.all[input]
    return `${parcel?.from} -> ${name} ${parcel?.message.kind}`
  }
}
