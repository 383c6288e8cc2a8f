/** Questions to the members of topics. One that did not answer is not waited for again: the others have the time that is left. */
import type { Client, Decision, HeldMessage, Member, ServerCondition } from '../../client-sdk/index.ts'
import type { Epoch, MessageId, TopicName } from '../../proto/ids.ts'
import type { MessageSet } from '../../proto/message-set.ts'

/** How much earlier than its limit a question may end by it, in milliseconds: timers and clocks differ. */
const earlyMs = 5

/** Limits of one question. */
export interface QuestionLimits {
  readonly signal: AbortSignal
  readonly timeoutMs: number
}

export class Witnesses {
  readonly #inspection: Client['admin']['inspection']
  readonly #limits: () => QuestionLimits
  readonly #silent = new Set<string>()

  /** @param limits of one question, as they are when it is asked */
  constructor(client: Client, limits: () => QuestionLimits) {
    this.#inspection = client.admin.inspection
    this.#limits = limits
  }

  /** Null from a member that does not answer. */
  condition(topic: TopicName, of: Epoch, member: Member): Promise<ServerCondition | null> {
    return this.#noting(member, (limits) => this.#inspection.condition(topic, of, member, limits))
  }

  /** None from a member that does not answer, or knows none. */
  async decisions(topic: TopicName, from: Epoch, member: Member): Promise<readonly Decision[]> {
    const ask = (limits: QuestionLimits) => this.#inspection.decisions(topic, from, member, limits)
    return (await this.#noting(member, ask)) ?? []
  }

  /** Null from a member that does not answer, false from one that does not hold it. */
  message(topic: TopicName, id: MessageId, member: Member, others: MessageSet): Promise<HeldMessage | false | null> {
    return this.#noting(member, (limits) => this.#inspection.message(topic, id, member, others, limits))
  }

  async #noting<Answer>(
    { name }: Member,
    ask: (limits: QuestionLimits) => Promise<Answer | null>,
  ): Promise<Answer | null> {
    if (this.#silent.has(name)) return null
    const limits = this.#limits()
    const begin = performance.now()
    const answer = await ask(limits)
    // A member that says at once that it has nothing of one topic may have something of another.
    if (answer === null && performance.now() - begin >= limits.timeoutMs - earlyMs) this.#silent.add(name)
    return answer
  }
}
