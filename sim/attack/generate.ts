/** Messages of every kind by chance, from the tables that define them; and bytes that were nearly right. */
import type { PublisherId } from '../../proto/ids.ts'
import { hexDigits, type Random } from '../../proto/machine/ports.ts'
import type { Frontier } from '../../proto/message-set.ts'
import type { Field, Fields } from '../../proto/wire/fields.ts'
import { kinds, type Message, type MessageKind, table } from '../../proto/wire/messages.ts'
import { clusterType, deciderType, publisherType, serverNameType, syncType, topicType } from '../../proto/wire/types.ts'

/** Values that mean something where the messages go; by the name of the field. */
export type Meanings = Readonly<Record<string, (random: Random) => unknown>>

const deciders = ['stakes', 'engine', 'engine:main', 'engine:main@0123456789abcdef']
const syncs = ['always', 'interval 50', 'memory']
const letters = 'abcdeXYZ019'
const manyMax = 4

/** Values of the types that do not take every text or number. */
const special = new Map<unknown, (random: Random) => string>([
  [clusterType, uuid],
  [deciderType, (random) => pick(random, deciders)],
  [publisherType, (random) => hexDigits(random, 16)],
  [serverNameType, serverNameBy],
  [syncType, (random) => pick(random, syncs)],
  [topicType, (random) => Array.from({ length: 1 + random.below(3) }, () => word(random)).join('.')],
])

export class MessageGenerator {
  readonly #random: Random
  readonly #meanings: Meanings

  constructor(random: Random, meanings: Meanings = {}) {
    this.#random = random
    this.#meanings = meanings
  }

  /** One of `among`, or of all kinds. */
  message(among: readonly MessageKind[] = kinds): Message {
    const kind = pick(this.#random, among)
    return { kind, ...this.#record(table[kind].fields) } as unknown as Message
  }

  #record(fields: Fields): Record<string, unknown> {
    const record: Record<string, unknown> = {}
    for (const [key, field] of Object.entries(fields)) {
      if (field.arity === 'many') {
        record[key] = Array.from({ length: this.#random.below(manyMax) }, () => this.#value(key, field))
      } else if (field.arity === 'one' || this.#random.below(2) === 0) record[key] = this.#value(key, field)
    }
    return record
  }

  #value(key: string, { type }: Field<unknown>): unknown {
    const random = this.#random
    const meaning = this.#meanings[key]
    if (meaning !== undefined && type.fields === undefined) return meaning(random)
    if (type.proto === 'MessageSet') return this.#set()
    if (type.fields !== undefined) {
      const whole = this.#meanings[`${type.proto}`]
      return whole !== undefined && random.below(4) > 0 ? whole(random) : this.#record(type.fields)
    }
    if (type.words !== undefined) return pick(random, type.words)
    const valid = special.get(type)
    if (valid !== undefined) return valid(random)
    if (type.proto === 'bool') return random.below(2) === 0
    if (type.proto === 'string') return word(random)
    if (type.proto === 'bytes') return someBytes(random, random.below(60))
    if (type.proto === 'uint32') return random.below(5)
    return natural(random)
  }

  #set(): Map<PublisherId, Frontier> {
    const set = new Map<PublisherId, Frontier>()
    for (let count = this.#random.below(manyMax); count > 0; count--) {
      const publisher = (this.#meanings.publisher?.(this.#random) ?? hexDigits(this.#random, 16)) as PublisherId
      set.set(publisher, { end: 1 + natural(this.#random), digest: natural(this.#random) })
    }
    return set
  }
}

/** Small numbers mostly, and those at the edges of what is allowed. */
export function natural(random: Random): number {
  switch (random.below(6)) {
    case 0:
      return random.below(2 ** 32)
    case 1:
      return pick(random, [0, 127, 128, 2 ** 31 - 1, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 2])
    default:
      return random.below(20)
  }
}

export function pick<T>(random: Random, of: readonly T[]): T {
  return of[random.below(of.length)] as T
}

export function someBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random.below(256)))
}

/** A few small changes, as errors and attackers make them; `other` is something valid to take pieces from. */
export function mutate(bytes: Uint8Array, other: Uint8Array, random: Random): Buffer {
  let changed: Buffer = Buffer.from(bytes)
  for (let count = 1 + random.below(4); count > 0; count--) changed = mutateOnce(changed, other, random)
  return changed
}

function mutateOnce(bytes: Buffer, other: Uint8Array, random: Random): Buffer {
  const at = random.below(bytes.length + 1)
  const length = random.below(Math.min(16, bytes.length - at + 1) + 1)
  switch (random.below(8)) {
    case 0:
      return flip(bytes, at, random)
    case 1:
      return put(bytes, at, pick(random, [0x00, 0x01, 0x7f, 0x80, 0xff]))
    case 2:
      return bytes.subarray(0, at)
    case 3:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
    case 4:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
    case 5:
      return Buffer.concat([bytes.subarray(0, at), someBytes(random, 1 + random.below(12)), bytes.subarray(at)])
    case 6:
      return Buffer.concat([bytes.subarray(0, at), other.subarray(random.below(other.length + 1))])
    default:
      // Numbers that say how long something is: one more, one less, and all that fits.
      return put(bytes, at, ((bytes[at] ?? 0) + pick(random, [1, 255])) & 0xff)
  }
}

function flip(bytes: Buffer, at: number, random: Random): Buffer {
  return put(bytes, at, (bytes[at] ?? 0) ^ (1 << random.below(8)))
}

function put(bytes: Buffer, at: number, value: number): Buffer {
  const changed = Buffer.from(bytes)
  if (at < changed.length) changed[at] = value
  return changed
}

function word(random: Random): string {
  return Array.from({ length: 1 + random.below(8) }, () => letters[random.below(letters.length)]).join('')
}

function uuid(random: Random): string {
  return [8, 4, 4, 4, 12].map((count) => hexDigits(random, count)).join('-')
}

function serverNameBy(random: Random): string {
  return `${word(random)}@${uuid(random)}`
}
