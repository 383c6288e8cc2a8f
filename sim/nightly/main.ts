/**
 * `npm run test:nightly`: the long version of everything that proves something, in a budget of time, and one table of what ran, how
 * often each fault was reached, and what was skipped and why. Fails on a violation, and where a class of faults was never reached.
 */
import { parseArgs } from 'node:util'
import { type Row, row } from './task.ts'
import { tasks } from './tasks.ts'

const usage = `Usage: npm run test:nightly -- [options]

  --minutes N     how long it may take, about (default 120); a part that cannot be made smaller takes its time
  --only A,B      these parts alone: ${tasks.map(({ name }) => name).join(', ')}
  --json          one JSON line instead of the table
`

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      minutes: { type: 'string', default: '120' },
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const minutes = Number(values.minutes)
  const only = values.only?.split(',')
  const unknown = only?.find((name) => !tasks.some((task) => task.name === name))
  if (values.help || unknown !== undefined || !(minutes > 0)) {
    const problem = unknown === undefined ? '' : `no part is called ${unknown}\n\n`
    process[values.help ? 'stdout' : 'stderr'].write(values.help ? usage : `${problem}${usage}`)
    return values.help ? 0 : 2
  }
  const chosen = tasks.filter((task) => only === undefined || only.includes(task.name))
  const shares = chosen.reduce((sum, task) => sum + task.share, 0)
  const rows: (Row & { readonly seconds: number })[] = []
  for (const task of chosen) {
    const seconds = Math.max(task.leastSeconds, (minutes * 60 * task.share) / shares)
    process.stderr.write(`${task.name}: up to ${Math.round(seconds)} s\n`)
    const began = performance.now()
    const found = await task.run(seconds).catch((error: unknown) => [failed(task.name, error)])
    const took = Math.round((performance.now() - began) / 1000)
    rows.push(...found.map((one) => ({ ...one, seconds: took })))
  }
  const bad = rows.filter((one) => one.violations.length > 0 || (!one.isReached && one.skipped === null))
  // What could not run here fails the night too, unless something of its kind did.
  const ran = new Set(rows.flatMap((one) => (one.skipped === null ? [one.family] : [])))
  const idle = rows.filter((one) => one.skipped !== null && one.family !== null && !ran.has(one.family))
  process.stdout.write(
    values.json ? `${JSON.stringify({ minutes, rows, failed: bad.length + idle.length })}\n` : table(rows),
  )
  for (const { what, violations } of rows) for (const text of violations) process.stderr.write(`${what}: ${text}\n`)
  return bad.length + idle.length === 0 ? 0 : 1
}

function failed(name: string, error: unknown): Row {
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return row(name, { isReached: false, violations: [text] })
}

function table(rows: readonly (Row & { readonly seconds: number })[]): string {
  const cells = rows.map(({ what, done, isReached, skipped, violations, reached, seconds }) => {
    const verdict = violations.length > 0 ? 'FAILED' : skipped !== null ? 'SKIPPED' : isReached ? 'held' : 'NOT REACHED'
    const more = Object.entries(reached).map(([text, count]) => `${text} ${count}`)
    return [what, verdict, skipped === null ? done : `skipped: ${skipped}`, `${seconds} s`, more.join(', ')]
  })
  const widths = [0, 1, 2, 3].map((at) => Math.max(...cells.map((line) => (line[at] ?? '').length)))
  const lines = cells.map((line) =>
    line
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

process.exitCode = await main()
