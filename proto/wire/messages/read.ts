/** Get: what members hold, asked once, or streamed to a subscriber. */
import type { Entry } from '../entry.ts'
import { flag, many, one, optional, uint, word } from '../fields.ts'
import { messageSet, source } from '../types.ts'
import { getLevels, topical } from './shared.ts'

export const read = {
  subscribe: {
    number: 7,
    since: 1,
    from: 'client',
    to: 'member',
    epoch: 'opened',
    means: 'Asks for all that is stored behind `since`, and for reports, from now on.',
    // Numbers and bodies inside the reported vector may still be told; the quorum is counted by the subscriber.
    phases: { unknown: 'not-yet', absent: 'not-yet', open: 'handle', wedged: 'handle', closed: 'moved' },
    fields: {
      ...topical,
      since: one(4, messageSet),
      creditBytes: one(5, uint()),
      /** Bodies alone: who reads along to become a member counts no quorum. */
      quiet: optional(6, flag),
    },
  },
  credit: {
    number: 8,
    since: 1,
    from: 'client',
    to: 'member',
    epoch: 'opened',
    means: 'Total of body bytes that the subscriber has made room for since it subscribed.',
    phases: { unknown: 'drop', absent: 'drop', open: 'handle', wedged: 'handle', closed: 'drop' },
    fields: { ...topical, creditBytes: one(4, uint()) },
  },
  unsubscribe: {
    number: 9,
    since: 1,
    from: 'client',
    to: 'member',
    epoch: 'opened',
    means: 'The end of a subscription.',
    phases: { unknown: 'drop', absent: 'drop', open: 'handle', wedged: 'handle', closed: 'handle' },
    fields: { ...topical },
  },
  report: {
    number: 10,
    since: 1,
    from: 'member',
    to: 'member',
    and: ['client'],
    epoch: 'opened',
    means:
      'What this member has on disk; `whole`: all of it, else what changed; `asks`: it has not heard what the receiver has, which tells it.',
    phases: { unknown: 'bring', absent: 'drop', open: 'handle', wedged: 'drop', closed: 'moved' },
    fields: { ...topical, stored: one(4, messageSet), whole: one(5, flag), asks: optional(6, flag) },
  },
  attend: {
    number: 74,
    since: 1,
    from: 'client',
    to: 'audience',
    means: 'Says that the subscriptions of this client are still wanted, and asks what the server knows of them.',
    fields: {},
  },
  attendance: {
    number: 75,
    since: 1,
    from: 'server',
    to: 'client',
    means:
      'Subscriptions that the server has of the receiver, and reports that it has sent it since it was asked last.',
    fields: { subscriptions: one(2, uint()), reports: one(3, uint()) },
  },
  collect: {
    number: 11,
    since: 1,
    from: 'client',
    to: 'member',
    epoch: 'opened',
    figure: '4-6, `Get`',
    means: 'The first round of a Get: what do you hold.',
    // A Get that may lag is answered from the frozen set too: what is durable is in every closing set (`judge`).
    phases: { unknown: 'not-yet', absent: 'not-yet', open: 'handle', wedged: 'wedged', closed: 'moved' },
    fields: { ...topical, level: one(4, word(getLevels)) },
  },
  complete: {
    number: 12,
    since: 1,
    from: 'client',
    to: 'member',
    epoch: 'opened',
    figure: '4-6, the store-back of a Get',
    means: 'Report once everything in `goal` is on disk here.',
    phases: { unknown: 'not-yet', absent: 'not-yet', open: 'handle', wedged: 'wedged', closed: 'moved' },
    fields: { ...topical, goal: one(4, messageSet), sources: many(5, source) },
  },
  held: {
    number: 13,
    since: 1,
    from: 'member',
    to: 'client',
    means: 'What this member has on disk, and what is known to be durable.',
    fields: { ...topical, stored: one(4, messageSet), durable: one(5, messageSet) },
  },
} as const satisfies Record<string, Entry>
