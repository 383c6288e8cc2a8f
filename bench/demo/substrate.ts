/** What carries the frames and decides the changes, where that is not this product: servers of NATS and Redis. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type NatsOptions, parseNatsUrl } from '../../proto/transport/nats-options.ts'
import { NatsServers, natsInstallHint, natsServerVersion } from '../peers/nats-server.ts'
import { RedisServer, redisInstallHint, redisServerVersion } from '../peers/redis-server.ts'
import type { DemoOptions } from './options.ts'

const engineId = 'outside'
const prefix = 'epochcast-demo'
const streamName = 'EPOCHCAST_DEMO'

export class Substrate {
  /** How servers and clients reach each other; null: TCP. */
  readonly nats: NatsOptions | null
  /** What every server is told. */
  readonly serveArgs: readonly string[]
  /** Who decides about the topic; null: what its mode says. */
  readonly decider: `engine:${string}` | null
  /** For people, empty where there is nothing to tell. */
  readonly about: string
  readonly #nats: NatsServers | null
  readonly #redis: RedisServer | null

  private constructor(
    nats: NatsServers | null,
    redis: RedisServer | null,
    options: Pick<Substrate, 'nats' | 'serveArgs' | 'decider' | 'about'>,
  ) {
    this.#nats = nats
    this.#redis = redis
    this.nats = options.nats
    this.serveArgs = options.serveArgs
    this.decider = options.decider
    this.about = options.about
  }

  /** @throws Error that says what to install where a server is needed that is not there */
  static async start(options: DemoOptions, folder: string): Promise<Substrate> {
    const { transport, engine } = options
    const needsNats = (transport === 'nats' || engine === 'nats') && options.nats === null
    const needsRedis = engine === 'redis' && options.redis === null
    if (needsNats && natsServerVersion() === null) throw new Error(`nats-server is not installed. ${natsInstallHint}`)
    if (needsRedis && redisServerVersion() === null)
      throw new Error(`redis-server is not installed. ${redisInstallHint}`)
    const nats = needsNats ? await NatsServers.start({ count: engine === 'nats' ? 3 : 1 }) : null
    let redis: RedisServer | null = null
    try {
      if (needsRedis) redis = await RedisServer.start()
      const natsUrl = nats?.url ?? options.nats
      const redisUrl = redis?.url ?? options.redis
      return new Substrate(nats, redis, {
        nats: transport === 'nats' && natsUrl !== null ? { ...parseNatsUrl(natsUrl), prefix } : null,
        serveArgs: await engineArgs(options, folder, natsUrl, redisUrl),
        decider: engine === 'built-in' ? null : `engine:${engineId}`,
        about: aboutOf(nats, redis, options),
      })
    } catch (error) {
      await Promise.all([nats?.close(), redis?.close()])
      throw error
    }
  }

  /** Whether there is a leader that may be killed. */
  get hasLeader(): boolean {
    return (this.#nats?.names.length ?? 0) > 1
  }

  /** Kills the NATS server that leads the decisions. @returns which one that was */
  async loseLeader(): Promise<string | null> {
    const leader = await this.#nats?.leader(streamName)
    if (leader === undefined) return null
    await this.#nats?.kill(leader)
    return leader
  }

  async restart(name: string): Promise<void> {
    await this.#nats?.restart(name)
  }

  async stop(): Promise<void> {
    await Promise.all([this.#nats?.close(), this.#redis?.close()])
  }

  /** For the last moment of this process. */
  killAll(): void {
    this.#nats?.killAll()
    this.#redis?.killNow()
  }
}

/** The engine stands in a configuration file that says nothing else. */
async function engineArgs(
  { engine }: DemoOptions,
  folder: string,
  natsUrl: string | null,
  redisUrl: string | null,
): Promise<readonly string[]> {
  if (engine === 'built-in') return []
  const file = join(folder, 'engine.yaml')
  const settings =
    engine === 'nats'
      ? { type: 'jetstream', servers: parseNatsUrl(natsUrl ?? '').servers, stream: streamName }
      : { type: 'redis', url: redisUrl }
  // JSON is YAML.
  await writeFile(file, `${JSON.stringify({ engines: { [engineId]: settings } })}\n`)
  return ['--config', file]
}

function aboutOf(nats: NatsServers | null, redis: RedisServer | null, { transport, engine }: DemoOptions): string {
  const natsText = nats === null ? 'NATS' : `nats-server ${natsServerVersion()} (${nats.names.length} started)`
  const redisText = redis === null ? 'Redis' : `redis-server ${redisServerVersion()} (started)`
  const carries = transport === 'nats' ? [`${natsText} carries the frames`] : []
  const decides = engine === 'built-in' ? [] : [`${engine === 'nats' ? natsText : redisText} decides the changes`]
  return [...carries, ...decides].join(', ')
}
