import { EpochcastError, type ErrorCode } from '../proto/errors.ts'
import type { MessageOf, Refusal } from '../proto/wire/messages.ts'

interface Meaning {
  readonly code: ErrorCode
  readonly hint?: string
  /** Nothing has happened. */
  readonly isUnchanged?: true
}

const lookAgain = 'look at the topic again, then decide'

/** What a server's refusal means to whoever asked for something. */
const meanings: Record<Refusal, Meaning> = {
  wedged: { code: 'EC_UNAVAILABLE', hint: 'the epoch is being ended; try again' },
  'not-yet': { code: 'EC_UNAVAILABLE', hint: 'this server is behind; try again' },
  'unknown-topic': { code: 'EC_UNKNOWN_TOPIC', hint: 'create it first' },
  'too-many-publishers': { code: 'EC_UNAVAILABLE', hint: 'the epoch is rolled soon; try again' },
  'bad-batch': { code: 'EC_BAD_MESSAGE' },
  'disk-full': { code: 'EC_DISK_FULL' },
  'no-cluster': { code: 'EC_NO_CLUSTER', hint: 'bootstrap it once: epochcast bootstrap' },
  'other-cluster': { code: 'EC_OTHER_CLUSTER' },
  'no-decider': {
    code: 'EC_NO_DECIDER',
    hint: 'epochcast doctor shows which arbiters or engines are missing',
    isUnchanged: true,
  },
  superseded: { code: 'EC_SUPERSEDED', hint: lookAgain },
  'impossible-membership': { code: 'EC_IMPOSSIBLE_MEMBERSHIP' },
  'unknown-server': { code: 'EC_UNKNOWN_SERVER' },
  'transfer-failed': { code: 'EC_TRANSFER_FAILED', isUnchanged: true },
  busy: { code: 'EC_UNAVAILABLE', hint: 'try again' },
  'too-few-servers': { code: 'EC_UNAVAILABLE' },
  'still-needed': { code: 'EC_STILL_NEEDED', isUnchanged: true },
  'other-version': { code: 'EC_PROTOCOL_VERSION' },
}

export function refusalError(
  topic: string,
  { refusal, detail }: Pick<MessageOf<'declined'>, 'refusal' | 'detail'>,
): EpochcastError {
  const { code, hint, isUnchanged } = meanings[refusal]
  const text =
    refusal === 'unknown-topic' ? `topic ${topic} does not exist` : `${topic === '' ? '' : `${topic}: `}${detail}`
  return new EpochcastError(
    code,
    isUnchanged ? `${text}; nothing was changed` : text,
    hint === undefined ? {} : { hint },
  )
}
