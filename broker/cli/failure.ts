/** How a command fails: one message with what to do about it, and an exit code that scripts can use. */
import { CommanderError } from 'commander'
import { EpochcastError, type ErrorCode } from '../../proto/errors.ts'
import { ConfigError } from '../config/mistakes.ts'
import type { Colors } from './terminal/colors.ts'
import { OutputLost } from './terminal/output.ts'

export const exitCodes = {
  ok: 0,
  failure: 1,
  usage: 2,
  unreachable: 3,
  superseded: 4,
  interrupted: 130,
  unread: 141,
} as const

const { failure, usage, unreachable, superseded, interrupted } = exitCodes

/** The exit code of each error. */
const codes: Readonly<Record<ErrorCode, number>> = {
  EC_BAD_ARGUMENT: usage,
  EC_BAD_MESSAGE: failure,
  EC_PROTOCOL_VERSION: failure,
  EC_BAD_CONFIG: usage,
  EC_FRAME_TOO_LARGE: failure,
  EC_MESSAGE_TOO_LARGE: failure,
  EC_UNREACHABLE: unreachable,
  EC_UNAVAILABLE: unreachable,
  EC_UNKNOWN_TOPIC: failure,
  EC_UNKNOWN_SERVER: usage,
  EC_STILL_NEEDED: failure,
  EC_TOPIC_EXISTS: failure,
  EC_IMPOSSIBLE_MEMBERSHIP: usage,
  EC_ORDER_NOT_OFFERED: failure,
  EC_NO_DECIDER: unreachable,
  EC_TRANSFER_FAILED: failure,
  EC_SUPERSEDED: superseded,
  EC_OUTCOME_UNKNOWN: unreachable,
  EC_OUTCOME_EXPIRED: failure,
  EC_QUEUE_FULL: failure,
  EC_NOT_HELD: failure,
  EC_REQUEST_FAILED: failure,
  EC_ABORTED: interrupted,
  EC_CLOSED: failure,
  EC_TIMEOUT: unreachable,
  EC_OTHER_CLUSTER: failure,
  EC_NO_CLUSTER: failure,
  EC_LOG_DAMAGED: failure,
  EC_LOG_LOCKED: failure,
  EC_LOG_FOREIGN: failure,
  EC_LOG_COPIED: failure,
  EC_LOG_FORMAT: failure,
  EC_STORAGE_OLD: failure,
  EC_STORAGE_TWICE: failure,
  EC_SERVERS_DIFFER: failure,
  EC_UNSETTLED: unreachable,
  EC_DISK_FULL: failure,
  EC_DISK_FAILED: failure,
  EC_INTERNAL: failure,
}

export interface FailureStyle {
  readonly json: boolean
  readonly colors: Colors
  /** The command whose help says more. */
  readonly command: string
}

/** @returns the exit code, and the text for stderr; no text where the command line parser has said it itself */
export function explainFailure(error: unknown, style: FailureStyle): { exitCode: number; text: string } {
  if (error instanceof CommanderError) return explainUsage(error, style)
  if (error instanceof EpochcastError) {
    return { exitCode: codes[error.code], text: style.json ? asJson(error) : asText(error, style) }
  }
  if (error instanceof OutputLost) return explainLost(error, style)
  // A rule of the protocol does not hold, or there is a mistake in this program: here the stack is what helps.
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { exitCode: exitCodes.failure, text: style.json ? failureLine('INTERNAL', text) : `epochcast: ${text}\n` }
}

/** A reader that has gone, as `head` does, is told nothing; the exit code is that of a process which a closed pipe ends. */
function explainLost(error: OutputLost, style: FailureStyle): { exitCode: number; text: string } {
  if (error.code === 'EPIPE') return { exitCode: exitCodes.unread, text: '' }
  const { message } = error
  const text = style.json ? failureLine('OUTPUT_LOST', message) : `${style.colors.red('epochcast:')} ${message}\n`
  return { exitCode: exitCodes.failure, text }
}

/** Help and version are no failures; the rest is how a command was written. */
function explainUsage(error: CommanderError, style: FailureStyle): { exitCode: number; text: string } {
  if (error.exitCode === 0) return { exitCode: exitCodes.ok, text: '' }
  if (error.code === 'commander.help') return { exitCode: exitCodes.usage, text: '' }
  const [message, ...more] = error.message.replace(/^error: /, '').split('\n')
  const hint = [...more.map(stripBrackets), `see ${style.command} --help`].join('; ')
  const failure = new EpochcastError('EC_BAD_ARGUMENT', message ?? '', { hint })
  return { exitCode: exitCodes.usage, text: style.json ? asJson(failure) : asText(failure, style) }
}

function stripBrackets(text: string): string {
  return text.replace(/^\((.*)\)$/, '$1').toLowerCase()
}

function asText(error: EpochcastError, { colors }: FailureStyle): string {
  const hint = error.hint === undefined ? '' : `${colors.dim(`  ${sentence(error.hint)}`)}\n`
  return `${colors.red('epochcast:')} ${error.message}\n${hint}`
}

function asJson(error: EpochcastError): string {
  const { code, message, hint, retryable, messageId } = error
  const mistakes = error instanceof ConfigError ? { file: error.file, mistakes: error.mistakes } : {}
  return `${JSON.stringify({ type: 'error', code, message, hint, retryable, messageId, ...mistakes })}\n`
}

function failureLine(code: string, message: string): string {
  return `${JSON.stringify({ type: 'error', code, message, retryable: false })}\n`
}

/** Hints are written as sentences or as parts of one; here they are alike. */
function sentence(hint: string): string {
  return `hint: ${/^[A-Z][a-z]/.test(hint) ? `${hint.charAt(0).toLowerCase()}${hint.slice(1)}` : hint}`.replace(
    /\.$/,
    '',
  )
}
