/** Add: batches to every member, their acknowledgements, and the refusals by name that all protocols share. */
import type { Entry } from '../entry.ts'
import { bytes, flag, one, optional, prose, uint, word } from '../fields.ts'
import { configuration, decision, dependencies, publisherType, ranks, syncType } from '../types.ts'
import { refusals, topical } from './shared.ts'

export const publish = {
  batch: {
    number: 1,
    since: 1,
    from: 'client',
    answer: 'server',
    to: 'member',
    and: ['client'],
    epoch: 'opened',
    figure: '4-6, `store`',
    means:
      'Messages of one publisher, one after the other. Goes to every member, into the log, and to subscribers, always as the same bytes. ' +
      'As an answer to a pull it comes from a server alone, and records of the sequencer come from the sequencer alone.',
    phases: { unknown: 'not-yet', absent: 'not-yet', open: 'handle', wedged: 'wedged', closed: 'moved' },
    fields: {
      ...topical,
      publisher: one(4, publisherType),
      first: one(5, uint()),
      last: one(6, uint()),
      time: one(7, uint()),
      check: one(8, uint()),
      body: one(9, bytes),
      /** What it comes after that its publisher's batches before it did not name: in topics of order `causal` and `total`. */
      after: optional(10, dependencies),
      /** The sequencer's records alone. */
      ranks: optional(11, ranks),
    },
  },
  stored: {
    number: 2,
    since: 1,
    from: 'member',
    to: 'sequencer',
    and: ['client'],
    figure: '4-6, `ack`',
    means: 'Everything of the publisher up to `end` is on the disk of this member, or as safe as `sync` says.',
    fields: { ...topical, publisher: one(4, publisherType), end: one(5, uint()), sync: optional(6, syncType) },
  },
  expected: {
    number: 3,
    since: 1,
    from: 'member',
    to: 'sequencer',
    and: ['client'],
    means: 'A batch came early: the next one taken starts at `next`.',
    fields: { ...topical, publisher: one(4, publisherType), next: one(5, uint()) },
  },
  refused: {
    number: 4,
    since: 1,
    from: 'server',
    to: 'sequencer',
    and: ['client'],
    means: 'A request is not done, and why.',
    fields: { ...topical, refusal: one(4, word(refusals)), detail: one(5, prose(1000)) },
  },
  moved: {
    number: 5,
    since: 1,
    from: 'server',
    to: 'member',
    and: ['client', 'coordinator'],
    epoch: 'any',
    figure: '4-6, the answer of an epoch that is over',
    means: 'The epoch is closed. `decision` ended it, where it is still known; `newest` is decided, never proposed.',
    phases: { unknown: 'drop', absent: 'handle', open: 'handle', wedged: 'handle', closed: 'handle' },
    fields: { ...topical, decision: optional(4, decision), newest: one(5, configuration) },
  },
  opened: {
    number: 6,
    since: 1,
    from: 'member',
    to: 'sequencer',
    and: ['client'],
    means: 'The epoch is served here now: for those that were answered `not-yet`.',
    fields: { ...topical },
  },
  'ask-room': {
    number: 70,
    since: 1,
    from: 'client',
    to: 'member',
    epoch: 'opened',
    means: 'A publisher asks whether a member whose disk was full takes batches again.',
    phases: { unknown: 'not-yet', absent: 'not-yet', open: 'handle', wedged: 'wedged', closed: 'moved' },
    fields: { ...topical },
  },
  room: {
    number: 71,
    since: 1,
    from: 'member',
    to: 'sequencer',
    and: ['client'],
    means: 'Whether there is room on the disk of this member.',
    fields: { ...topical, isThere: one(4, flag) },
  },
} as const satisfies Record<string, Entry>
