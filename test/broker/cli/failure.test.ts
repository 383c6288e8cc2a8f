// Goal: a script can tell what helps by the exit code. Method: every error code, explained.
import { expect, it } from 'vitest'
import { explainFailure } from '../../../broker/cli/failure.ts'
import { colorsFor } from '../../../broker/cli/terminal/colors.ts'
import { EpochcastError, type ErrorCode, errorCodes } from '../../../proto/errors.ts'

const style = { json: false, colors: colorsFor(process.stderr), command: 'epochcast' }
const exitCodeOf = (code: ErrorCode) => explainFailure(new EpochcastError(code, 'x'), style).exitCode

it('what may work later, once servers answer, ends with 3', () => {
  for (const code of ['EC_UNREACHABLE', 'EC_UNAVAILABLE', 'EC_NO_DECIDER', 'EC_TIMEOUT', 'EC_UNSETTLED'] as const) {
    expect([code, exitCodeOf(code)]).toEqual([code, 3])
  }
})

it('every error ends with a code that is not 0', () => {
  for (const code of errorCodes) expect([1, 2, 3, 4, 130], code).toContain(exitCodeOf(code))
})
