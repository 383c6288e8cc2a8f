/** The decision engine that is built in: write-once registers at the arbiters, one for each epoch of each topic. */
import type { Entry } from '../entry.ts'
import { flag, many, one, optional, text } from '../fields.ts'
import { configuration, decision, stake } from '../types.ts'
import { topical } from './shared.ts'

export const decide = {
  'arbiter-prepare': {
    number: 39,
    since: 1,
    from: 'coordinator',
    to: 'arbiter',
    figure: '5.3, phase 1 of the Synod',
    means: 'Promise this stake.',
    fields: { ...topical, stake: one(4, stake) },
  },
  'arbiter-promised': {
    number: 40,
    since: 1,
    from: 'arbiter',
    to: 'proposer',
    means: 'The promise, and the accepted proposal of the highest stake, if there is one.',
    fields: { ...topical, stake: one(4, stake), acceptedStake: optional(5, stake), accepted: optional(6, decision) },
  },
  'arbiter-accept': {
    number: 41,
    since: 1,
    from: 'coordinator',
    to: 'arbiter',
    figure: '5.3, phase 2 of the Synod',
    means: 'The proposal of a stake.',
    fields: { ...topical, stake: one(4, stake), decision: one(5, decision) },
  },
  'arbiter-accepted': {
    number: 42,
    since: 1,
    from: 'arbiter',
    to: 'proposer',
    means: 'The proposal of that stake is on disk here.',
    fields: { ...topical, stake: one(4, stake) },
  },
  'arbiter-outranked': {
    number: 43,
    since: 1,
    from: 'arbiter',
    to: 'proposer',
    means: 'A higher stake has been promised.',
    fields: { ...topical, promised: one(4, stake) },
  },
  'arbiter-closed': {
    number: 44,
    since: 1,
    from: 'arbiter',
    to: 'proposer',
    means: 'The register is gone: every epoch before that of `newest` is decided.',
    fields: { ...topical, newest: one(4, configuration) },
  },
  note: {
    number: 45,
    since: 1,
    from: 'server',
    to: 'arbiter',
    means: 'A decided configuration, for clients that slept through many.',
    fields: { ...topical, configuration: one(4, configuration) },
  },
  noted: {
    number: 46,
    since: 1,
    from: 'arbiter',
    to: 'proposer',
    means: 'The configuration, or a newer one, is on disk here.',
    fields: { ...topical },
  },
  lookup: {
    number: 47,
    since: 1,
    from: 'server',
    to: 'arbiter',
    means: 'Asks for the newest configuration of a topic.',
    fields: { ...topical },
  },
  found: {
    number: 48,
    since: 1,
    from: 'arbiter',
    to: 'proposer',
    means: 'The newest configuration that was noted here, if there is one.',
    fields: { ...topical, configuration: optional(4, configuration) },
  },
  'list-noted': {
    number: 72,
    since: 1,
    from: 'server',
    to: 'arbiter',
    means:
      'Asks for the newest configurations of topics whose names come behind `after` and begin with `prefix`, in order.',
    fields: { after: one(2, text(200)), prefix: optional(3, text(200)) },
  },
  'noted-topics': {
    number: 73,
    since: 1,
    from: 'arbiter',
    to: 'proposer',
    means: 'Those that were noted here.',
    fields: { configurations: many(2, configuration), more: one(3, flag) },
  },
} as const satisfies Record<string, Entry>
