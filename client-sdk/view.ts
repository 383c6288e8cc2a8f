import { type Configuration, type Decision, isMember, type ProposalTimes } from '../proto/configuration.ts'
import { type Epoch, serverIdOf } from '../proto/ids.ts'
import { countOf, fingerprint } from '../proto/message-set.ts'

/** A membership that this topic has, and how the epoch before it ended. */
export interface View {
  readonly epoch: Epoch
  readonly configuration: Configuration
  readonly joined: readonly string[]
  readonly left: readonly string[]
  /** Of the epoch before; null for the first view that is seen. */
  readonly closing: { readonly count: number; readonly digest: string } | null
  /** What the change took until it was proposed, in milliseconds; null for the first view, and where it was not told. */
  readonly times: { readonly planMs: number; readonly wedgeMs: number; readonly stageMs: number } | null
}

/** @param before the configuration seen before, if any; `decision` ended its epoch */
export function viewOf(configuration: Configuration, before: Configuration | null, decision: Decision | null): View {
  const joined = configuration.members.filter((member) => before === null || !isMember(before, member.name))
  const left = (before?.members ?? []).filter((member) => !isMember(configuration, member.name))
  const closing = decision === null ? null : { count: countOf(decision.closing), digest: fingerprint(decision.closing) }
  return {
    epoch: configuration.epoch,
    configuration,
    joined: joined.map((member) => serverIdOf(member.name)),
    left: left.map((member) => serverIdOf(member.name)),
    closing,
    times: decision?.times === undefined ? null : inMilliseconds(decision.times),
  }
}

function inMilliseconds({ planUs, wedgeUs, stageUs }: ProposalTimes): View['times'] {
  return { planMs: planUs / 1000, wedgeMs: wedgeUs / 1000, stageMs: stageUs / 1000 }
}
