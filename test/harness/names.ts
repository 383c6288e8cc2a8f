/** Short, stable names for what has random ids: messages by their values, servers by their ids, sets as {a,b,c}. */
import type { Configuration, Decision } from '../../proto/configuration.ts'
import { type Epoch, formatMessageId, isSystemPublisher, type MessageId, sequence } from '../../proto/ids.ts'
import type { MessageSet } from '../../proto/message-set.ts'
import type { Stake } from '../../proto/stake.ts'
import { messagesOf } from '../../sim/world/client-node.ts'
import type { WorldEvent } from '../../sim/world/events.ts'
import type { World } from '../../sim/world/world.ts'

export class Names {
  readonly #world: World
  readonly #values = new Map<string, string>()
  readonly #ids = new Map<string, MessageId[]>()

  /** Learns the values from the batches that clients send. */
  constructor(world: World) {
    this.#world = world
    world.watchers.push((event) => this.#see(event))
  }

  valueOf(id: MessageId): string {
    return this.#values.get(formatMessageId(id)) ?? '?'
  }

  /** Every Add of this value, oldest first. */
  idsOf(value: string): readonly MessageId[] {
    return this.#ids.get(value) ?? []
  }

  values(of: Epoch, set: MessageSet): string[] {
    const values: string[] = []
    for (const [publisher, { end }] of set) {
      if (isSystemPublisher(publisher)) continue
      for (let number = 1; number <= end; number++) {
        values.push(this.valueOf({ epoch: of, publisher, sequence: sequence(number) }))
      }
    }
    return values
  }

  set(of: Epoch, set: MessageSet): string {
    return braces(this.values(of, set))
  }

  servers(members: Iterable<{ readonly name: Configuration['members'][number]['name'] }>): string {
    return braces([...members].map(({ name }) => this.#world.short(name)))
  }

  configuration(of: Configuration): string {
    return `epoch ${of.epoch} ${of.mode} ${this.servers(of.members)}`
  }

  decision(of: Decision): string {
    const closed = (of.next.epoch - 1) as Epoch
    return `${this.configuration(of.next)}, closing ${this.set(closed, of.closing)}`
  }

  /** Change ids that nobody chose are left out of what is printed. */
  change(id: string): string {
    return id.startsWith('create-') ? 'creation' : id
  }

  stake({ round, coordinator }: Stake): string {
    return `${round}/${this.#world.short(coordinator)}`
  }

  /** Takes storages out of a text. */
  plain(text: string): string {
    return text.replaceAll(/@[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '')
  }

  #see(event: WorldEvent): void {
    if (event.what !== 'send' || event.parcel.kind !== 'batch' || !this.#world.clients.has(event.parcel.from)) return
    const { message } = event.parcel
    if (message.kind !== 'batch') return
    for (const { id, value } of messagesOf(message)) {
      const text = formatMessageId(id)
      if (this.#values.has(text)) continue
      this.#values.set(text, value)
      this.#ids.set(value, [...(this.#ids.get(value) ?? []), id])
    }
  }
}

export function braces(values: readonly string[]): string {
  return `{${[...values].sort().join(',')}}`
}
