import type { Configuration, Decision } from '../../proto/configuration.ts'
import type { Epoch, TopicName } from '../../proto/ids.ts'
import type { Effect } from '../../proto/machine/contract.ts'

/** Who proposes is told here, once per request; nothing is told where the answer stays out. */
export interface ProposalListener {
  /** The engine answers: a proposal would be taken now. */
  ready(out: Effect[]): void
  /** What the register holds for ever: this proposal or another one. */
  decided(decision: Decision, out: Effect[]): void
  /** The register's epoch was over long ago. */
  closed(newest: Configuration, out: Effect[]): void
  /** The engine does not answer, or may not be relied on: it is asked again until it does. Told whenever the reason changes. */
  waiting?(reason: string, out: Effect[]): void
}

export interface TopicPage {
  readonly configurations: readonly Configuration[]
  /** There are more behind the last of them. */
  readonly more: boolean
}

/** One attempt to fill one register. */
export interface Proposal {
  /** Proposes. An answer that does not come means "unknown": the same bytes are proposed again until one comes. */
  propose(decision: Decision, out: Effect[]): void
  /** No longer interested. */
  cancel(): void
}

/**
 * The consensus engine of Figures 4 and 5: write-once registers, one for each epoch of each topic. One decided value per
 * register, always.
 */
export interface DecisionEngine {
  /** Finds out whether the engine answers now, and gets ready to propose with as few steps as it can. */
  open(topic: TopicName, epoch: Epoch, listener: ProposalListener, out: Effect[]): Proposal
}

/** Where lost clients find topics: kept by the arbiters, whoever decides. */
export interface Registry {
  /** Keeps the newest decided configuration where clients find it; `done` once it is kept. */
  note(configuration: Configuration, done: (out: Effect[]) => void, out: Effect[]): void
  /** Newest noted configuration, or null where the topic is unknown. */
  lookup(topic: TopicName, ports: QuestionPorts<Configuration | null>, out: Effect[]): void
  /** A page of the newest noted configurations of topics whose names begin with `prefix`, in their order, behind `after`. */
  list(after: string, prefix: string, ports: QuestionPorts<TopicPage>, out: Effect[]): void
}

/** Callbacks of one question to the arbiters: exactly one of them is called, once. */
export interface QuestionPorts<Found> {
  found(found: Found, out: Effect[]): void
  /** Too few arbiters answer. @param reason names those that are missing, for people */
  unanswered(reason: string, out: Effect[]): void
}
