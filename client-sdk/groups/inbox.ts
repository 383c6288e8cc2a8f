/** The messages that one member of a group holds: granted in this order, fetched as far as there is room, given to the reader. */
import type { TopicName } from '../../proto/ids.ts'
import type { Batch } from '../../proto/wire/messages.ts'
import { entriesOf, type Headers } from '../entries.ts'
import { Bodies } from '../operations/bodies.ts'
import { type AllProperties, decodeProperties, noProperties } from '../properties.ts'
import type { Item } from './hand-out.ts'
import type { GroupPorts } from './ports.ts'

/** One message that this member holds. */
export interface Job {
  readonly id: string
  /** Of this one: how often a reader was given the message, this time included. */
  readonly deliveries: number
  readonly isDead: boolean
  readonly batch: Batch
  readonly index: number
  /** Null when its publisher sent no proper message. */
  readonly content: Uint8Array | null
  readonly payload: Uint8Array
  readonly header: Uint8Array | undefined
  readonly properties: AllProperties
}

interface Slot {
  readonly id: string
  readonly item: Pick<Item, 'epoch' | 'publisher' | 'sequence'>
  readonly deliveries: number
  readonly isDead: boolean
  isAsked: boolean
  job: Job | null
  bytes: number
}

/** Bytes that are here and not answered; beyond, nothing more is fetched. One message always is. */
const bytesMax = 1024 * 1024
/** Messages that are asked for at once. */
const askedMax = 64
/** Until the first one is here. */
const firstGuessBytes = 16 * 1024
const nothing = new Uint8Array(0)

export class Inbox {
  readonly #ports: GroupPorts
  readonly #bodies: Bodies
  readonly #listener: { arrived(): void }
  /** Granted and not given to the reader, in order. */
  #queue: Slot[] = []
  /** Everything that is held, given or not, by message id. */
  readonly #held = new Map<string, Slot>()
  #bytes = 0
  #asked = 0
  #meanBytes = firstGuessBytes

  constructor(topic: TopicName, ports: GroupPorts, listener: { arrived(): void }) {
    this.#ports = ports
    this.#listener = listener
    const { machine } = ports
    const told = (batch: Batch, sequences: readonly number[]) => this.#arrived(batch, sequences)
    this.#bodies = new Bodies(machine.follower(topic), machine.servers, machine.requests, told)
    ports.loop.call((out) => machine.addSubscription(this.#bodies, topic, out))
  }

  /** @param putsAside there is a topic for messages that were delivered too often */
  granted(items: readonly Item[], putsAside: boolean): void {
    for (const { id, epoch, publisher, sequence, deliveries, isDead: isTooOften } of items) {
      const item = { epoch, publisher, sequence }
      const isDead = isTooOften && putsAside
      // A message that is handed to the reader is delivered once more by that.
      const counted = isDead ? deliveries : deliveries + 1
      const slot: Slot = { id, item, deliveries: counted, isDead, isAsked: false, job: null, bytes: 0 }
      this.#queue.push(slot)
      this.#held.set(id, slot)
    }
    this.#ask()
  }

  /** The oldest one, when it is here: what was granted in order is given in order. */
  get oldest(): Job | null {
    const [slot] = this.#queue
    return slot?.job == null || slot.isDead ? null : slot.job
  }

  /** Takes the oldest one out, for the reader. */
  take(): void {
    this.#queue.shift()
  }

  takeDead(): Job | null {
    const at = this.#queue.findIndex((slot) => slot.isDead && slot.job !== null)
    return at < 0 ? null : (this.#queue.splice(at, 1)[0]?.job ?? null)
  }

  /** @returns false when it is not held any more */
  release(job: Job): boolean {
    const slot = this.#held.get(job.id)
    if (slot?.job !== job) return false
    this.#held.delete(job.id)
    this.#bytes -= slot.bytes
    this.#ask()
    return true
  }

  clear(): void {
    this.#queue = []
    this.#held.clear()
    this.#bytes = 0
    this.#asked = 0
    this.#ports.loop.call(() => this.#bodies.forget())
  }

  close(): void {
    this.clear()
    const { loop, machine } = this.#ports
    loop.call((out) => machine.removeSubscription(this.#bodies, out))
  }

  #ask(): void {
    const wanted: Slot[] = []
    for (const slot of this.#queue) {
      const expected = this.#bytes + this.#asked * this.#meanBytes
      if (this.#asked >= askedMax || (expected >= bytesMax && expected > 0)) break
      if (slot.isAsked) continue
      slot.isAsked = true
      this.#asked++
      wanted.push(slot)
    }
    if (wanted.length === 0) return
    this.#ports.loop.call((out) => {
      this.#bodies.want(
        wanted.map((slot) => slot.item),
        out,
      )
    })
  }

  #arrived(batch: Batch, sequences: readonly number[]): void {
    const headers: Headers = new Map()
    const payloads = entriesOf(batch, headers)
    for (const sequence of sequences) {
      const index = sequence - batch.first
      const slot = this.#held.get(`${batch.epoch}-${batch.publisher}-${sequence}`)
      if (slot === undefined || slot.job !== null) continue
      const content = payloads[index] ?? null
      const payload = content ?? nothing
      const header = headers.get(index)
      const properties = header === undefined ? noProperties : decodeProperties(header)
      const { id, deliveries, isDead } = slot
      slot.job = { id, deliveries, isDead, batch, index, content, payload, header, properties }
      slot.bytes = payload.length + (header?.length ?? 0)
      this.#bytes += slot.bytes
      this.#meanBytes = Math.ceil((this.#meanBytes * 7 + slot.bytes) / 8)
      this.#asked--
    }
    this.#ask()
    this.#listener.arrived()
  }
}
