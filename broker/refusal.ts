/** The refusal by which a server answers a request that it cannot carry out. */
import type { EpochcastError } from '../proto/errors.ts'
import type { Refusal } from '../proto/wire/messages.ts'

export function refusalOf({ code }: EpochcastError): Refusal {
  switch (code) {
    case 'EC_UNKNOWN_TOPIC':
      return 'unknown-topic'
    case 'EC_NO_DECIDER':
      return 'no-decider'
    case 'EC_UNKNOWN_SERVER':
      return 'unknown-server'
    case 'EC_UNAVAILABLE':
      return 'too-few-servers'
    default:
      return 'impossible-membership'
  }
}

export function explain({ message, hint }: EpochcastError): string {
  return hint === undefined ? message : `${message}; ${hint}`
}
