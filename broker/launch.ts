/** Starts one server of this machine: data directory, log, TCP or NATS. */
import { EpochcastError } from '../proto/errors.ts'
import { type Address, address, serverId } from '../proto/ids.ts'
import { tickMs } from '../proto/machine/contract.ts'
import type { Shortage } from '../proto/shortage.ts'
import type { Sync } from '../proto/sync.ts'
import type { NatsOptions } from '../proto/transport/nats-options.ts'
import { natsServerAddress } from '../proto/transport/nats-subjects.ts'
import type { Transport, TransportHandler } from '../proto/transport/port.ts'
import { listenTcp } from '../proto/transport/tcp.ts'
import { formatHostPort } from '../proto/transport/tcp-address.ts'
import { connectionsMax } from './descriptors.ts'
import type { EngineClient } from './engines/client.ts'
import { type EngineConfig, openEngine } from './engines/open.ts'
import type { TopicDefaults } from './finder.ts'
import type { Limits } from './host.ts'
import { openDirectory } from './log/directory.ts'
import type { LostStorage } from './log/unflushed.ts'
import { Server } from './server.ts'

export interface LaunchOptions {
  readonly id: string
  /** Data directory, of this server alone. */
  readonly data: string
  /** When it flushes; `always` unless said otherwise. */
  readonly sync?: Sync
  /** The boot of this machine, or null where it is not known; what the system says unless said otherwise. */
  readonly boot?: string | null
  /** Where it listens on TCP. */
  readonly host?: string
  readonly port?: number
  /** It listens on NATS instead, under its id. */
  readonly nats?: NatsOptions
  /** Where others reach it, `host:port`, when that is not where it listens. */
  readonly advertise?: string
  /** Listens beyond loopback without TLS. */
  readonly insecure?: boolean
  /** Servers to introduce itself to; an empty server joins their cluster. */
  readonly seeds?: readonly string[]
  /** Servers in this process, which share its file descriptors; 1 unless said otherwise. */
  readonly servers?: number
  readonly defaults?: TopicDefaults
  readonly limits?: Partial<Limits>
  /** Decision engines outside of the cluster. */
  readonly engines?: readonly EngineConfig[]
  /** Milliseconds until a dead member of a topic is replaced, by the topic's mode; 0 for never. */
  readonly replaceDeadAfterMs?: { readonly recovery?: number; readonly masking?: number }
  /** The server, which belonged to no cluster, belongs to one. */
  readonly onJoined?: () => void
  readonly onFatal?: (error: Error) => void
  /** Called when the server begins to be short of something while it goes on, and when that is over. */
  readonly onShortage?: (shortage: Shortage, begins: boolean) => void
}

/** Dead members are replaced unless somebody says otherwise. */
const replaceDeadAfterMs = { recovery: 150, masking: 30_000 }

/** A server and everything that it holds open. */
export interface LaunchedServer {
  readonly server: Server
  readonly address: Address
  /** What it was before: set aside, because the machine stopped while not all of it was on disk. */
  readonly lost: LostStorage | null
  /** Ends it and gives its directory back. */
  stop(): Promise<void>
}

/**
 * @throws EpochcastError `EC_LOG_LOCKED`, `EC_LOG_FOREIGN`, `EC_LOG_COPIED`, `EC_LOG_FORMAT`, `EC_LOG_DAMAGED`, `EC_DISK_FAILED`,
 *   `EC_BAD_ARGUMENT` when the address is in use or not allowed
 */
export async function launch(options: LaunchOptions): Promise<LaunchedServer> {
  const { defaults, limits, onJoined, onFatal, onShortage, boot, sync = 'always' } = options
  const { at, listen } = await listening(options)
  const directory = await openDirectory(options.data, {
    serverId: serverId(options.id),
    ...(boot !== undefined && { boot }),
  })
  const engines: EngineClient[] = []
  try {
    for (const engine of options.engines ?? []) engines.push(await openEngine(engine))
    const store = directory.openLog({ sync })
    const server = await Server.start({
      id: options.id,
      storage: directory.identity.storage,
      store,
      sync,
      address: at,
      seeds: (options.seeds ?? []).map(address),
      listen,
      engines,
      ...(defaults && { defaults }),
      limits: { ...replacing(options), ...limits },
      ...(onJoined && { onJoined }),
      ...(onFatal && { onFatal }),
      ...(onShortage && { onShortage }),
    })
    const watch = directory.watch(store, (error) => server.fail(error))
    const stop = async () => {
      watch.stop()
      await server.stop()
      await directory.close()
    }
    return { server, address: at, lost: directory.lost, stop }
  } catch (error) {
    for (const engine of engines) await engine.close()
    await directory.close()
    throw error
  }
}

interface Listening {
  readonly at: Address
  readonly listen: (handler: TransportHandler) => Promise<Transport>
}

async function listening({ id, host, port, nats, advertise, insecure, servers }: LaunchOptions): Promise<Listening> {
  if (nats !== undefined) {
    // Loaded only where it is used.
    const { listenNats } = await import('../proto/transport/nats.ts')
    return { at: natsServerAddress(id), listen: (handler) => listenNats({ id, nats, handler }) }
  }
  if (host === undefined || port === undefined || port === 0)
    throw new EpochcastError('EC_BAD_ARGUMENT', 'a server that others find again needs a port of its own')
  const limits = { connectionsMax: connectionsMax(servers) }
  const [isInsecure, elsewhere] = [insecure !== undefined && { insecure }, advertise !== undefined && { advertise }]
  return {
    at: address(advertise ?? formatHostPort(host, port)),
    listen: (handler) => listenTcp({ host, port, handler, limits, ...isInsecure, ...elsewhere }),
  }
}

function replacing(options: LaunchOptions): Partial<Limits> {
  const { recovery, masking } = { ...replaceDeadAfterMs, ...options.replaceDeadAfterMs }
  return { recoveryReplaceTicks: Math.ceil(recovery / tickMs), maskingReplaceTicks: Math.ceil(masking / tickMs) }
}
