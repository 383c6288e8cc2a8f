/** The arbiters of a cluster, for people: which of them answer, and what is at stake. */
import type { ArbiterInfo } from '../../client-sdk/index.ts'
import { majority } from '../../proto/configuration.ts'
import { list } from './describe.ts'

export interface ArbiterHealth {
  readonly answering: number
  /** Arbiters that have to answer until anything is decided. */
  readonly needed: number
  /** Further failures after which they still decide; negative where they do not. */
  readonly slack: number
  readonly text: string
  readonly hint: string | null
}

const states = {
  answers: 'answers',
  silent: 'does not answer',
  'old-disk': 'has an old copy of its disk',
  lost: 'has lost its disk: another server came in its place, which is no arbiter',
} as const

export function arbiterHealth(arbiters: readonly ArbiterInfo[]): ArbiterHealth {
  const answering = arbiters.filter(({ state }) => state === 'answers').length
  const needed = majority(arbiters.length)
  const slack = answering - needed
  const missing = arbiters.filter(({ state }) => state !== 'answers')
  const who = missing.map(({ id, state }) => `${id} ${states[state]}`)
  const text = [`${answering} of ${arbiters.length} arbiters answer`, ...who, consequence(slack, missing.length > 0)]
  return { answering, needed, slack, text: text.filter((part) => part !== '').join('; '), hint: hintFor(missing) }
}

function consequence(slack: number, isWeakened: boolean): string {
  if (slack < 0) return 'no topic can be made or listed, and no change is decided that needs them'
  if (!isWeakened) return ''
  if (slack > 0) return `${slack} more may fail`
  return 'if one more fails, no topic can be made or listed any more, and no change is decided that needs them'
}

/** The arbiters are those of the bootstrap: another server cannot take the place of one. */
function hintFor(missing: readonly ArbiterInfo[]): string | null {
  if (missing.length === 0) return null
  const ids = (state: ArbiterInfo['state']) => missing.filter((one) => one.state === state).map(({ id }) => id)
  const [silent, old, lost] = [ids('silent'), ids('old-disk'), ids('lost')]
  const parts: string[] = []
  if (silent.length > 0) parts.push(`start ${list(silent)} with the data directory that it had`)
  if (old.length > 0) parts.push(`stop ${list(old)}, and put its newest disk back`)
  if (lost.length > 0) {
    parts.push(
      `stop ${list(lost)} and start it again with its old data directory, if that still exists; else it is lost for good: ` +
        'no other server can become an arbiter, so keep those that are left, and their disks; fault-masking topics that ' +
        'decide by themselves go on without arbiters: epochcast reconfig TOPIC --decider stakes',
    )
  }
  return parts.join('; ')
}
