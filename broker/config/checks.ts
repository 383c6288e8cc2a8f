/** What must fit together in a configuration file although each part is well-formed. */
import { resolve } from 'node:path'
import { didYouMean } from '../../proto/closest.ts'
import { checkMembership, defaultSizes, type Mode } from '../../proto/configuration.ts'
import { EpochcastError } from '../../proto/errors.ts'
import { isLoopback, isWildcard, parseHostPort } from '../../proto/transport/tcp-address.ts'
import { checkEngineName, checkEngines } from './engines.ts'
import type { RawEngine, RawServer, RawTopic, RawTransport } from './schema.ts'
import { checkTransport } from './transport.ts'

export type Complain = (path: readonly PropertyKey[], text: string) => void

/** What is well-formed in a file; the rest has been complained about. */
export interface WellFormed {
  readonly servers: Readonly<Record<string, Partial<RawServer>>>
  readonly transport: Partial<RawTransport>
  readonly engines: Readonly<Record<string, Partial<RawEngine>>>
  /** The one that decides about new topics. */
  readonly engine: string | undefined
  readonly defaults: RawTopic
  readonly topics: Readonly<Record<string, RawTopic>>
  /** Whether something under this path was ill-formed and is left out here. */
  lacks(path: readonly PropertyKey[]): boolean
}

/** @param base directory that paths are relative to */
export function crossCheck(config: WellFormed, base: string, complain: Complain): void {
  checkTransport(config.transport, complain)
  checkEngines(config.engines, complain)
  checkEngineNames(config, complain)
  if (!config.lacks(['cluster'])) checkServers(config, base, complain)
  const { mode, size } = config.defaults
  if (mode !== undefined || size !== undefined) checkTopic(['defaults'], config.defaults, config, complain)
  for (const [name, topic] of Object.entries(config.topics)) checkTopic(['topics', name], topic, config, complain)
}

/** A file that only says what topics are to be leaves it to the servers which engines there are. */
function checkEngineNames(config: WellFormed, complain: Complain): void {
  const known = Object.keys(config.engines)
  if (config.lacks(['engines']) || (known.length === 0 && config.lacks(['cluster']))) return
  const check = (path: readonly PropertyKey[], of: RawTopic) =>
    checkEngineName([...path, 'decider'], of.decider, known, complain)
  check(['defaults'], config.defaults)
  for (const [name, topic] of Object.entries(config.topics)) check(['topics', name], topic)
  if (config.engine !== undefined) checkEngineName(['cluster', 'engine'], `engine:${config.engine}`, known, complain)
}

function checkServers(config: WellFormed, base: string, complain: Complain): void {
  const servers = Object.entries(config.servers)
  if (servers.length === 0) complain(['cluster', 'servers'], 'there is no server')
  const byAddress = new Map<string, string>()
  const byData = new Map<string, string>()
  for (const [id, server] of servers) {
    const path = ['cluster', 'servers', id]
    if (config.transport.type === 'nats') checkThroughNats(path, server, complain)
    else if (!config.lacks(['transport', 'type'])) checkThroughTcp(path, server, config, complain)
    const { listen, advertise, data } = server
    const reached = advertise ?? listen
    const neighbour = reached === undefined ? undefined : claim(byAddress, reached, id)
    if (neighbour !== undefined) {
      complain(
        [...path, advertise === undefined ? 'listen' : 'advertise'],
        `server ${neighbour} has ${reached} already`,
      )
    }
    const owner = data === undefined ? undefined : claim(byData, resolve(base, data), id)
    if (owner !== undefined)
      complain([...path, 'data'], `server ${owner} has it already; each needs a directory of its own`)
  }
}

/** A server on NATS listens to subjects, not to a port. */
function checkThroughNats(path: readonly string[], server: Partial<RawServer>, complain: Complain): void {
  for (const key of ['listen', 'advertise', 'insecure'] as const) {
    if (server[key] !== undefined) complain([...path, key], 'is about TCP, and the transport is nats: leave it out')
  }
}

function checkThroughTcp(
  path: readonly string[],
  server: Partial<RawServer>,
  config: WellFormed,
  complain: Complain,
): void {
  if (server.listen !== undefined) checkListen(path, server, complain)
  else if (!config.lacks([...path, 'listen'])) complain([...path, 'listen'], 'is missing')
}

function checkListen(path: readonly string[], server: Partial<RawServer>, complain: Complain): void {
  const { listen, advertise, insecure } = server
  const host = parseHostPort(listen ?? '')?.host
  if (host === undefined) return
  if (!isLoopback(host) && insecure !== true) {
    complain([...path, 'listen'], `${listen} is beyond loopback, where nothing is encrypted: that takes insecure: true`)
  }
  const reached = advertise ?? listen ?? ''
  if (isWildcard(parseHostPort(reached)?.host ?? '')) {
    const key = advertise === undefined ? 'listen' : 'advertise'
    complain([...path, key], `nobody can reach ${reached}: say with advertise: host:port where others do`)
  }
}

/** @returns who has the key already, if somebody has */
function claim(owners: Map<string, string>, key: string, id: string): string | undefined {
  const owner = owners.get(key)
  if (owner === undefined) owners.set(key, id)
  return owner
}

function checkTopic(path: readonly PropertyKey[], topic: RawTopic, config: WellFormed, complain: Complain): void {
  const serverIds = Object.keys(config.servers)
  for (const [at, member] of (topic.members ?? []).entries()) {
    if (serverIds.includes(member) || config.lacks(['cluster'])) continue
    complain([...path, 'members', at], `no server is called ${member}${didYouMean(member, serverIds)}`)
  }
  // Without a word that was meant to be here, the rest cannot be judged.
  if (['mode', 'size', 'members'].some((key) => config.lacks([...path, key]) || config.lacks(['defaults', key]))) return
  const mode = topic.mode ?? config.defaults.mode ?? 'fault-masking'
  checkSize(path, topic, mode, config, complain)
  if (topic.decider === 'stakes' && mode !== 'fault-masking') {
    complain([...path, 'decider'], `mode ${mode} cannot decide by stakes: leave decider out, or say engine`)
  }
}

function checkSize(
  path: readonly PropertyKey[],
  topic: RawTopic,
  mode: Mode,
  config: WellFormed,
  complain: Complain,
): void {
  const { members, minimum } = topic
  const defaultSize = (mode === config.defaults.mode ? config.defaults.size : undefined) ?? defaultSizes[mode]
  const size = members?.length ?? topic.size ?? defaultSize
  const sizePath = [...path, ...(members ? ['members'] : topic.size === undefined ? [] : ['size'])]
  if (members !== undefined && topic.size !== undefined && topic.size !== members.length) {
    complain([...path, 'size'], `size is ${topic.size}, but ${members.length} members are named; leave one of them out`)
  }
  const impossible = membershipProblem(mode, members, size)
  const serverCount = Object.keys(config.servers).length
  if (impossible !== null) complain(sizePath, impossible)
  else if (members === undefined && size > serverCount && !config.lacks(['cluster'])) {
    complain(sizePath, `${mode} on ${size} servers, but the cluster has ${serverCount}`)
  }
  if (minimum !== undefined && minimum > size) {
    complain([...path, 'minimum'], `${minimum} is more than the size, ${size}`)
  }
}

function membershipProblem(mode: Mode, members: readonly string[] | undefined, size: number): string | null {
  try {
    checkMembership(mode, members ?? Array.from({ length: size }, (_, at) => String(at)))
    return null
  } catch (error) {
    if (!(error instanceof EpochcastError)) throw error
    return error.message
  }
}
