/** One YAML file says what a cluster is: its servers, what new topics are, and what certain topics are to be. */
import { readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import {
  type Decider,
  defaultDecider,
  defaultMode,
  defaultSizes,
  type Mode,
  type Order,
} from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { Sync } from '../../proto/sync.ts'
import type { NatsOptions } from '../../proto/transport/nats-options.ts'
import { natsServerAddress } from '../../proto/transport/nats-subjects.ts'
import type { EngineConfig } from '../engines/open.ts'
import { crossCheck, type WellFormed } from './checks.ts'
import { YamlDocument } from './document.ts'
import { engineConfigOf } from './engines.ts'
import { reportIssue } from './issues.ts'
import { ConfigError, type Mistake } from './mistakes.ts'
import { type RawConfig, type RawTopic, schema } from './schema.ts'
import { natsOf } from './transport.ts'

export interface ServerConfig {
  readonly id: string
  /** `host:port`; null where the transport is NATS. */
  readonly listen: string | null
  /** Where others reach it: `listen` unless said otherwise, `nats/ID` through NATS. */
  readonly address: string
  /** Absolute path of its data directory. */
  readonly data: string
  readonly insecure: boolean
  /** When it flushes. */
  readonly sync: Sync
}

/** What is left out is not said, and stays as it is where the topic runs already. */
export interface TopicConfig {
  readonly mode?: Mode
  readonly decider?: Decider
  readonly size?: number
  readonly members?: readonly string[]
  readonly membersMin?: number
  readonly order?: Order
}

export interface Config {
  /** Path as it was given, for messages. */
  readonly file: string
  readonly servers: readonly ServerConfig[]
  /** How NATS is reached, where it is the transport. */
  readonly nats: NatsOptions | null
  /** Decision engines outside of the cluster. */
  readonly engines: readonly EngineConfig[]
  /** The one that decides about new topics; null for the arbiters. */
  readonly engine: string | null
  readonly autoCreate: boolean
  /** When servers flush that the file does not name. */
  readonly sync: Sync
  /** Milliseconds until a dead member is replaced, by mode; left out where the file says nothing, 0 for never. */
  readonly replaceDeadAfterMs: { readonly recovery?: number; readonly masking?: number }
  readonly defaults: TopicConfig
  readonly topics: ReadonlyMap<string, TopicConfig>
}

/** What a topic is that does not run yet: nothing is left open. */
export interface NewTopic {
  readonly mode: Mode
  readonly decider: Decider
  readonly size: number
  /** Null where the cluster chooses them. */
  readonly members: readonly string[] | null
  readonly membersMin: number
  readonly order?: Order
}

/** Fills in what is left out: from the defaults where they are about the same mode, else from the mode. */
export function newTopic(
  config: Pick<Config, 'defaults'> & Partial<Pick<Config, 'engine' | 'servers'>>,
  topic: TopicConfig,
): NewTopic {
  const { defaults, engine, servers = [] } = config
  const usual = defaults.mode ?? (servers.length === 0 ? 'fault-masking' : defaultMode(servers.length))
  const mode = topic.mode ?? usual
  const alike: TopicConfig = mode === usual ? defaults : {}
  const members = topic.members ?? null
  const size = members?.length ?? topic.size ?? alike.size ?? defaultSizes[mode]
  const founding = engine ? (`engine:${engine}` as const) : 'engine'
  const decider = topic.decider ?? alike.decider ?? defaultDecider(mode, founding)
  const membersMin = topic.membersMin ?? Math.min(defaults.membersMin ?? 1, size)
  const order = topic.order ?? defaults.order
  return { mode, decider, size, members, membersMin, ...(order && { order }) }
}

const bytesMax = 4 * 1024 * 1024

/**
 * Reads and checks a configuration file. Paths in it are relative to it.
 * @throws EpochcastError `EC_BAD_CONFIG`: a `ConfigError` with every mistake, its line, column and key
 */
export async function loadConfig(file: string): Promise<Config> {
  return parseConfig(await read(file), file)
}

/** @param file path of the text, for messages and for the paths in it */
export function parseConfig(text: string, file: string): Config {
  const document = new YamlDocument(text)
  if (document.mistakes.length > 0) throw new ConfigError(file, document.mistakes)
  const mistakes: Mistake[] = []
  const complain = (path: readonly PropertyKey[], message: string) => {
    mistakes.push({ ...document.placeOf(path), key: path.map(String).join('.'), text: message })
  }
  const value = document.value ?? {}
  const parsed = schema.safeParse(value, { reportInput: true })
  for (const issue of parsed.error?.issues ?? []) reportIssue(issue, document, mistakes)
  const base = dirname(resolve(file))
  crossCheck(parsed.success ? allOf(parsed.data) : wellFormedOf(value, mistakes), base, complain)
  if (!parsed.success || mistakes.length > 0) throw new ConfigError(file, mistakes)
  return configOf(parsed.data, file, base)
}

function allOf({ cluster, transport, engines, defaults, topics }: RawConfig): WellFormed {
  const lacks = (path: readonly PropertyKey[]) => path[0] === 'cluster' && cluster === undefined
  return {
    servers: cluster?.servers ?? {},
    transport: transport ?? {},
    engines: engines ?? {},
    engine: cluster?.engine,
    defaults,
    topics: topics ?? {},
    lacks,
  }
}

/** What can be judged of a file with mistakes, so that all of them are reported at once. */
function wellFormedOf(value: unknown, mistakes: readonly Mistake[]): WellFormed {
  const bad = new Set(mistakes.map(({ key }) => key))
  const under = (path: string) =>
    [...bad].some((key) => key === path || key.startsWith(`${path}.`) || path.startsWith(`${key}.`))
  const part = (of: unknown, path: string): Record<string, unknown> =>
    isGroup(of) ? Object.fromEntries(Object.entries(of).filter(([key]) => !under(`${path}.${key}`))) : {}
  const parts = (of: unknown, path: string): Record<string, Record<string, unknown>> =>
    Object.fromEntries(Object.entries(isGroup(of) ? of : {}).map(([key, one]) => [key, part(one, `${path}.${key}`)]))
  const file = isGroup(value) ? value : {}
  const cluster = isGroup(file.cluster) ? file.cluster : {}
  return {
    servers: parts(cluster.servers, 'cluster.servers'),
    transport: part(file.transport, 'transport'),
    engines: parts(file.engines, 'engines'),
    engine: typeof cluster.engine === 'string' && !under('cluster.engine') ? cluster.engine : undefined,
    defaults: part(file.defaults, 'defaults'),
    topics: parts(file.topics, 'topics'),
    lacks: (path) => {
      const key = path.map(String).join('.')
      // A mistake inside one server leaves the list of servers as it is.
      if (key !== 'cluster') return under(key)
      return file.cluster === undefined || bad.has('cluster') || bad.has('cluster.servers')
    },
  }
}

function isGroup(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

async function read(file: string): Promise<string> {
  try {
    const bytes = await readFile(file)
    if (bytes.length > bytesMax) throw new EpochcastError('EC_BAD_CONFIG', `${file} has more than ${bytesMax} bytes`)
    return bytes.toString()
  } catch (error) {
    if (error instanceof EpochcastError) throw error
    throw new EpochcastError('EC_BAD_CONFIG', `${file} cannot be read: ${reasonOf(error)}`, { cause: error })
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of the path is a file',
  EACCES: 'this user may not read it (EACCES)',
}

/** Why a file could not be read, in words where there are some. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return ('code' in error && typeof error.code === 'string' && reasons[error.code]) || error.message
}

function configOf(raw: RawConfig, file: string, base: string): Config {
  const servers = Object.entries(raw.cluster?.servers ?? {}).map(
    ([id, { listen, data, advertise, insecure, sync }]) => ({
      id,
      listen: listen ?? null,
      address: advertise ?? listen ?? natsServerAddress(id),
      data: resolve(base, data),
      insecure: insecure ?? false,
      sync: sync ?? raw.sync,
    }),
  )
  const topics = Object.entries(raw.topics ?? {}).map(([name, topic]) => [name, topicOf(topic)] as const)
  const { 'fault-recovery': recovery, 'fault-masking': masking } = raw.replaceDeadAfterMs
  return {
    file,
    servers,
    nats: natsOf(raw.transport, base),
    engines: Object.entries(raw.engines ?? {}).map(([id, engine]) => engineConfigOf(id, engine, base)),
    engine: raw.cluster?.engine ?? null,
    autoCreate: raw.autoCreate,
    sync: raw.sync,
    replaceDeadAfterMs: { ...(recovery !== undefined && { recovery }), ...(masking !== undefined && { masking }) },
    defaults: topicOf(raw.defaults),
    topics: new Map(topics),
  }
}

function topicOf({ mode, decider, size, members, minimum, order }: RawTopic): TopicConfig {
  return {
    ...(mode && { mode }),
    ...(decider && { decider }),
    ...(size !== undefined && { size }),
    ...(members && { members }),
    ...(minimum !== undefined && { membersMin: minimum }),
    ...(order && { order }),
  }
}
