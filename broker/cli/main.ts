#!/usr/bin/env node
/**
 * The command `epochcast`. Exit codes: 0 done, 1 failed, 2 bad arguments or configuration, 3 unreachable or out of time,
 * 4 superseded, 130 interrupted.
 */
import { explainFailure } from './failure.ts'
import { createProgram } from './program.ts'
import { colorsFor } from './terminal/colors.ts'
import { packageVersion } from './version.ts'

// Whoever read the output has gone: there is nobody left to tell.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
}

const program = createProgram(packageVersion())
try {
  await program.parseAsync()
} catch (error) {
  const json = process.argv.includes('--json')
  const name = program.commands.map((command) => command.name()).find((one) => process.argv.includes(one))
  const command = name === undefined ? 'epochcast' : `epochcast ${name}`
  const { exitCode, text } = explainFailure(error, { json, colors: colorsFor(process.stderr), command })
  process.stderr.write(text)
  process.exitCode = exitCode
}
