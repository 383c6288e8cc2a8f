import type { StepLine, Verdict } from './verdict.ts'

const headings = ['change', 'plan', 'wedge', 'stage', 'decide', 'start', 'ack gap', 'what happened'] as const

/** The table at the end. */
export function table(verdict: Verdict): string {
  const { published, delivered, lost, duplicated, outcomesUnknown, epochs, steps } = verdict
  const rows = [headings, ...steps.map(rowOf)]
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const isText = (column: number) => column === 0 || column === headings.length - 1
  const pad = (text: string, column: number) =>
    isText(column) ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0)
  const counts: [string, string][] = [
    ['published', count(published)],
    ...delivered.map((one, at): [string, string] => [`delivered to subscriber ${at + 1}`, count(one)]),
    ['lost', count(lost)],
    ['duplicated', count(duplicated)],
    ['unknown outcomes', count(outcomesUnknown)],
    ['epochs', count(epochs)],
  ]
  return [
    ...rows.map((row) => row.map(pad).join('  ').trimEnd()),
    '(milliseconds; ack gap: the longest that a publisher with lines under way waited for an acknowledgement)',
    '',
    ...counts.map(([name, value]) => `${name.padEnd(26)}${value.padStart(10)}`),
  ].join('\n')
}

/** The one line of `--json`. */
export function jsonLine(verdict: Verdict): string {
  const { published, delivered, lost, duplicated, outcomesUnknown, epochs } = verdict
  const changes = verdict.steps.flatMap(({ kind, ackGapMs, times }) => {
    if (times === null) return []
    const { wedgeMs, stageMs, decideMs, startMs } = times
    return [{ kind, ackGapMs: tenths(ackGapMs), wedgeMs, stageMs, decideMs, startMs }]
  })
  return JSON.stringify({ published, delivered, lost, duplicated, outcomesUnknown, epochs, changes })
}

export function count(value: number): string {
  return value.toLocaleString('en-US')
}

function rowOf({ kind, about, ackGapMs, times }: StepLine): string[] {
  const { planMs = 0, wedgeMs = 0, stageMs = 0, decideMs = 0, startMs = 0 } = times ?? {}
  const phases = [planMs, wedgeMs, stageMs, decideMs, startMs]
  // No times at all: no epoch ended, or the server that measured them died.
  const isKnown = phases.some((one) => one > 0)
  const cells = phases.map((one) => (isKnown ? one.toFixed(1) : '-'))
  return [kind, ...cells, ackGapMs.toFixed(1), about]
}

function tenths(value: number): number {
  return Math.round(value * 10) / 10
}
