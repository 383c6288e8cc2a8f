import { EpochcastError } from '../proto/errors.ts'
import type { MessageOf } from '../proto/wire/messages.ts'

/** What a server's refusal means to the caller. */
export function refusalError(topic: string, { refusal, detail }: MessageOf<'refused'>): EpochcastError {
  switch (refusal) {
    case 'unknown-topic':
      return new EpochcastError('EC_UNKNOWN_TOPIC', `topic ${topic} does not exist`, { hint: 'create it first' })
    case 'unknown-server':
      return new EpochcastError('EC_UNKNOWN_SERVER', detail)
    case 'impossible-membership':
      return new EpochcastError('EC_IMPOSSIBLE_MEMBERSHIP', detail)
    case 'stale-epoch':
      return new EpochcastError('EC_STALE_EPOCH', `${topic}: ${detail}`, {
        hint: 'look at the topic again, then decide',
      })
    case 'superseded':
      return new EpochcastError('EC_SUPERSEDED', `${topic}: ${detail}`, {
        hint: 'look at the topic again, then decide',
      })
    case 'not-yet':
      return new EpochcastError('EC_TIMEOUT', `${topic}: ${detail}`)
    case 'no-decider':
      return new EpochcastError('EC_NO_DECIDER', `${topic}: ${detail}; nothing was changed`)
    case 'transfer-failed':
      return new EpochcastError('EC_TRANSFER_FAILED', `${topic}: ${detail}; nothing was changed`)
    case 'no-cluster':
      return new EpochcastError('EC_NO_CLUSTER', detail)
    case 'other-cluster':
      return new EpochcastError('EC_OTHER_CLUSTER', detail)
    default:
      return new EpochcastError('EC_NO_DECIDER', `${topic}: ${detail}`)
  }
}
