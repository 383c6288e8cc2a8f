/** Finding topics, and looking at them. */
import type { Entry } from '../entry.ts'
import { flag, many, nested, one, optional, text, uint } from '../fields.ts'
import { changeIdType, configuration, epochType, member, messageSet, serverNameType, stake } from '../types.ts'
import { template, topical } from './shared.ts'

export const find = {
  locate: {
    number: 18,
    since: 1,
    from: 'client',
    to: 'finder',
    means: 'Asks for the newest configuration of a topic, which may be made.',
    fields: {
      ...topical,
      /** Made when it does not exist. */
      create: one(10, flag),
      /** Also where topics are not made by being used, and `changeId` is that of the decision that makes it. */
      explicit: optional(11, flag),
      ...template,
      changeId: optional(12, changeIdType),
    },
  },
  located: {
    number: 19,
    since: 1,
    from: 'server',
    to: 'client',
    means: 'The newest configuration that is known, and the servers of the cluster.',
    fields: {
      ...topical,
      configuration: one(4, configuration),
      servers: many(5, member),
      /** This request made the topic. */
      created: one(6, flag),
      /** Members whose disks are full, as far as the server knows that answers. */
      full: many(7, serverNameType),
    },
  },
  inquire: {
    number: 20,
    since: 1,
    from: 'client',
    to: 'member',
    epoch: 'any',
    means: 'Asks for the state of a topic at one server.',
    phases: { unknown: 'empty', absent: 'handle', open: 'handle', wedged: 'handle', closed: 'handle' },
    fields: { ...topical },
  },
  condition: {
    number: 21,
    since: 1,
    from: 'server',
    to: 'coordinator',
    and: ['client'],
    means: 'State of one topic at one server, for people and for the plan of a change.',
    fields: {
      ...topical,
      phase: one(4, text(20)),
      configuration: optional(5, configuration),
      stored: one(6, messageSet),
      stagedCount: one(7, uint()),
      promised: optional(8, stake),
      heldEpochs: one(9, uint()),
      /** The highest epoch that this server knows to be enabled, 0 where it knows of none. */
      enabled: one(10, epochType),
      /** The epoch that this server has fetched for, or is fetching for, and has not begun. */
      upcoming: optional(11, epochType),
      /** Timers of the topic that are set there. */
      timers: many(12, nested({ name: one(1, text(200)), ticks: one(2, uint()) }, 'RunningTimer')),
    },
  },
  'list-topics': {
    number: 49,
    since: 1,
    from: 'client',
    to: 'finder',
    means: 'Asks for the topics whose names come behind `after` and begin with `prefix`, in order.',
    fields: { after: one(2, text(200)), prefix: optional(3, text(200)) },
  },
  topics: {
    number: 50,
    since: 1,
    from: 'server',
    to: 'client',
    means: 'One page of topics.',
    fields: { configurations: many(2, configuration), more: one(3, flag) },
  },
} as const satisfies Record<string, Entry>
