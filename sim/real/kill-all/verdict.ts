/** Counts what must never happen, and keeps the first descriptions of each kind. */

/**
 * - lost: acknowledged, and missing from a later read
 * - duplicated: given twice to one reader, or under two ids, or although its outcome was `dropped`
 * - outOfOrder: against the order of its publisher, its causes, its epoch or its position
 * - unsent: stored although its publisher was told that it had not left
 * - stuck: no answer within the limit after the last restart
 * - unanswered: no outcome at all at the end of the run
 */
export const kinds = ['lost', 'duplicated', 'outOfOrder', 'unsent', 'stuck', 'unanswered'] as const
export type Kind = (typeof kinds)[number]

const describedMax = 10

export class Verdict {
  readonly counts: Record<Kind, number> = { lost: 0, duplicated: 0, outOfOrder: 0, unsent: 0, stuck: 0, unanswered: 0 }
  readonly descriptions: string[] = []

  add(kind: Kind, text: string): void {
    const count = ++this.counts[kind]
    if (count <= describedMax) this.descriptions.push(`${kind}: ${text}`)
    if (count === describedMax + 1) this.descriptions.push(`${kind}: and more of the kind`)
  }

  get isClean(): boolean {
    return kinds.every((kind) => this.counts[kind] === 0)
  }
}
