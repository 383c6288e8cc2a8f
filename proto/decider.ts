/**
 * Who closes an epoch, as configurations, files and commands write it: the old members by stakes (Figure 6), the cluster's own
 * engine (its arbiters), or an engine outside of the cluster by its id. In a configuration that is decided, an outside engine
 * stands with its instance: registers that are gone, or others under the same id, are another instance and decide nothing.
 */
import { EpochcastError } from './errors.ts'
import { shown } from './shown.ts'

/** `stakes`, `engine` (the arbiters), `engine:ID`, or `engine:ID@INSTANCE` once it is decided. */
export type Decider = 'stakes' | 'engine' | `engine:${string}`

/** An engine outside of the cluster. */
export interface EngineName {
  readonly id: string
  /** Null where nobody has looked yet which one it is. */
  readonly instance: string | null
}

const namePattern = /^engine:([A-Za-z0-9][A-Za-z0-9_-]{0,31})(?:@([0-9a-f]{16}))?$/
const idPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/

/** @throws EpochcastError `EC_BAD_ARGUMENT` */
export function parseDecider(text: string): Decider {
  if (text === 'stakes' || text === 'engine') return text
  if (typeof text === 'string' && namePattern.test(text)) return text as Decider
  throw new EpochcastError('EC_BAD_ARGUMENT', `decider ${shown(text)} is not stakes, engine or engine:ID`)
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` */
export function engineId(text: string): string {
  if (idPattern.test(text)) return text
  throw new EpochcastError(
    'EC_BAD_ARGUMENT',
    `engine id ${JSON.stringify(text)} must be 1 to 32 letters, digits, "-" or "_"`,
  )
}

/** Null where the decider is not an engine outside of the cluster. */
export function outsideEngine(decider: Decider): EngineName | null {
  const match = namePattern.exec(decider)
  return match === null ? null : { id: match[1] ?? '', instance: match[2] ?? null }
}

export function engineDecider(id: string, instance: string): Decider {
  return `engine:${id}@${instance}`
}

/** The decider as people write it. */
export function withoutInstance(decider: Decider): Decider {
  const engine = outsideEngine(decider)
  return engine === null ? decider : `engine:${engine.id}`
}

/** Whether a decider is what somebody asked for, who need not have named an instance. */
export function fits(wanted: Decider, decider: Decider): boolean {
  return wanted === decider || wanted === withoutInstance(decider)
}
