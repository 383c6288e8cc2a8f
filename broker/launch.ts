/** Starts one server of this machine: data directory, log, TCP. */
import { EpochcastError } from '../proto/errors.ts'
import { type Address, address, serverId } from '../proto/ids.ts'
import { tickMs } from '../proto/machine/contract.ts'
import { listenTcp } from '../proto/transport/tcp.ts'
import { formatHostPort } from '../proto/transport/tcp-address.ts'
import type { TopicDefaults } from './finder.ts'
import type { Limits } from './host.ts'
import { openDirectory, openLog } from './log/directory.ts'
import { Server } from './server.ts'

export interface LaunchOptions {
  readonly id: string
  /** Data directory, of this server alone. */
  readonly data: string
  readonly host: string
  readonly port: number
  /** Where others reach it, `host:port`, when that is not where it listens. */
  readonly advertise?: string
  /** Listens beyond loopback without TLS. */
  readonly insecure?: boolean
  /** Servers to introduce itself to; an empty server joins their cluster. */
  readonly seeds?: readonly string[]
  readonly defaults?: TopicDefaults
  readonly limits?: Partial<Limits>
  /** Milliseconds until a dead member of a topic is replaced, by the topic's mode; 0 for never. */
  readonly replaceDeadAfterMs?: { readonly recovery?: number; readonly masking?: number }
  readonly onFatal?: (error: Error) => void
}

/** Dead members are replaced unless somebody says otherwise. */
const replaceDeadAfterMs = { recovery: 150, masking: 30_000 }

/** A server and everything that it holds open. */
export interface LaunchedServer {
  readonly server: Server
  readonly address: Address
  /** Ends it and gives its directory back. */
  stop(): Promise<void>
}

/**
 * @throws EpochcastError `EC_LOG_LOCKED`, `EC_LOG_FOREIGN`, `EC_LOG_FORMAT`, `EC_LOG_DAMAGED`, `EC_DISK_FAILED`,
 *   `EC_BAD_ARGUMENT` when the address is in use or not allowed
 */
export async function launch(options: LaunchOptions): Promise<LaunchedServer> {
  const { host, port, advertise, defaults, limits, onFatal, insecure } = options
  if (port === 0) throw new EpochcastError('EC_BAD_ARGUMENT', 'a server that others find again needs a port of its own')
  const directory = await openDirectory(options.data, { serverId: serverId(options.id) })
  try {
    const at = address(advertise ?? formatHostPort(host, port))
    const store = openLog(directory)
    const server = await Server.start({
      id: options.id,
      storage: directory.identity.storage,
      store,
      address: at,
      seeds: (options.seeds ?? []).map(address),
      listen: (handler) =>
        listenTcp({
          host,
          port,
          handler,
          ...(insecure !== undefined && { insecure }),
          ...(advertise && { advertise }),
        }),
      ...(defaults && { defaults }),
      limits: { ...replacing(options), ...limits },
      ...(onFatal && { onFatal }),
    })
    const stop = async () => {
      await server.stop()
      await directory.close()
    }
    return { server, address: at, stop }
  } catch (error) {
    await directory.close()
    throw error
  }
}

function replacing(options: LaunchOptions): Partial<Limits> {
  const { recovery, masking } = { ...replaceDeadAfterMs, ...options.replaceDeadAfterMs }
  return { recoveryReplaceTicks: Math.ceil(recovery / tickMs), maskingReplaceTicks: Math.ceil(masking / tickMs) }
}
