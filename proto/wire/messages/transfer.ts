/** Bodies and decisions of past epochs: for reading, repair, state transfer, and for who slept through several epochs. */
import { always, type Entry } from '../entry.ts'
import { flag, many, one, optional, uint } from '../fields.ts'
import { configuration, decision, epochType, messageSet } from '../types.ts'
import { topical } from './shared.ts'

export const transfer = {
  pull: {
    number: 14,
    since: 1,
    from: 'client',
    to: 'member',
    epoch: 'any',
    means: 'Asks for bodies after `since`, up to `until` where given; answered by batches and one `pulled`.',
    phases: { unknown: 'empty', ...always },
    fields: {
      ...topical,
      since: one(4, messageSet),
      until: optional(5, messageSet),
      bytesMax: one(6, uint()),
      resume: one(7, uint()),
      /** Without bodies: who only wants to know what was published before. */
      bare: optional(8, flag),
    },
  },
  pulled: {
    number: 15,
    since: 1,
    from: 'server',
    to: 'member',
    and: ['client'],
    epoch: 'any',
    means: '`more`: there is more than `bytesMax` allowed; `resume` goes into the next pull. `unheld`: not held here.',
    phases: { unknown: 'drop', ...always },
    fields: { ...topical, more: one(4, flag), unheld: one(5, flag), resume: one(6, uint()) },
  },
  chain: {
    number: 16,
    since: 1,
    from: 'client',
    to: 'member',
    epoch: 'any',
    means: 'Asks for the decisions that closed `epoch` and later ones.',
    phases: { unknown: 'not-yet', ...always },
    fields: { ...topical },
  },
  decisions: {
    number: 17,
    since: 1,
    from: 'server',
    to: 'member',
    and: ['client', 'coordinator'],
    epoch: 'any',
    means:
      '`newest` is decided; `enabled`: the highest epoch that this member knows to be enabled, 0 where it knows of none.',
    phases: { unknown: 'drop', ...always },
    fields: { ...topical, decisions: many(4, decision), newest: one(5, configuration), enabled: one(6, epochType) },
  },
} as const satisfies Record<string, Entry>
