import { shown } from './shown.ts'

/** Every code a user can meet, and whether trying the same call again can help. */
const codes = {
  EC_BAD_ARGUMENT: false,
  EC_BAD_MESSAGE: false,
  EC_PROTOCOL_VERSION: false,
  EC_BAD_CONFIG: false,
  EC_FRAME_TOO_LARGE: false,
  EC_MESSAGE_TOO_LARGE: false,
  EC_UNREACHABLE: true,
  EC_UNAVAILABLE: true,
  EC_UNKNOWN_TOPIC: false,
  EC_UNKNOWN_SERVER: false,
  EC_STILL_NEEDED: false,
  EC_TOPIC_EXISTS: false,
  EC_IMPOSSIBLE_MEMBERSHIP: false,
  EC_ORDER_NOT_OFFERED: false,
  EC_NO_DECIDER: true,
  EC_TRANSFER_FAILED: true,
  EC_SUPERSEDED: false,
  EC_OUTCOME_UNKNOWN: false,
  EC_OUTCOME_EXPIRED: false,
  EC_QUEUE_FULL: true,
  EC_NOT_HELD: false,
  EC_REQUEST_FAILED: false,
  EC_ABORTED: false,
  EC_CLOSED: false,
  EC_TIMEOUT: true,
  EC_OTHER_CLUSTER: false,
  EC_NO_CLUSTER: true,
  EC_LOG_DAMAGED: false,
  EC_LOG_LOCKED: false,
  EC_LOG_FOREIGN: false,
  EC_LOG_COPIED: false,
  EC_LOG_FORMAT: false,
  EC_STORAGE_OLD: false,
  EC_STORAGE_TWICE: false,
  EC_SERVERS_DIFFER: false,
  EC_UNSETTLED: true,
  EC_DISK_FULL: true,
  EC_DISK_FAILED: false,
  EC_INTERNAL: false,
} as const

export type ErrorCode = keyof typeof codes
export const errorCodes: readonly ErrorCode[] = Object.keys(codes) as ErrorCode[]

export interface EpochcastErrorOptions {
  readonly cause?: unknown
  /** What the caller can do about it, one sentence. */
  readonly hint?: string
  /** The id of the message whose outcome this error leaves open, with `EC_OUTCOME_UNKNOWN`. */
  readonly messageId?: string
}

/** Trouble that is expected to happen sometimes; the only class of error that the public API throws. */
export class EpochcastError extends Error {
  override readonly name = 'EpochcastError'
  readonly code: ErrorCode
  /** Whether the same call may succeed later without anything else being changed. */
  readonly retryable: boolean
  readonly hint: string | undefined
  readonly messageId: string | undefined

  constructor(code: ErrorCode, message: string, options: EpochcastErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.code = code
    this.retryable = codes[code]
    this.hint = options.hint
    this.messageId = options.messageId
  }

  /** The error as `JSON.stringify` writes it: with its message, which is no own property of other errors there, and its causes. */
  toJSON(): object {
    const { name, code, message, hint, retryable, messageId } = this
    return { name, code, message, hint, retryable, messageId, cause: causeJson(this.cause, causesMax) }
  }
}

/** Causes of causes that are written; a chain may lead back into itself. */
const causesMax = 5

function causeJson(cause: unknown, depth: number): unknown {
  if (cause === undefined || cause === null || depth === 0) return undefined
  if (!(cause instanceof Error)) return typeof cause === 'string' ? cause : shown(cause)
  const { name, message } = cause
  const { code, hint } = cause as Error & { readonly code?: unknown; readonly hint?: unknown }
  const more = cause instanceof AggregateError ? { errors: cause.errors.map((one) => causeJson(one, depth - 1)) } : {}
  return {
    name,
    ...(typeof code === 'string' && { code }),
    message,
    ...(typeof hint === 'string' && { hint }),
    ...more,
    cause: causeJson(cause.cause, depth - 1),
  }
}

/** A rule of the protocol does not hold: the process stops rather than go on. */
export class InvariantViolation extends Error {
  override readonly name = 'InvariantViolation'
  readonly invariant: string

  constructor(invariant: string, message: string) {
    super(`${invariant}: ${message}`)
    this.invariant = invariant
  }
}

/** Closes a switch over a union: a new member does not compile until it has an arm. */
export function unreachable(value: never): never {
  throw new InvariantViolation('switch', `no arm for ${JSON.stringify(value)}`)
}
