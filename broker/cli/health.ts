/** What the state of its replicas means for a topic. */
import type { ReplicaInfo } from '../../client-sdk/index.ts'
import { type Configuration, operationQuorum } from '../../proto/configuration.ts'
import { count, list } from './describe.ts'

export interface Health {
  /** open: takes messages; changing: between two epochs; stopped: too few members answer. */
  readonly state: 'open' | 'changing' | 'stopped'
  readonly silent: readonly string[]
  /** Further failures that lose nothing. */
  readonly toleratesNow: number
  /** Further failures after which it still takes messages without an epoch change. */
  readonly staysOpenFor: number
  readonly text: string
}

export function healthOf(configuration: Configuration, replicas: readonly ReplicaInfo[]): Health {
  // A member that holds nothing of the topic, after it lost its disk, is no better than one that does not answer.
  const isGone = ({ phase }: ReplicaInfo) => phase === 'silent' || phase === 'absent'
  const silent = replicas.filter(isGone).map(({ server }) => server)
  const open = replicas.filter(({ phase, epoch }) => phase === 'open' && epoch === configuration.epoch).length
  const wedged = replicas.some(({ phase }) => phase === 'wedged' || phase === 'closed')
  const quorum = operationQuorum(configuration)
  const alive = replicas.length - silent.length
  // Fault-recovery has everything on each member; fault-masking needs a majority to know what is complete.
  const needed = configuration.mode === 'fault-masking' ? quorum : 1
  const toleratesNow = Math.max(0, alive - needed)
  const staysOpenFor = Math.max(0, open - quorum)
  const base = { silent, toleratesNow, staysOpenFor }
  if (open >= quorum) return { ...base, state: 'open', text: openText(configuration, toleratesNow, staysOpenFor) }
  if (wedged && alive >= needed) {
    return { ...base, state: 'changing', text: 'the epoch is being ended; publishers wait for the next one' }
  }
  return { ...base, state: 'stopped', text: stoppedText(configuration, silent, alive, needed) }
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
