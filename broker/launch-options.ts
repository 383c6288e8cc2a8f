/** What starts a server of this machine, and how that is checked. */
import { type Check, flag, method, server, text, whole } from '../proto/door/checks.ts'
import { natsOptions } from '../proto/door/nats.ts'
import { type Checks, optionsOf, requiring } from '../proto/door/options.ts'
import { refusal } from '../proto/door/refusal.ts'
import { address } from '../proto/ids.ts'
import type { Shortage } from '../proto/shortage.ts'
import { shown } from '../proto/shown.ts'
import type { Sync } from '../proto/sync.ts'
import type { NatsOptions } from '../proto/transport/nats-options.ts'
import { isNatsServer } from '../proto/transport/nats-subjects.ts'
import { checkListen } from '../proto/transport/tcp.ts'
import { parseHostPort } from '../proto/transport/tcp-address.ts'
import { engineConfigs } from './door/engines.ts'
import { addresses, checkEngines, defaults, limits, sync } from './door/options.ts'
import type { EngineConfig } from './engines/open.ts'
import type { TopicDefaults } from './finder.ts'
import type { Limits } from './host.ts'

export interface LaunchOptions {
  readonly id: string
  /** Data directory, of this server alone. */
  readonly data: string
  /** When it flushes; `always` unless said otherwise. */
  readonly sync?: Sync
  /** The boot of this machine, or null where it is not known; what the system says unless said otherwise. */
  readonly boot?: string | null
  /** Where it listens on TCP: both, unless it listens on NATS. */
  readonly host?: string
  readonly port?: number
  /** It listens on NATS instead, under its id; nothing that is about TCP is taken then. */
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

const path: Check<string> = (value, what) => {
  const given = text(4_096)(value, what)
  if (!given.includes('\0')) return given
  throw refusal(`${what} ${shown(given)} has a character in it that no path has`)
}
const hostPort: Check<string> = (value, what) => {
  if (typeof value === 'string' && parseHostPort(value) !== undefined) return value
  throw refusal(`${what} ${shown(value)} is not host:port`)
}
/** Null where it is not known. */
const boot: Check<string | null> = (value, what) => (value === null ? null : text(200)(value, what))
const patience = optionsOf<NonNullable<LaunchOptions['replaceDeadAfterMs']>>('replaceDeadAfterMs', {
  recovery: whole(0),
  masking: whole(0),
})

const checks: Checks<LaunchOptions> = {
  ...{ id: server, data: path, sync, boot, host: text(255), port: whole(1, 65_535), advertise: hostPort },
  ...{ nats: natsOptions, insecure: flag, seeds: addresses, servers: whole(1, 1_000) },
  ...{ defaults, limits, engines: engineConfigs, replaceDeadAfterMs: (value) => patience(value) },
  ...{ onJoined: method, onFatal: method, onShortage: method },
}
const launched = requiring<LaunchOptions, 'id' | 'data'>('launch', checks, ['id', 'data'])
export const noPlace = 'a server that others find again needs a host and a port of its own'
const aboutTcp = ['host', 'port', 'advertise', 'insecure'] as const

/** @throws EpochcastError `EC_BAD_ARGUMENT`, `EC_IMPOSSIBLE_MEMBERSHIP` for defaults that no topic could have */
export function launchOptions(given: LaunchOptions): LaunchOptions {
  const options = launched(given)
  if (options.nats === undefined) checkTcp(options)
  else checkNats(options)
  if (options.defaults !== undefined) {
    checkEngines(
      options.defaults,
      (options.engines ?? []).map(({ id }) => id),
    )
  }
  return options
}

function checkNats(options: LaunchOptions): void {
  const other = aboutTcp.find((name) => options[name] !== undefined)
  if (other !== undefined)
    throw refusal(`${other} is about TCP, and the server listens on NATS`, 'leave out one of both')
  const seed = options.seeds?.find((one) => !isNatsServer(address(one)))
  if (seed !== undefined) throw refusal(`seed ${shown(seed)} is not nats/ID, and the server listens on NATS`)
}

function checkTcp({ host, port, advertise, insecure, seeds }: LaunchOptions): void {
  if (host === undefined || port === undefined) {
    throw refusal(noPlace, 'say host and port, or nats')
  }
  checkListen({
    host,
    port,
    ...(advertise !== undefined && { advertise }),
    ...(insecure !== undefined && { insecure }),
  })
  for (const seed of seeds ?? []) hostPort(seed, 'seed')
}
