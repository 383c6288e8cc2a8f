/** Servers among themselves, and questions about the cluster as a whole. */
import { serverId } from '../../ids.ts'
import type { Entry } from '../entry.ts'
import { flag, many, one, optional, text, uint, word } from '../fields.ts'
import {
  clusterRecord,
  deciderType,
  engineState,
  member,
  serverLife,
  serverNameType,
  serverShortage,
  serverSync,
  shortageType,
  syncType,
  topicType,
  versionRange,
} from '../types.ts'
import { refusals } from './shared.ts'

export const servers = {
  introduce: {
    number: 51,
    since: 1,
    from: 'anyone',
    to: 'cluster',
    means: 'Who are you.',
    fields: {},
  },
  identity: {
    number: 52,
    since: 1,
    from: 'anyone',
    to: 'cluster',
    and: ['client'],
    means: 'The server that answers, its cluster if it belongs to one, and the incarnation of its process.',
    fields: {
      member: one(2, member),
      cluster: optional(3, clusterRecord),
      incarnation: optional(4, uint()),
      /** What the server speaks: the first version alone where it is left out. */
      versions: optional(5, versionRange),
    },
  },
  join: {
    number: 53,
    since: 1,
    from: 'anyone',
    to: 'cluster',
    means: 'Belong to this cluster.',
    fields: { cluster: one(2, clusterRecord) },
  },
  joined: {
    number: 54,
    since: 1,
    from: 'anyone',
    to: 'client',
    means: 'This server belongs to the cluster, since now or before.',
    fields: { member: one(2, member) },
  },
  alive: {
    number: 55,
    since: 1,
    from: 'newcomer',
    to: 'directory',
    means: 'A server is alive.',
    fields: {
      member: one(2, member),
      /** Digest of the list of servers that it knows. */
      directory: one(3, uint()),
      incarnation: optional(4, uint()),
      /** How much of the log of this life its storage will always have; without it while the server does not speak for its topics. */
      position: optional(5, uint()),
      /** Where it is weaker than `always`. */
      sync: optional(6, syncType),
      shortages: many(7, shortageType),
    },
  },
  directory: {
    number: 56,
    since: 1,
    from: 'server',
    to: 'directory',
    and: ['client'],
    means: 'The servers that are known.',
    fields: {
      servers: many(2, member),
      silent: many(3, serverNameType),
      /** Their disk is an old copy, so they do not serve. */
      old: many(4, serverNameType),
      /** Of those that flush later than `always`. */
      syncs: many(5, serverSync),
      /** For clients: the arbiters, under the names that they had at the bootstrap. */
      arbiters: many(6, member),
      lives: many(7, serverLife),
      /** Of those that answer and are short of something. */
      short: many(8, serverShortage),
      /** Processes that were refused, because another one runs under their id. */
      twins: many(9, member),
    },
  },
  'list-servers': {
    number: 57,
    since: 1,
    from: 'client',
    to: 'directory',
    means: 'Asks for the directory.',
    fields: {},
  },
  'list-engines': {
    number: 59,
    since: 1,
    from: 'client',
    to: 'engines',
    means: 'Asks which decision engines outside of the cluster this server has, and how they are.',
    fields: {},
  },
  engines: {
    number: 60,
    since: 1,
    from: 'server',
    to: 'client',
    means: 'The engines, and the decider of new topics.',
    fields: { engines: many(2, engineState), decider: one(3, deciderType) },
  },
  prove: {
    number: 61,
    since: 1,
    from: 'newcomer',
    to: 'proof',
    means:
      'A server that came back asks whether its disk is as new as it ever was; `position`: where its log ended when it began.',
    fields: { member: one(2, member), incarnation: one(3, uint()), position: one(4, uint()) },
  },
  shown: {
    number: 62,
    since: 1,
    from: 'client',
    to: 'proof',
    means: 'The highest position that other lives of the receiver have shown here.',
    fields: {
      incarnation: one(2, uint()),
      position: one(3, uint()),
      /** Another process under its id, which was there before it and is still alive. */
      twin: optional(4, member),
    },
  },
  'list-parts': {
    number: 64,
    since: 1,
    from: 'client',
    to: 'parts',
    means: 'Asks what a server is needed for, as far as the asked one knows; topics whose names come behind `after`.',
    fields: { name: one(2, serverNameType), after: one(3, text(200)) },
  },
  parts: {
    number: 65,
    since: 1,
    from: 'server',
    to: 'client',
    means: '`topics`: those that have the server as a member, or need what it holds until a change is over.',
    fields: { arbiter: one(2, flag), topics: many(3, topicType), more: one(4, flag) },
  },
  forget: {
    number: 66,
    since: 1,
    from: 'client',
    to: 'parts',
    means: 'Takes a server that is gone for good off the list.',
    fields: { server: one(2, text(32, serverId)) },
  },
  forgot: {
    number: 67,
    since: 1,
    from: 'server',
    to: 'client',
    means: 'The server is off the list, since now or before.',
    fields: { name: one(2, serverNameType) },
  },
  declined: {
    number: 69,
    since: 1,
    from: 'server',
    to: 'client',
    means: 'A question about the cluster as a whole that cannot be answered, and why.',
    fields: { refusal: one(2, word(refusals)), detail: one(3, text(1000)) },
  },
} as const satisfies Record<string, Entry>
