/** A scenario as a probe: a rule that does not hold in it, or another trace than the one that is written down. */
import { readFileSync } from 'node:fs'
import { runScenario } from '../harness/scenario.ts'
import { formatScenario, parseScenario } from '../harness/scenario-file.ts'
import { type Finding, findingOf } from './finding.ts'

export function probeScenario(path: string): Finding[] {
  const text = readFileSync(path, 'utf8')
  const file = parseScenario(text)
  const happened = runScenario(file).file
  const wanted = new Set(file.blocks.flatMap((block) => block.expected))
  const findings: Finding[] = []
  for (const line of happened.blocks.flatMap((block) => block.expected)) {
    if (wanted.has(line)) continue
    const finding = findingOf(line)
    if (finding !== null) findings.push(finding)
    else if (line.endsWith(': still waiting')) findings.push({ check: 'hang', text: line })
  }
  const other = firstDifference(text, formatScenario(happened))
  if (other !== null) findings.push({ check: 'trace', text: other })
  return findings
}

function firstDifference(wanted: string, happened: string): string | null {
  const lines = wanted.split('\n')
  const others = happened.split('\n')
  const at = others.findIndex((line, index) => line !== lines[index])
  if (at < 0) return lines.length === others.length ? null : 'something is missing'
  return `line ${at + 1}: ${others[at]} instead of ${lines[at]}`
}
