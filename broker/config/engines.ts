/** What a configuration file says about decision engines outside of the cluster. */

import { didYouMean } from '../../proto/closest.ts'
import { type Decider, outsideEngine } from '../../proto/decider.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { type EngineConfig, engineWord } from '../engines/open.ts'
import { checkRedisUrl } from '../engines/redis-url.ts'
import type { RawEngine } from './schema.ts'
import { checkNats, natsOptions } from './transport.ts'

type Complain = (path: readonly PropertyKey[], text: string) => void

const keysOf = {
  redis: ['type', 'url', 'password', 'prefix', 'force'],
  jetstream: [
    ...['type', 'servers', 'user', 'password', 'token', 'creds', 'nkey', 'tls'],
    ...['stream', 'prefix', 'replicas'],
  ],
} as const

/** Complains about what does not fit together under `engines`. */
export function checkEngines(engines: Readonly<Record<string, Partial<RawEngine>>>, complain: Complain): void {
  for (const [id, engine] of Object.entries(engines)) {
    const { type } = engine
    if (type === undefined) continue
    const path = ['engines', id]
    const known: readonly string[] = keysOf[type]
    for (const key of Object.keys(engine)) {
      if (!known.includes(key)) complain([...path, key], `is not about ${type}; there are ${known.join(', ')}`)
    }
    if (type === 'redis') checkRedis(path, engine, complain)
    else {
      const { user, password, token, creds, nkey, tls, servers } = engine
      checkNats(path, { user, password, token, creds, nkey, tls, servers }, complain)
    }
    const prefix = engine.prefix ?? ''
    if (prefix !== '' && !engineWord.test(prefix)) {
      complain([...path, 'prefix'], `${JSON.stringify(prefix)} must be 1 to 32 letters, digits, "-" or "_"`)
    }
  }
}

function checkRedis(path: readonly string[], { url }: Partial<RawEngine>, complain: Complain): void {
  if (url === undefined) return complain([...path, 'url'], 'is missing, e.g. url: redis://127.0.0.1:6379')
  try {
    checkRedisUrl(url)
  } catch (error) {
    if (!(error instanceof EpochcastError)) throw error
    complain([...path, 'url'], error.message)
  }
}

/** A name that stands for an engine: it has to be one of those above. */
export function checkEngineName(
  path: readonly PropertyKey[],
  decider: Decider | undefined,
  engines: readonly string[],
  complain: Complain,
): void {
  const id = decider === undefined ? undefined : outsideEngine(decider)?.id
  if (id === undefined || engines.includes(id)) return
  const known = engines.length === 0 ? '; name it under engines' : `; there are ${engines.join(', ')}`
  complain(path, `no engine is called ${id}${didYouMean(id, engines) || known}`)
}

/** Paths are relative to `base`. */
export function engineConfigOf(id: string, raw: RawEngine, base: string): EngineConfig {
  const { type, url, password, prefix, force, stream, replicas, ...nats } = raw
  const common = { id, ...(prefix !== undefined && { prefix }) }
  if (type === 'redis') {
    const given = { ...(password !== undefined && { password }), ...(force !== undefined && { force }) }
    return { type, ...common, url: url ?? '', ...given }
  }
  const given = { ...(stream !== undefined && { stream }), ...(replicas !== undefined && { replicas }) }
  return { type, ...natsOptions({ ...nats, ...(password !== undefined && { password }) }, base), ...common, ...given }
}
