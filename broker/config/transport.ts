/** What a configuration file says about NATS as the transport. */
import { resolve } from 'node:path'
import { checkNatsOptions, type NatsOptions, natsProblem, natsServer } from '../../proto/transport/nats-options.ts'
import type { RawTransport } from './schema.ts'

/** How NATS is reached, as it is written. */
type RawNats = Omit<Partial<RawTransport>, 'type'>

type Complain = (path: readonly PropertyKey[], text: string) => void

/** Complains about what does not fit together under `transport`. */
export function checkTransport(raw: Partial<RawTransport>, complain: Complain): void {
  const { type, ...rest } = raw
  if (type === 'tcp') {
    const [key] = Object.keys(rest)
    if (key !== undefined) complain(['transport', key], 'is about NATS, and the type is tcp')
    return
  }
  if (type !== 'nats') return
  checkNats(['transport'], rest, complain)
}

/** Complains about what does not fit together where NATS is said how to be reached. */
export function checkNats(path: readonly PropertyKey[], raw: RawNats, complain: Complain): void {
  if (raw.servers === undefined) complain([...path, 'servers'], 'is missing, e.g. servers: 127.0.0.1:4222')
  const servers = listOf(raw)
  const bad = servers.findIndex((server) => natsServer(server) === null)
  if (bad >= 0) {
    const place = Array.isArray(raw.servers) ? [...path, 'servers', bad] : [...path, 'servers']
    complain(place, `${JSON.stringify(servers[bad])} is not host:port`)
    return
  }
  const problem = servers.length === 0 ? null : natsProblem(optionsOf(raw, servers))
  if (problem !== null) complain(path, problem)
}

/** Null where the transport is TCP. Paths are relative to `base`. */
export function natsOf(raw: RawTransport | undefined, base: string): NatsOptions | null {
  if (raw === undefined || raw.type === 'tcp') return null
  const { type: _type, ...rest } = raw
  return natsOptions(rest, base)
}

/** Paths are relative to `base`. */
export function natsOptions(raw: RawNats, base: string): NatsOptions {
  const { creds, nkey, tls, ...rest } = optionsOf(raw, listOf(raw))
  const path = (file: string) => resolve(base, file)
  return checkNatsOptions({
    ...rest,
    ...(creds !== undefined && { creds: path(creds) }),
    ...(nkey !== undefined && { nkey: path(nkey) }),
    ...(tls && { tls: Object.fromEntries(Object.entries(tls).map(([key, file]) => [key, path(file)])) }),
  })
}

function listOf({ servers }: RawNats): readonly string[] {
  if (servers === undefined) return []
  return typeof servers === 'string' ? servers.split(',').map((one) => one.trim()) : servers
}

/** What is left out is not there at all. */
function optionsOf({ servers: _servers, tls, ...rest }: RawNats, servers: readonly string[]): NatsOptions {
  const known = <T extends object>(of: T) =>
    Object.fromEntries(Object.entries(of).filter(([, value]) => value !== undefined)) as {
      [Key in keyof T]: NonNullable<T[Key]>
    }
  return { servers, ...known(rest), ...(tls && { tls: known(tls) }) }
}
