/** How a cluster is made, and how that is checked. */
import type { Decider } from '../proto/configuration.ts'
import { outsideEngine } from '../proto/decider.ts'
import { type Check, decider, duration, method } from '../proto/door/checks.ts'
import { requiring } from '../proto/door/options.ts'
import { refusal } from '../proto/door/refusal.ts'
import type { Address } from '../proto/ids.ts'
import type { Transport, TransportHandler } from '../proto/transport/port.ts'
import { serverAddresses } from './door/options.ts'

export interface BootstrapOptions {
  /** Every server of the cluster, once. */
  readonly servers: readonly Address[]
  readonly dial: (name: string, handler: TransportHandler) => Transport | Promise<Transport>
  /** Milliseconds until it gives up, 10,000 unless said otherwise; `Infinity` for no end. */
  readonly timeoutMs?: number
  /** Who decides about new topics, for ever: an engine outside of the cluster with its instance; the arbiters without it. */
  readonly decider?: Decider
}

const founding: Check<Decider> = (value, what) => {
  const who = decider(value, what)
  if (who === 'engine' || (outsideEngine(who)?.instance ?? null) !== null) return who
  throw refusal(`${what} ${who} cannot decide about new topics`, 'engine (the arbiters), or engine:ID@INSTANCE')
}

const some: Check<readonly Address[]> = (value, what) => {
  const servers = serverAddresses(value, what)
  if (servers.length > 0) return servers
  throw refusal(`${what} name no server`)
}

export const bootstrapOptions = requiring<BootstrapOptions, 'servers' | 'dial'>(
  'bootstrap',
  { servers: some, dial: method, timeoutMs: duration, decider: founding },
  ['servers', 'dial'],
)
