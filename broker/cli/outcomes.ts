/** What pub says of one message. */
import type { PublishResult } from '../../client-sdk/index.ts'
import { EpochcastError } from '../../proto/errors.ts'
import type { Context } from './context.ts'

/** How long a message may go without an outcome, unless the user says. */
export const publishTimeoutMs = 10_000

export function showOutcome(context: Context, { id, epoch, status, sync }: PublishResult): void {
  const isLater = sync !== null && sync !== 'always'
  if (context.json) context.out.json({ id, epoch, status, ...(isLater && { sync }) })
  else context.out.line(`${id} ${status}${isLater ? ` (sync: ${sync})` : ''}`)
}

/** The same error, with the command that asks again. */
export function explained(error: unknown, topic: string): unknown {
  if (!(error instanceof EpochcastError) || error.messageId === undefined) return error
  const { code, message, messageId } = error
  const hint = `ask again: epochcast outcome ${topic} ${messageId}`
  return new EpochcastError(code, message, { cause: error, messageId, hint })
}
