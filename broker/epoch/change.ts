/** What a change of one topic goes through, and who hears of it. */
import type { Configuration, Decision, Intent, Member, ProposalTimes } from '../../proto/configuration.ts'
import { type ServerName, serverIdOf, type TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'
import type { PhaseTimes, Refusal } from '../../proto/wire/messages.ts'
import type { Deciders } from '../engines/deciders.ts'
import type { Registry } from '../engines/engine.ts'
import type { Host, Limits } from '../host.ts'

export const changePhases = ['plan', 'preload', 'wedge', 'collect', 'stage', 'decide', 'start', 'enabled'] as const
export type ChangePhase = (typeof changePhases)[number]

/** How a change ended. */
export interface ChangeResult {
  readonly decision: Decision
  readonly enabled: boolean
  /** Another change ended the epoch. */
  readonly superseded: boolean
  /** Old servers that may stop now. */
  readonly retirable: readonly ServerName[]
  readonly times: PhaseTimes
}

export interface ChangeListener {
  phase(phase: ChangePhase, detail: string, out: Effect[]): void
  /** Decided; the next epoch is not enabled yet. */
  decided(result: ChangeResult, out: Effect[]): void
  /** The next epoch is enabled. */
  ended(result: ChangeResult, out: Effect[]): void
  /** The new configuration is where lost clients look for it: the old servers may stop. */
  retirable(result: ChangeResult, out: Effect[]): void
  /** Nothing has happened. */
  failed(refusal: Refusal, reason: string, out: Effect[]): void
  outdated(newest: Configuration, out: Effect[]): void
  /** Decided long ago, and the next epoch still does not begin: perhaps its members died. */
  stalled(out: Effect[]): void
  /** Nothing comes any more. */
  over(): void
}

/** What a change needs of its server. */
export interface Coordination {
  readonly host: Host
  readonly limits: Limits
  readonly deciders: Deciders
  readonly registry: Registry
  readonly nowMs: () => number
  /** Rounds of this server's stakes never repeat within one topic. */
  nextRound(topic: TopicName, above: number): number
}

/** When a change entered its phases, for people. */
export class PhaseClock {
  readonly #nowMs: () => number
  #planned: number | undefined
  readonly #entered: Partial<Record<ChangePhase, number>> = {}

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** A phase that is entered again, after a rival was ahead, counts from then on; the plan ended at the first wedge. */
  enter(phase: ChangePhase): void {
    this.#entered[phase] = this.#nowMs()
    if (phase === 'wedge') this.#planned ??= this.#nowMs()
  }

  times(): PhaseTimes {
    return {
      planUs: this.#sincePlan(),
      wedgeUs: this.#between('wedge', 'collect'),
      stageUs: this.#between('stage', 'decide'),
      decideUs: this.#between('decide', 'start'),
      startUs: this.#between('start', 'enabled'),
    }
  }

  /** As far as a change has come when it is proposed. */
  proposalTimes(): ProposalTimes {
    const { planUs, wedgeUs, stageUs } = this.times()
    return { planUs, wedgeUs, stageUs }
  }

  #sincePlan(): number {
    const begin = this.#entered.plan
    return begin === undefined ? 0 : Math.max(0, Math.round(((this.#planned ?? this.#nowMs()) - begin) * 1000))
  }

  #between(from: ChangePhase, to: ChangePhase): number {
    const begin = this.#entered[from]
    const end = this.#entered[to] ?? this.#nowMs()
    return begin === undefined ? 0 : Math.max(0, Math.round((end - begin) * 1000))
  }
}

/** A change in one line. */
export function describe(old: Configuration, intent: Intent): string {
  return `${old.topic}: epoch ${old.epoch} (${old.mode} ${idsOf(old.members)}) -> ${intent.mode} ${idsOf(intent.members)}`
}

export function idsOf(members: readonly Member[]): string {
  return members.map(({ name }) => serverIdOf(name)).join(',')
}
