/** The options of every call of a topic, and of several at once: one table each. */
import { orders } from '../../proto/configuration.ts'
import { type Check, flag, moment, signal, text, topic, whole, word } from '../../proto/door/checks.ts'
import { type Checks, entriesOf, optionsOf } from '../../proto/door/options.ts'
import { refusal } from '../../proto/door/refusal.ts'
import { getLevels } from '../../proto/wire/messages.ts'
import type { Codec } from '../codecs.ts'
import type { Cursor } from '../cursor.ts'
import { durabilities } from '../operations/reading.ts'
import type { OutcomeOptions } from '../outcome.ts'
import { propertyChecks } from '../properties.ts'
import { type From, placeHint } from '../replay.ts'
import type { TogetherOptions } from '../together-stream.ts'
import type {
  AnyPublishOptions,
  GetOptions,
  GroupOptions,
  RequestOptions,
  RespondOptions,
  SubscribeOptions,
} from '../topic-options.ts'
import type { WaitOptions } from '../waiting.ts'
import { waiting } from './admin-calls.ts'
import { codec } from './payload.ts'

/** What a place to begin is, by its form; whether a cursor is one of this topic is looked at where its topic is known. */
export const fromOf: Check<From> = (value, what) => {
  if (typeof value === 'string') return value
  const place = optionsOf<{ readonly time?: number; readonly epoch?: number }>(what, {
    time: moment,
    epoch: whole(1),
  })(value)
  const { time, epoch } = place
  if (time !== undefined && epoch === undefined) return { time }
  if (epoch !== undefined && time === undefined) return { epoch }
  throw refusal(`${what} names no place to begin, or two`, placeHint)
}

/** For every topic the same, or a cursor for each by its name. */
const fromTogether: Check<NonNullable<TogetherOptions['from']>> = (value, what) => {
  if (typeof value === 'string') return word(['start', 'new'])(value, what)
  const cursors: Record<string, Cursor> = Object.create(null)
  for (const [name, cursor] of entriesOf(value, `the cursors of ${what}`)) {
    if (typeof cursor !== 'string') throw refusal(`the cursor of topic ${name} is not a string`)
    cursors[name] = cursor
  }
  return cursors
}

const limits: Omit<Checks<GroupOptions>, 'ack'> = {
  from: fromOf,
  maxPending: whole(1),
  leaseMs: whole(1),
  deliveriesMax: whole(0),
  deadLetter: topic,
  signal,
}

export const topicOptions = optionsOf<{ readonly codec?: Codec<never> }>('topic', { codec })

export const publishOptions = optionsOf<AnyPublishOptions>('publish', {
  ...propertyChecks,
  ...waiting,
  onEpochEnd: word(['republish', 'settle']),
})
export const getOptions = optionsOf<GetOptions>('get', { ...waiting, level: word(getLevels), since: text(1_000_000) })
export const subscribeOptions = optionsOf<SubscribeOptions & { readonly events?: boolean }>('subscribe', {
  from: fromOf,
  signal,
  order: word(orders),
  durability: word(durabilities),
  events: flag,
})
export const togetherOptions = optionsOf<TogetherOptions>('together', {
  from: fromTogether,
  durability: word(durabilities),
  signal,
})
export const groupOptions = optionsOf<GroupOptions>('group', { ...limits, ack: word(['auto', 'explicit']) })
export const requestOptions = optionsOf<RequestOptions<never>>('request', { ...waiting, ...properties(), codec })
export const respondOptions = optionsOf<RespondOptions<never>>('respond', { ...limits, codec, group: text(64) })
export const outcomeOptions = optionsOf<OutcomeOptions>('outcome', { ...waiting, settle: flag })
export const configurationOptions = optionsOf<WaitOptions & { readonly create?: boolean }>('configuration', {
  ...waiting,
  create: flag,
})
export const viewsOptions = optionsOf<{ readonly signal?: AbortSignal }>('views', { signal })

function properties() {
  const { key, contentType, headers } = propertyChecks
  return { key, contentType, headers }
}
