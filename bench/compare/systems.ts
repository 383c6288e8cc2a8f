/** What is set side by side, each as it is started for one measurement. */
import { Ours } from '../cluster/ours.ts'
import { Nats, natsVersion } from '../rivals/nats.ts'
import type { Peer } from '../rivals/peer.ts'
import { Redis, redisVersion, sentinelDownAfterMs } from '../rivals/redis.ts'
import type { Session } from '../session.ts'

export const families = ['nats', 'redis'] as const
export type Family = (typeof families)[number]

export const disturbances = ['planned', 'kill', 'freeze'] as const
/** What happens to it meanwhile; `load`: nothing, it is to be fast. */
export type Purpose = 'load' | (typeof disturbances)[number]

export interface System {
  readonly name: string
  readonly family: Family | 'ours'
  /** What an acknowledgement promises, in words. */
  readonly promise: string
  /** Whether members die and leads move under it too: one of each family is enough. */
  readonly isDisturbed: boolean
  start(session: Session, purpose: Purpose): Promise<Peer>
}

/** Servers beside the members, where members change. */
const spares = 3
const busyPatienceMs = 20_000
const patienceMs = 1_000

const nats = (name: string, promise: string, syncAlways: boolean, pipelined: boolean): System => ({
  name,
  family: 'nats',
  promise,
  isDisturbed: !syncAlways && !pipelined,
  start: (session) => Nats.start(session, { syncAlways, pipelined }),
})

const redis = (name: string, promise: string, always: boolean, wait: number): System => ({
  name,
  family: 'redis',
  promise,
  isDisturbed: always,
  start: (session, purpose) => {
    const sentinels = purpose === 'kill' || purpose === 'freeze'
    return Redis.start(session, {
      always,
      wait,
      sentinels,
      patienceMs: purpose === 'load' ? busyPatienceMs : patienceMs,
    })
  },
})

export const ours: System = {
  name: 'ours',
  family: 'ours',
  promise: 'flushed by 2 of 3 servers',
  isDisturbed: true,
  start: (session, purpose) => Ours.start(session, purpose === 'planned' ? spares : 0),
}

export const systems: readonly System[] = [
  ours,
  nats('natsFile', 'written by 2 of 3 servers, not flushed (its default)', false, false),
  nats('natsFilePipelined', 'the same, without waiting for the library', false, true),
  nats('natsSyncAlways', 'flushed by 2 of 3 servers', true, false),
  nats('natsSyncAlwaysPipelined', 'the same, without waiting for the library', true, true),
  redis('redisAlways', 'flushed by the primary, received by 1 of 2 replicas', true, 1),
  redis('redisDefaults', 'in the memory of the primary (its default)', false, 0),
]

/** Server versions that are installed here; null: none. */
export function versions(): Record<Family, string | null> {
  return { nats: natsVersion(), redis: redisVersion() }
}

/** What was set other than by default, to be said beside the figures. */
export const settings = {
  redis: `sentinel down-after-milliseconds ${sentinelDownAfterMs} (default 30000); a client gives its connection up after ${patienceMs} ms`,
  nats: 'client pings every 1000 ms, twice (default 120000)',
} as const
