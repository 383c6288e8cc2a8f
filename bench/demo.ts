/**
 * `npm run demo`: a text streams through real servers while they are killed and the topic's membership and mode change, and
 * two subscribers check that they get every line exactly once. Exit status 0 only when they do.
 */
import { parseOptions, usage } from './demo/options.ts'
import { jsonLine, table } from './demo/report.ts'
import { Run } from './demo/run.ts'

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2))
  if (options === 'help') {
    process.stdout.write(usage)
    return 0
  }
  if ('problem' in options) {
    process.stderr.write(`${options.problem}\n\n${usage}`)
    return 2
  }
  const ending = new AbortController()
  const run = new Run(options, ending.signal)
  process.on('exit', () => run.abandon())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      // The second time without ceremony.
      if (ending.signal.aborted) process.exit(1)
      ending.abort(new Error(`interrupted by ${signal}`))
    })
  }
  const text = `not finished within ${options.deadlineSeconds} s`
  const timer = setTimeout(() => ending.abort(new Error(text)), options.deadlineSeconds * 1000)
  try {
    const verdict = await run.run()
    process.stdout.write(`${options.json ? jsonLine(verdict) : table(verdict)}\n`)
    for (const problem of verdict.problems) process.stderr.write(`demo failed: ${problem}\n`)
    return verdict.problems.length === 0 ? 0 : 1
  } catch (error) {
    process.stderr.write(`demo failed: ${error instanceof Error ? error.message : String(error)}\n`)
    return 1
  } finally {
    clearTimeout(timer)
  }
}

process.exitCode = await main()
