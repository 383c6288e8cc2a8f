/** A subscriber that counts: which lines it was given, how often, in which order, and how each epoch ended. */
import { crc32 } from 'node:zlib'
import type { EpochEvent, EventStream, Message } from '../../client-sdk/index.ts'
import type { Ledger } from './ledger.ts'

const tab = 9
const digitsMax = 10

export class Reader {
  readonly name: string
  /** Different lines. */
  delivered = 0
  duplicated = 0
  /** Lines that came after a later one of the same publisher. */
  disordered = 0
  /** Messages that are not a line as it was published. */
  foreign = 0
  gaps = 0
  readonly ends: EpochEvent[] = []
  readonly #ledger: Ledger
  readonly #seen: Uint8Array
  readonly #epochs: Uint32Array
  readonly #sequences: Uint32Array
  readonly #newest = new Map<string, number>()
  #stream: EventStream<Uint8Array> | null = null

  constructor(name: string, ledger: Ledger) {
    this.name = name
    this.#ledger = ledger
    this.#seen = new Uint8Array(ledger.total)
    this.#epochs = new Uint32Array(ledger.total)
    this.#sequences = new Uint32Array(ledger.total)
  }

  /** Reads until the stream ends. */
  async read(stream: EventStream<Uint8Array>): Promise<void> {
    this.#stream = stream
    for await (const event of stream) {
      if (event.type === 'message') this.#take(event.message)
      else if (event.type === 'epoch') this.ends.push(event)
      else this.gaps++
    }
  }

  async stop(): Promise<void> {
    await this.#stream?.return()
  }

  /** Lines that were given under another id than their publisher was told. */
  countMisnamed(): number {
    let count = 0
    const { total, epochs, sequences } = this.#ledger
    for (let number = 0; number < total; number++) {
      if (this.#seen[number] === 0 || epochs[number] === 0) continue
      if (this.#epochs[number] !== epochs[number] || this.#sequences[number] !== sequences[number]) count++
    }
    return count
  }

  #take(message: Message<Uint8Array>): void {
    const { payload, publisher, epoch, sequence } = message
    const number = lineNumber(payload)
    if (number === null || number >= this.#ledger.total || crc32(payload) !== this.#ledger.checks[number]) {
      this.foreign++
      return
    }
    if (this.#seen[number] === 1) {
      this.duplicated++
      return
    }
    this.#seen[number] = 1
    this.delivered++
    this.#epochs[number] = epoch
    this.#sequences[number] = sequence
    const newest = this.#newest.get(publisher) ?? -1
    if (number < newest) this.disordered++
    this.#newest.set(publisher, Math.max(number, newest))
  }
}

function lineNumber(payload: Uint8Array): number | null {
  const length = payload.subarray(0, digitsMax + 1).indexOf(tab)
  if (length <= 0) return null
  let number = 0
  for (let at = 0; at < length; at++) {
    const digit = (payload[at] ?? 0) - 48
    if (digit < 0 || digit > 9) return null
    number = number * 10 + digit
  }
  return number
}
