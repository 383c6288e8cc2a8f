/** What the comparison asks of somebody else's cluster of three. */
import type { TargetSpec } from '../load/target.ts'
import type { Memory } from '../measure/processes.ts'

export interface Peer {
  readonly target: TargetSpec
  readonly cpuSeconds: number
  readonly memory: readonly (Memory & { readonly id: string })[]
  /** Gives the lead to another server, as an operator would; resolves when that one has it. */
  moveLead(): Promise<void>
  /** Kills or freezes the server that leads. @returns a function that brings it back */
  harmLeader(how: 'kill' | 'freeze'): Promise<() => Promise<void>>
  stop(): Promise<void>
}

/** It cannot be measured here, and why. */
export class Skipped extends Error {}
