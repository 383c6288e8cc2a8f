/** What the state of its replicas means for a topic. */
import type { ReplicaInfo, ServerInfo } from '../../client-sdk/index.ts'
import { type Configuration, enabledQuorum, operationQuorum } from '../../proto/configuration.ts'
import { count, fullText, idsOf, list } from './describe.ts'

export interface Health {
  /**
   * open: takes messages; changing: the epoch is being ended; starting: the next one is decided and has not begun; full: too few
   * disks have room; stopped: too few members answer.
   */
  readonly state: 'open' | 'changing' | 'starting' | 'full' | 'stopped'
  readonly silent: readonly string[]
  /** Members whose disks are full. */
  readonly full: readonly string[]
  /** Members of earlier epochs that have to stay up until the newest one has begun. */
  readonly needed: readonly string[]
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
  const members = replicas.filter(({ isOld }) => isOld !== true)
  const namesOf = (some: readonly ReplicaInfo[]) => some.map(({ server }) => server)
  const inPhase = (wanted: string, of: readonly ReplicaInfo[] = members) =>
    namesOf(of.filter(({ phase }) => phase === wanted))
  const needed = namesOf(replicas.filter(({ isOld }) => isOld === true))
  const silent = inPhase('silent', replicas)
  const full = idsOf(configuration).filter((id) => servers.some((one) => one.id === id && isFull(one)))
  // A member that holds nothing of the topic, after it lost its disk, is no better than one that does not answer.
  const gone = inPhase('silent').length + inPhase('absent').length
  const opened = members.filter(({ phase, epoch }) => phase === 'open' && epoch === configuration.epoch)
  const open = opened.filter(({ server }) => !full.includes(server)).length
  const wedged = members.some(({ phase }) => phase === 'wedged' || phase === 'closed')
  const quorum = operationQuorum(configuration)
  const alive = members.length - gone
  // Fault-recovery has everything on each member; fault-masking needs a majority to know what is complete.
  const least = configuration.mode === 'fault-masking' ? quorum : 1
  const toleratesNow = Math.max(0, alive - least)
  const staysOpenFor = Math.max(0, open - quorum)
  const base = { silent, full, needed, toleratesNow, staysOpenFor }
  if (open >= quorum) {
    const text = openText(configuration, toleratesNow, staysOpenFor)
    return { ...base, state: 'open', text: full.length === 0 ? text : `${text}; ${fullText(full)}` }
  }
  if (opened.length >= quorum) {
    const what = `takes no messages until there is space, or until it is moved: epochcast reconfig ${configuration.topic}`
    return { ...base, state: 'full', text: `${fullText(full)}: ${what} --members …` }
  }
  const starting = inPhase('starting')
  // What is lost or kept until it begins is decided by the members before.
  if (starting.length > 0 || needed.length > 0) {
    const none = { ...base, toleratesNow: 0, staysOpenFor: 0 }
    return { ...none, state: 'starting', text: startingText(configuration, starting, needed, silent) }
  }
  if (wedged && alive >= least) {
    return { ...base, state: 'changing', text: 'the epoch is being ended; publishers wait for the next one' }
  }
  const ids = idsOf(configuration)
  const spares = servers.filter((one) => one.alive && !ids.includes(one.id)).map(({ id }) => id)
  const text = stoppedText(configuration, inPhase('silent'), inPhase('absent'), alive >= least ? spares : null)
  return { ...base, state: 'stopped', text }
}

function isFull({ shortages }: ServerInfo): boolean {
  return shortages.includes('space')
}

function openText({ mode }: Configuration, toleratesNow: number, staysOpenFor: number): string {
  if (toleratesNow === 0) return 'takes messages, but tolerates no further failure'
  const loses = `takes messages; loses nothing at ${count(toleratesNow, 'further failure')}`
  if (mode === 'fault-masking') return loses
  return staysOpenFor === 0 ? `${loses}; stops at the next one until it is reconfigured` : loses
}

function startingText(
  configuration: Configuration,
  starting: readonly string[],
  needed: readonly string[],
  silent: readonly string[],
): string {
  const { epoch, members } = configuration
  const quorum = `${enabledQuorum(configuration)} of ${members.length}`
  const parts = [`epoch ${epoch} is decided and begins once ${quorum} members have what was before`]
  if (starting.length > 0) parts.push(`${list(starting)} ${isOne(starting) ? 'is' : 'are'} starting`)
  if (needed.length > 0) parts.push(`${list(needed)} ${isOne(needed) ? 'has' : 'have'} to stay up until then`)
  if (silent.length > 0) parts.push(silentText(silent))
  return parts.join('; ')
}

function stoppedText(
  { topic, mode }: Configuration,
  silent: readonly string[],
  absent: readonly string[],
  spares: readonly string[] | null,
): string {
  const parts: string[] = []
  if (absent.length > 0) parts.push(`${list(absent)} ${isOne(absent) ? 'has' : 'have'} nothing of it: the disk is lost`)
  if (silent.length > 0) parts.push(silentText(silent))
  const who = parts.length > 0 ? parts.join('; ') : 'too few members serve it'
  if (spares === null) return who
  const waits = mode === 'fault-recovery' ? `; it needs every member, and ${spareText(spares)}` : ''
  return `${who}${waits}; or: epochcast reconfig ${topic} --members …`
}

/** Whether servers replace dead members by themselves is a matter of their own configuration, which is not known here. */
function spareText(spares: readonly string[]): string {
  if (spares.length === 0) return 'no other server answers that could take a place'
  return `${list(spares)} can take a place, by itself where servers replace dead members (replaceDeadAfterMs)`
}

function silentText(silent: readonly string[]): string {
  return isOne(silent)
    ? `${list(silent)} does not answer: start it again`
    : `${list(silent)} do not answer: start them again`
}

function isOne(some: readonly string[]): boolean {
  return some.length === 1
}
