/** One kind of thing that goes wrong with real processes. */
import type { Random } from '../../../proto/machine/ports.ts'
import type { Rig } from '../rig.ts'

export interface FaultContext {
  /** A folder of this class alone. */
  readonly folder: string
  readonly random: Random
  /** What was done so often, for the report. */
  reached(what: string, count?: number): void
}

export interface FaultClass {
  readonly name: string
  /** Faults of one kind: where one of them can run, the kind is reached. */
  readonly family: string
  readonly about: string
  /** How often without being asked. */
  readonly usual: number
  /** So many to one cluster; then a fresh one, with a history of its own. */
  readonly perCluster: number
  /** Why it cannot run on this machine, or null. */
  missing(): string | null
  /** The cluster that it is done to, and the end of what it was made of. */
  prepare(context: FaultContext): Promise<{ rig: Rig; release(): void }>
  /** Does it once, and waits until the cluster serves again. @returns how many faults that were */
  once(rig: Rig, context: FaultContext, most: number): Promise<number>
}
