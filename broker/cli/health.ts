/** What the state of its replicas means for a topic. */
import type { ReplicaInfo, ServerInfo } from '../../client-sdk/index.ts'
import { type Configuration, operationQuorum } from '../../proto/configuration.ts'
import { count, idsOf, list } from './describe.ts'

export interface Health {
  /** open: takes messages; changing: between two epochs; full: too few disks have room; stopped: too few members answer. */
  readonly state: 'open' | 'changing' | 'full' | 'stopped'
  readonly silent: readonly string[]
  /** Members whose disks are full. */
  readonly full: readonly string[]
  /** Further failures that lose nothing. */
  readonly toleratesNow: number
  /** Further failures after which it still takes messages without an epoch change. */
  readonly staysOpenFor: number
  readonly text: string
}

export function healthOf(
  configuration: Configuration,
  replicas: readonly ReplicaInfo[],
  servers: readonly ServerInfo[],
): Health {
  // A member that holds nothing of the topic, after it lost its disk, is no better than one that does not answer.
  const isGone = ({ phase }: ReplicaInfo) => phase === 'silent' || phase === 'absent'
  const silent = replicas.filter(isGone).map(({ server }) => server)
  const isOpen = ({ phase, epoch }: ReplicaInfo) => phase === 'open' && epoch === configuration.epoch
  const full = idsOf(configuration).filter((id) => servers.some((one) => one.id === id && isFull(one)))
  const opened = replicas.filter(isOpen)
  const open = opened.filter(({ server }) => !full.includes(server)).length
  const wedged = replicas.some(({ phase }) => phase === 'wedged' || phase === 'closed')
  const quorum = operationQuorum(configuration)
  const alive = replicas.length - silent.length
  // Fault-recovery has everything on each member; fault-masking needs a majority to know what is complete.
  const needed = configuration.mode === 'fault-masking' ? quorum : 1
  const toleratesNow = Math.max(0, alive - needed)
  const staysOpenFor = Math.max(0, open - quorum)
  const base = { silent, full, toleratesNow, staysOpenFor }
  if (open >= quorum) {
    const text = openText(configuration, toleratesNow, staysOpenFor)
    return { ...base, state: 'open', text: full.length === 0 ? text : `${text}; ${fullText(full)}` }
  }
  if (opened.length >= quorum) {
    const what = `takes no messages until there is space, or until it is moved: epochcast reconfig ${configuration.topic}`
    return { ...base, state: 'full', text: `${fullText(full)}: ${what} --members …` }
  }
  if (wedged && alive >= needed) {
    return { ...base, state: 'changing', text: 'the epoch is being ended; publishers wait for the next one' }
  }
  return { ...base, state: 'stopped', text: stoppedText(configuration, silent, alive, needed) }
}

function isFull({ shortages }: ServerInfo): boolean {
  return shortages.includes('space')
}

function fullText(full: readonly string[]): string {
  return `the ${full.length === 1 ? 'disk' : 'disks'} of ${list(full)} ${full.length === 1 ? 'is' : 'are'} full`
}

function openText({ mode }: Configuration, toleratesNow: number, staysOpenFor: number): string {
  const loses = `takes messages; loses nothing at ${count(toleratesNow, 'further failure')}`
  if (mode === 'fault-masking') return toleratesNow === 0 ? 'takes messages, but tolerates no further failure' : loses
  return staysOpenFor === 0 ? `${loses}; stops at the next one until it is reconfigured` : loses
}

function stoppedText(configuration: Configuration, silent: readonly string[], alive: number, needed: number): string {
  const who = `${list(silent)} ${silent.length === 1 ? 'does' : 'do'} not answer, or ${silent.length === 1 ? 'has' : 'have'} lost the disk`
  if (alive < needed) return `${who}: start ${silent.length === 1 ? 'it' : 'them'} again`
  const { topic } = configuration
  return `${who}: start ${silent.length === 1 ? 'it' : 'them'} again, or: epochcast reconfig ${topic} --members …`
}
