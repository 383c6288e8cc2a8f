/** What a run came to: numbers, what happened to the topic, and everything that is not as it should be. */
import type { ChangeTimes } from '../../client-sdk/index.ts'
import type { Ledger } from './ledger.ts'
import type { Publishing } from './publishing.ts'
import type { Reader } from './reader.ts'
import type { StepResult } from './script.ts'

export interface StepLine {
  readonly kind: string
  readonly about: string
  readonly ackGapMs: number
  readonly times: ChangeTimes | null
}

export interface Verdict {
  readonly published: number
  readonly delivered: readonly number[]
  readonly lost: number
  readonly duplicated: number
  readonly outcomesUnknown: number
  /** Epochs that the topic went through, the one that ended behind the last line included. */
  readonly epochs: number
  readonly steps: readonly StepLine[]
  /** Empty when all is well. */
  readonly problems: readonly string[]
}

/** Acknowledgements that come so long after a step still belong to it. */
const afterMs = 50

export function judge(
  ledger: Ledger,
  publishing: Publishing,
  readers: readonly Reader[],
  results: readonly StepResult[],
  changeCount: number,
): Verdict {
  const steps = results.map(({ kind, about, beganMs, endedMs, times }, at) => {
    const untilMs = Math.min(endedMs + afterMs, results[at + 1]?.beganMs ?? Number.POSITIVE_INFINITY)
    return { kind, about, times, ackGapMs: publishing.ackGapMs(beganMs, untilMs) }
  })
  const { published, acked, outcomesUnknown, refused, refusal } = publishing
  const lost = sum(readers.map((reader) => published - reader.delivered))
  const duplicated = sum(readers.map((reader) => reader.duplicated))
  const changes = steps.filter((step) => step.times !== null).length
  const problems = [
    ...found(lost, `${lost} lines were lost`),
    ...found(duplicated, `${duplicated} lines were delivered twice`),
    ...found(outcomesUnknown, `${outcomesUnknown} lines have no known outcome: ${String(refusal)}`),
    ...found(refused, `${refused} lines were not taken: ${String(refusal)}`),
    ...found(ledger.total - published, `${ledger.total - published} lines were never published`),
    ...found(published - acked - outcomesUnknown - refused, 'some lines are still pending'),
    ...found(changeCount - changes, `${changes} of ${changeCount} changes happened`),
    ...readers.flatMap(complaintsOf),
    ...disagreements(readers, changes + 1),
  ]
  const delivered = readers.map((reader) => reader.delivered)
  const epochs = readers[0]?.ends.length ?? 0
  return { published, delivered, lost, duplicated, outcomesUnknown, epochs, steps, problems }
}

function complaintsOf(reader: Reader): string[] {
  const { name, disordered, foreign, gaps } = reader
  const misnamed = reader.countMisnamed()
  return [
    ...found(disordered, `${name}: ${disordered} lines came after a later one of the same publisher`),
    ...found(foreign, `${name}: ${foreign} messages are not a line that was published`),
    ...found(gaps, `${name}: ${gaps} gaps`),
    ...found(misnamed, `${name}: ${misnamed} lines came under another id than their publisher was told`),
  ]
}

/** Every reader must have seen the same epochs end, in the same way. */
function disagreements(readers: readonly Reader[], ended: number): string[] {
  const problems: string[] = []
  const [first] = readers
  for (const reader of readers) {
    if (reader.ends.length !== ended) problems.push(`${reader.name} saw ${reader.ends.length} epochs end, not ${ended}`)
    let [counted, expected] = [0, 1]
    for (const [at, end] of reader.ends.entries()) {
      counted += end.closingCount
      const other = first?.ends[at]
      if (end.ended !== expected++) problems.push(`${reader.name}: epoch ${end.ended} ended out of turn`)
      if (other?.closingCount === end.closingCount && other.closingDigest === end.closingDigest) continue
      const what = (one: typeof end | undefined) => `${one?.closingCount} messages, ${one?.closingDigest}`
      problems.push(
        `epoch ${end.ended} ended with ${what(other)} for ${first?.name}, with ${what(end)} for ${reader.name}`,
      )
    }
    if (counted !== reader.delivered)
      problems.push(`${reader.name} was given ${reader.delivered} lines, closings count ${counted}`)
  }
  return problems
}

function found(count: number, text: string): string[] {
  return count === 0 ? [] : [text]
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}
