/** What a server is given, and how that is checked. */
import { type Check, having, listOf, method } from '../proto/door/checks.ts'
import { requiring } from '../proto/door/options.ts'
import type { EpochcastError, InvariantViolation } from '../proto/errors.ts'
import { type Address, serverId, serverName } from '../proto/ids.ts'
import type { Clock, Random } from '../proto/machine/ports.ts'
import type { Store } from '../proto/machine/store.ts'
import type { Shortage } from '../proto/shortage.ts'
import type { Sync } from '../proto/sync.ts'
import type { Transport, TransportHandler } from '../proto/transport/port.ts'
import { address, addresses, defaults, limits, sync } from './door/options.ts'
import type { EngineClient } from './engines/client.ts'
import type { TopicDefaults } from './finder.ts'
import type { Limits } from './host.ts'

export interface ServerOptions {
  readonly id: string
  /** UUID of the storage behind `store`. */
  readonly storage: string
  readonly store: Store
  /** When `store` flushes; `always` unless said otherwise. */
  readonly sync?: Sync
  /** Begins to listen; called once everything that is on disk has been read. */
  readonly listen: (handler: TransportHandler) => Promise<Transport>
  /** Where this server will be reached, as far as that is known before it listens. */
  readonly address: Address
  /** Servers to introduce itself to. An empty server joins the cluster of the first that belongs to one. */
  readonly seeds?: readonly Address[]
  readonly defaults?: TopicDefaults
  readonly limits?: Partial<Limits>
  /** Decision engines outside of the cluster; closed with the server. */
  readonly engines?: readonly EngineClient[]
  readonly random?: Random
  readonly clock?: Clock
  /** This server, which belonged to no cluster, belongs to one. */
  readonly onJoined?: () => void
  /** This server goes on without something that it needs, and is no longer without it; not called for every refusal. */
  readonly onShortage?: (shortage: Shortage, begins: boolean) => void
  /** The disk failed or a rule of the protocol does not hold; the server has stopped speaking. */
  readonly onFatal?: (error: EpochcastError | InvariantViolation | Error) => void
}

const id: Check<string> = (value) => serverId(value as string)
const storage: Check<string> = (value) => {
  serverName(serverId('any'), value as string)
  return value as string
}

export const serverOptions = requiring<ServerOptions, 'id' | 'storage' | 'store' | 'listen' | 'address'>(
  'Server.start',
  {
    ...{ id, storage, sync, address, seeds: addresses, defaults, limits },
    ...{ listen: method, onJoined: method, onShortage: method, onFatal: method },
    store: having<Store>('append', 'flush', 'admits', 'read', 'recover', 'idle', 'onFailure', 'close'),
    engines: listOf(having<EngineClient>('check', 'propose', 'read', 'close')),
    random: having<Random>('below'),
    clock: having<Clock>('nowMs'),
  },
  ['id', 'storage', 'store', 'listen', 'address'],
)
