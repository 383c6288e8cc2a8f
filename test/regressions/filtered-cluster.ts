/**
 * A cluster in this process whose frames can be watched, lost, repeated, and made up by a stranger. It stands between the
 * endpoints and the network, so servers and clients run as they are.
 */
import { crc32 } from 'node:zlib'
import { Cluster, type ClusterOptions } from '../../broker/dev/cluster.ts'
import { type Address, address, epoch, type PublisherId, type TopicName } from '../../proto/ids.ts'
import type { MemoryNetwork } from '../../proto/transport/memory.ts'
import { decodeFrame, encodeEnvelope, encodeMessage } from '../../proto/wire/codec.ts'
import type { Batch, Message } from '../../proto/wire/messages.ts'

/** A frame that somebody has just sent. */
export interface Passing {
  readonly from: Address
  readonly to: Address
  readonly message: Message
  /** Sends the same bytes again, past all filters. */
  repeat(to?: Address): void
}

/** Somebody who is neither a server nor a client of ours, and says whatever a test wants. */
export interface Stranger {
  readonly answers: readonly Message[]
  say(servers: readonly string[], message: Message): void
  forget(): void
}

type Carry = MemoryNetwork['carry']

export class FilteredCluster extends Cluster {
  readonly #watchers = new Set<(frame: Passing) => void>()
  readonly #losses = new Set<(frame: Passing) => boolean>()
  #clusterId = ''

  override async boot(): Promise<void> {
    const carry: Carry = this.network.carry.bind(this.network)
    this.network.carry = (from, to, bytes) => {
      if (this.#watchers.size === 0 && this.#losses.size === 0) return carry(from, to, bytes)
      const { message } = decodeFrame(bytes)
      const repeat = (other: Address = to) => void carry(from, other, bytes)
      const frame: Passing = { from: from.address, to, message, repeat }
      for (const told of this.#watchers) told(frame)
      // Every filter sees every frame, also those that another one has lost.
      const verdicts = [...this.#losses].map((isLost) => isLost(frame))
      return verdicts.includes(true) ? false : carry(from, to, bytes)
    }
    await super.boot()
    const probe = await this.connect()
    this.#clusterId = probe.cluster
    await probe.close()
  }

  /** @returns a function that ends it */
  watch(told: (frame: Passing) => void): () => void {
    this.#watchers.add(told)
    return () => this.#watchers.delete(told)
  }

  /** Loses the frames for which `isLost` is true. @returns a function that ends it */
  lose(isLost: (frame: Passing) => boolean): () => void {
    this.#losses.add(isLost)
    return () => this.#losses.delete(isLost)
  }

  stranger(name = 'stranger'): Stranger {
    const answers: Message[] = []
    const frame = (_from: Address, bytes: Uint8Array) => void answers.push(decodeFrame(bytes).message)
    const transport = this.network.attach(address(`client:${name}`), { frame, peer: () => {} })
    const say = (servers: readonly string[], message: Message) => {
      const cluster = this.#clusterId as Parameters<typeof encodeEnvelope>[0]['cluster']
      const parts = [encodeEnvelope({ cluster, from: name, token: 0 }), ...encodeMessage(message)]
      for (const id of servers) transport.send(at(id), parts)
    }
    return { answers, say, forget: () => void answers.splice(0) }
  }
}

export async function createFilteredCluster(options: ClusterOptions = {}): Promise<FilteredCluster> {
  const cluster = new FilteredCluster(options)
  await cluster.boot()
  return cluster
}

/** Where a server is. */
export function at(id: string): Address {
  return address(`server-${id}:1`)
}

export function isClient(of: Address): boolean {
  return of.startsWith('client:')
}

/** A batch of epoch 1, with a check that fits its body. */
export function batchOf(publisher: string, first: number, last: number, body: Uint8Array): Batch {
  return {
    kind: 'batch',
    topic: 't' as TopicName,
    epoch: epoch(1),
    publisher: publisher as PublisherId,
    first,
    last,
    time: 0,
    check: crc32(body),
    body,
  }
}

/** A body of that many entries, each the letter A. */
export function bodyOf(count: number): Uint8Array {
  return Buffer.concat(Array.from({ length: count }, () => Buffer.from([2, 0, 65])))
}
