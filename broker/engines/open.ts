/** Engines as a configuration names them, opened. The libraries behind them are loaded when one is. */
import type { EngineClient } from './client.ts'
import type { JetStreamOptions } from './jetstream.ts'
import type { RedisOptions } from './redis.ts'

export type EngineConfig =
  | ({ readonly type: 'jetstream' } & JetStreamOptions)
  | ({ readonly type: 'redis' } & RedisOptions)

export const engineTypes = ['jetstream', 'redis'] as const

/** What the names are that an engine keeps its registers under: its prefix, its stream. */
export const engineWord: RegExp = /^[A-Za-z0-9_-]{1,32}$/

/** Does not wait for the engine. @throws EpochcastError `EC_BAD_ARGUMENT` */
export async function openEngine(config: EngineConfig): Promise<EngineClient> {
  if (config.type === 'redis') {
    const { RedisEngine } = await import('./redis.ts')
    return RedisEngine.open(config)
  }
  const { JetStreamEngine } = await import('./jetstream.ts')
  return new JetStreamEngine(config)
}
