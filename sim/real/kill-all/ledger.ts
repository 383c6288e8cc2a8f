/** What publishers of one topic were told, and a check that every reader of it feeds with what it is given. */
import type { Order } from '../../../proto/configuration.ts'
import { parseMessageId } from '../../../proto/ids.ts'
import type { Verdict } from './verdict.ts'

/** The parts of a value: its publisher, its number there (rising), and the value that its publisher had been given last. */
export interface Content {
  readonly publisher: string
  readonly number: number
  readonly after: string
}

export interface Given {
  readonly id: string
  readonly value: string
  readonly position: number | null
}

export interface Acknowledged {
  readonly value: string
  readonly id: string
  /** Moment of the acknowledgement, in milliseconds. */
  readonly at: number
}

export const format = ({ publisher, number, after }: Content): string => `${publisher} ${number} (${after})`

/** The name of a value by which a later one refers to it, without what that one refers to itself. */
export const nameOf = (value: string): string => value.slice(0, value.indexOf(' ('))

export function parse(value: string): Content {
  const match = /^(\S+) (\d+) \((.*)\)$/.exec(value)
  if (match === null) throw new Error(`${JSON.stringify(value)} was published by nobody`)
  return { publisher: match[1] ?? '', number: Number(match[2]), after: match[3] ?? '' }
}

export class Ledger {
  readonly topic: string
  readonly verdict: Verdict
  /** In the order of their acknowledgements. */
  readonly acknowledged: Acknowledged[] = []
  /** Ids by value. */
  readonly ids = new Map<string, string>()
  readonly dropped = new Set<string>()
  /** Values whose publisher was told that they had not left. */
  readonly unsent = new Set<string>()
  /** Values by id whose publisher gave up after they had left. */
  readonly unknown = new Map<string, string>()
  /** Ids by position in total order, as the first reader saw them. */
  readonly positions = new Map<number, string>()

  constructor(topic: string, verdict: Verdict) {
    this.topic = topic
    this.verdict = verdict
  }

  acknowledge(value: string, id: string): void {
    this.ids.set(value, id)
    this.acknowledged.push({ value, id, at: performance.now() })
  }
}

/** Checks one reader, message by message. */
export class Reading {
  readonly seen = new Set<string>()
  /** The value that this reader was given last. */
  last = ''
  readonly #name: string
  readonly #ledger: Ledger
  readonly #order: Order
  readonly #numbers = new Map<string, number>()
  #epoch = 0
  #position = 0
  /** Acknowledgements up to here were looked up. */
  #checked = 0

  constructor(name: string, ledger: Ledger, order: Order) {
    this.#name = name
    this.#ledger = ledger
    this.#order = order
  }

  give({ id, value, position }: Given): void {
    const { dropped, ids, unsent, topic, verdict } = this.#ledger
    const { publisher, number, after } = parse(value)
    const { epoch } = parseMessageId(id)
    const what = `${topic}: ${this.#name} was given ${value} as ${id}`
    const known = ids.get(value)
    if (this.seen.has(nameOf(value))) verdict.add('duplicated', `${what}, a second time`)
    else if (number <= (this.#numbers.get(publisher) ?? 0))
      verdict.add('outOfOrder', `${what} after number ${this.#numbers.get(publisher)} of the same publisher`)
    if (known !== undefined && known !== id) verdict.add('duplicated', `${what}, acknowledged as ${known}`)
    if (dropped.has(id)) verdict.add('duplicated', `${what}, which was dropped`)
    if (unsent.has(value)) verdict.add('unsent', what)
    if (epoch < this.#epoch) verdict.add('outOfOrder', `${what} after a message of epoch ${this.#epoch}`)
    const isCausal = this.#order === 'causal' || this.#order === 'total'
    if (isCausal && after !== '' && !this.seen.has(after))
      verdict.add('outOfOrder', `${what} before its cause ${after}`)
    if (this.#order === 'total') this.#place(what, id, position)
    this.seen.add(nameOf(value))
    this.#numbers.set(publisher, Math.max(number, this.#numbers.get(publisher) ?? 0))
    this.#epoch = Math.max(epoch, this.#epoch)
    this.last = nameOf(value)
  }

  /** Reports every message acknowledged before `at` that this reader has not been given. */
  mustHaveAll(at: number): void {
    for (let one = this.#next(at); one !== undefined; one = this.#next(at)) {
      this.#checked++
      if (this.seen.has(nameOf(one.value))) continue
      this.#ledger.verdict.add(
        'lost',
        `${this.#ledger.topic}: ${this.#name} lacks ${one.value}, acknowledged as ${one.id}`,
      )
    }
  }

  /** Whether this reader has been given everything acknowledged before `at`. */
  hasAll(at: number): boolean {
    for (let one = this.#next(at); one !== undefined; one = this.#next(at)) {
      if (!this.seen.has(nameOf(one.value))) return false
      this.#checked++
    }
    return true
  }

  #next(at: number): Acknowledged | undefined {
    const one = this.#ledger.acknowledged[this.#checked]
    return one !== undefined && one.at < at ? one : undefined
  }

  #place(what: string, id: string, position: number | null): void {
    const { positions, verdict } = this.#ledger
    if (position === null || position !== this.#position + 1)
      verdict.add('outOfOrder', `${what} at position ${position} after ${this.#position}`)
    if (position === null) return
    const known = positions.get(position)
    if (known === undefined) positions.set(position, id)
    else if (known !== id)
      verdict.add('outOfOrder', `${what} at position ${position}, where another reader had ${known}`)
    this.#position = position
  }
}
