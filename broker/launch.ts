/** Starts one server of this machine: data directory, log, TCP or NATS. */
import { EpochcastError } from '../proto/errors.ts'
import { type Address, address, serverId } from '../proto/ids.ts'
import { tickMs } from '../proto/machine/contract.ts'
import { natsServerAddress } from '../proto/transport/nats-subjects.ts'
import type { Transport, TransportHandler } from '../proto/transport/port.ts'
import { listenTcp } from '../proto/transport/tcp.ts'
import { formatHostPort } from '../proto/transport/tcp-address.ts'
import { connectionsMax } from './descriptors.ts'
import type { EngineClient } from './engines/client.ts'
import { openEngine } from './engines/open.ts'
import type { Limits } from './host.ts'
import { type LaunchOptions, launchOptions, noPlace } from './launch-options.ts'
import { openDirectory } from './log/directory.ts'
import type { LostStorage } from './log/unflushed.ts'
import { Server } from './server.ts'

export type { LaunchOptions } from './launch-options.ts'

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
 * @throws EpochcastError `EC_LOG_LOCKED`, `EC_LOG_FOREIGN`, `EC_LOG_COPIED`, `EC_LOG_FORMAT`, `EC_LOG_DAMAGED`, `EC_DISK_FULL`,
 *   `EC_DISK_FAILED`, `EC_BAD_ARGUMENT` for options, before anything is made, and when the address is in use
 */
export async function launch(given: LaunchOptions): Promise<LaunchedServer> {
  const options = launchOptions(given)
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
  if (host === undefined || port === undefined) throw new EpochcastError('EC_BAD_ARGUMENT', noPlace)
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
