#!/usr/bin/env node
/**
 * The command `epochcast`. Exit codes: 0 done, 1 failed, 2 bad arguments or configuration, 3 unreachable, unavailable or out of
 * time, 4 superseded, 130 interrupted, 141 nobody read the output to its end.
 */
import { CommanderError } from 'commander'
import { explainFailure } from './failure.ts'
import { createProgram } from './program.ts'
import { colorsFor } from './terminal/colors.ts'
import { OutputLost } from './terminal/output.ts'
import { packageVersion } from './version.ts'

// Nobody reads the errors any more: the work goes on, and the exit code says how it ended.
process.stderr.on('error', () => {})

// Help and version are written by the parser itself.
let lost: OutputLost | null = null
process.stdout.on('error', (error) => {
  lost ??= new OutputLost(error)
})

const program = createProgram(packageVersion())
try {
  await program.parseAsync()
} catch (error) {
  await fail(error)
}
if (lost !== null) await fail(lost)

/** Help and version, which were written to standard output. */
function isHelp(error: unknown): boolean {
  return error instanceof CommanderError && error.exitCode === 0
}

/** Ends the process with what is to be said of a failure. */
async function fail(error: unknown): Promise<void> {
  // A failed write of the help is reported in the next turn.
  await new Promise((resolve) => setImmediate(resolve))
  const json = process.argv.includes('--json')
  const name = program.commands.map((command) => command.name()).find((one) => process.argv.includes(one))
  const command = name === undefined ? 'epochcast' : `epochcast ${name}`
  const { exitCode, text } = explainFailure(isHelp(error) ? (lost ?? error) : error, {
    json,
    colors: colorsFor(process.stderr),
    command,
  })
  process.exitCode = exitCode
  // What goes on behind a command that failed (a question on a terminal, a server that was being started) ends with it.
  process.stderr.write(text, () => process.exit())
}
