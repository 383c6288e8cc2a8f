/**
 * Every message, one table each: what the wire carries and what the log keeps. The TypeScript types follow from the tables,
 * and `schema.proto` is printed from them for other languages. Tags and kinds are never used again for something else.
 *
 * `topic` and `epoch` stand in every message that belongs to one epoch of one topic; a message of another epoch is refused
 * by name, never mapped.
 */

import { serverId } from '../ids.ts'
import { bytes, flag, many, one, optional, prose, text, uint, type ValueOf, word } from './fields.ts'
import {
  changeIdType,
  clusterRecord,
  configuration,
  deciderType,
  decision,
  dependencies,
  engineState,
  epochType,
  intent,
  member,
  messageSet,
  modeType,
  orderType,
  phaseTimes,
  publisherType,
  ranks,
  serverLife,
  serverNameType,
  serverShortage,
  serverSync,
  shortageType,
  shownPosition,
  source,
  stake,
  syncType,
  topicType,
} from './types.ts'

const topical = { topic: one(2, topicType), epoch: one(3, epochType) }

/** Why a server does not do what it was asked. */
export const refusals = [
  'wedged',
  'not-yet',
  'unknown-topic',
  'too-many-publishers',
  'bad-batch',
  'disk-full',
  'no-cluster',
  'other-cluster',
  'no-decider',
  'superseded',
  'impossible-membership',
  'unknown-server',
  'transfer-failed',
  'busy',
  'too-few-servers',
  'still-needed',
] as const
export type Refusal = (typeof refusals)[number]

export const getLevels = ['linearizable', 'durable', 'early'] as const
export type GetLevel = (typeof getLevels)[number]

/** What a topic is to be when a request creates it. */
const template = {
  mode: optional(4, modeType),
  decider: optional(20, deciderType),
  size: optional(6, uint()),
  members: many(7, text(32)),
  membersMin: optional(8, uint()),
  order: optional(9, orderType),
}

/** Kind numbers are the places in this table: new kinds go to the end. */
export const shapes = {
  // Steady state: Add, Get, and the Get that streams.
  /** `store` of the figures. Goes to every member, into the log, and to subscribers, always as the same bytes. */
  batch: {
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
  /** Acknowledgement: everything of the publisher up to `end` is on this member's disk, or as safe as `sync` says. */
  stored: { ...topical, publisher: one(4, publisherType), end: one(5, uint()), sync: optional(6, syncType) },
  /** A batch came early: the next one taken starts at `next`. */
  expected: { ...topical, publisher: one(4, publisherType), next: one(5, uint()) },
  refused: { ...topical, refusal: one(4, word(refusals)), detail: one(5, prose(1000)) },
  /** The epoch asked for is closed. `decision` ended it, where it is still known; `newest` is decided, never proposed. */
  moved: { ...topical, decision: optional(4, decision), newest: one(5, configuration) },
  /** For those that were answered `not-yet`: the epoch is served here now. */
  opened: { ...topical },
  subscribe: {
    ...topical,
    since: one(4, messageSet),
    creditBytes: one(5, uint()),
    /** Bodies alone: who reads along to become a member counts no quorum. */
    quiet: optional(6, flag),
  },
  /** Total of body bytes that the subscriber has made room for since it subscribed. */
  credit: { ...topical, creditBytes: one(4, uint()) },
  unsubscribe: { ...topical },
  /** What this member has on disk; `whole`: all of it, else what changed. */
  report: { ...topical, stored: one(4, messageSet), whole: one(5, flag) },
  collect: { ...topical, level: one(4, word(getLevels)) },
  /** Get's store-back: report once everything in `goal` is on disk here. */
  complete: { ...topical, goal: one(4, messageSet), sources: many(5, source) },
  held: { ...topical, stored: one(4, messageSet), durable: one(5, messageSet) },
  /** Asks for bodies after `since`, up to `until` where given; answered by batches and one `pulled`. */
  pull: {
    ...topical,
    since: one(4, messageSet),
    until: optional(5, messageSet),
    bytesMax: one(6, uint()),
    resume: one(7, uint()),
    /** Without bodies: who only wants to know what was published before. */
    bare: optional(8, flag),
  },
  /** `more`: there is more than `bytesMax` allowed; `resume` goes into the next pull. `unheld`: not held here. */
  pulled: { ...topical, more: one(4, flag), unheld: one(5, flag), resume: one(6, uint()) },
  /** Asks for the decisions that closed `epoch` and later ones. */
  chain: { ...topical },
  /** `newest` is decided; `enabled`: the highest epoch that this member knows to be enabled, 0 where it knows of none. */
  decisions: { ...topical, decisions: many(4, decision), newest: one(5, configuration), enabled: one(6, epochType) },

  // Finding topics.
  /**
   * `create`: made when it does not exist; `explicit`: also where topics are not made by being used, and `changeId` is that of
   * the decision that makes it.
   */
  locate: {
    ...topical,
    create: one(10, flag),
    explicit: optional(11, flag),
    ...template,
    changeId: optional(12, changeIdType),
  },
  /** `created`: this request made the topic. */
  located: {
    ...topical,
    configuration: one(4, configuration),
    servers: many(5, member),
    created: one(6, flag),
    /** Members whose disks are full, as far as the one knows that answers. */
    full: many(7, serverNameType),
  },
  inquire: { ...topical },
  /** State of one topic on one server, for people and for the plan of a change. */
  condition: {
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
  },

  // Epoch change: plan, wedge, collect, stage, decide, start, enabled.
  reconfigure: {
    ...topical,
    changeId: one(10, changeIdType),
    ...template,
  },
  /** The coordinator enters a phase. */
  progress: { ...topical, changeId: one(4, changeIdType), phase: one(5, text(20)), detail: one(6, prose(2000)) },
  /** The end of a change, and again whoever asks for it by its id. */
  changed: {
    ...topical,
    changeId: one(4, changeIdType),
    decision: one(5, decision),
    enabled: one(6, flag),
    superseded: one(7, flag),
    retirable: many(8, serverNameType),
    times: one(9, phaseTimes),
    /** Nothing follows: `retirable` servers may stop now. */
    final: one(10, flag),
  },
  preload: { ...topical, sources: many(4, source) },
  preloaded: { ...topical, missing: one(4, uint()) },
  wedge: { ...topical, stake: one(4, stake), intent: one(5, intent) },
  /** `suspended` of the figures: the frozen set, and the accepted proposal of the highest stake, if any. */
  wedged: {
    ...topical,
    stake: one(4, stake),
    stored: one(5, messageSet),
    acceptedStake: optional(6, stake),
    accepted: optional(7, decision),
  },
  /** A higher stake has been promised. */
  outranked: { ...topical, promised: one(4, stake) },
  stage: { ...topical, stake: one(4, stake), closing: one(5, messageSet), sources: many(6, source) },
  /**
   * `missing` messages are not on disk here yet; 0 when staged. In the log: this server has promised to keep what it staged for the
   * end of that epoch until it knows the decision.
   */
  staged: { ...topical, stake: one(4, stake), missing: one(5, uint()) },
  accept: { ...topical, stake: one(4, stake), decision: one(5, decision) },
  accepted: { ...topical, stake: one(4, stake) },
  /** One old member's word that it accepted: a majority with the same stake starts a server. */
  start: { ...topical, stake: one(4, stake), decision: one(5, decision) },
  /** The decision that closed `epoch`, from somebody who knows that it was decided. */
  decided: { ...topical, decision: one(4, decision) },
  /** This member has started `epoch`. */
  started: { ...topical },
  /** `epoch` is enabled: what came before is not needed any more. */
  enabled: { ...topical },
  /** The coordinator of `stake` is alive and working. */
  working: { ...topical, stake: one(4, stake) },

  // Decision engine: write-once registers at the arbiters, one for each epoch of each topic.
  'arbiter-prepare': { ...topical, stake: one(4, stake) },
  'arbiter-promised': {
    ...topical,
    stake: one(4, stake),
    acceptedStake: optional(5, stake),
    accepted: optional(6, decision),
  },
  'arbiter-accept': { ...topical, stake: one(4, stake), decision: one(5, decision) },
  'arbiter-accepted': { ...topical, stake: one(4, stake) },
  'arbiter-outranked': { ...topical, promised: one(4, stake) },
  /** The register is gone: every epoch before that of `newest` is decided. */
  'arbiter-closed': { ...topical, newest: one(4, configuration) },
  /** A decided configuration, for clients that slept through many. */
  note: { ...topical, configuration: one(4, configuration) },
  noted: { ...topical },
  lookup: { ...topical },
  found: { ...topical, configuration: optional(4, configuration) },
  /** Names behind `after`, in order. */
  'list-topics': { after: one(2, text(200)) },
  topics: { configurations: many(2, configuration), more: one(3, flag) },

  // Servers among themselves.
  introduce: {},
  /** `incarnation`: of the process that answers. */
  identity: { member: one(2, member), cluster: optional(3, clusterRecord), incarnation: optional(4, uint()) },
  join: { cluster: one(2, clusterRecord) },
  joined: { member: one(2, member) },
  /**
   * `position`: how much of this life's log its storage will always have; without it from one that does not speak for its
   * topics yet. `sync`: where it is weaker than `always`.
   */
  alive: {
    member: one(2, member),
    directory: one(3, uint()),
    incarnation: optional(4, uint()),
    position: optional(5, uint()),
    sync: optional(6, syncType),
    shortages: many(7, shortageType),
  },
  /**
   * `old`: their disk is an old copy, so they do not serve. `syncs`: of those that flush later than `always`. `short`: of
   * those that answer and are short of something. `twins`: processes that were refused, because another one runs under their
   * id.
   */
  directory: {
    servers: many(2, member),
    silent: many(3, serverNameType),
    old: many(4, serverNameType),
    syncs: many(5, serverSync),
    /** For clients: the arbiters, under the names that they had at the bootstrap. */
    arbiters: many(6, member),
    lives: many(7, serverLife),
    short: many(8, serverShortage),
    twins: many(9, member),
  },
  'list-servers': {},

  // Only in the log.
  /** This server opened `epoch`, the one after the decision. */
  opening: { ...topical, decision: one(4, decision) },

  /** Which decision engines outside of the cluster this server has, and how they are. */
  'list-engines': {},
  engines: {
    engines: many(2, engineState),
    /** Who decides about new topics. */
    decider: one(3, deciderType),
  },

  // A server that came back asks whether its disk is as new as it ever was.
  /** `position`: where its log ended when it began. */
  prove: { member: one(2, member), incarnation: one(3, uint()), position: one(4, uint()) },
  /**
   * The highest position that other lives of the receiver have shown here. `twin`: another process under its id, which was there
   * before it and is still alive.
   */
  shown: { incarnation: one(2, uint()), position: one(3, uint()), twin: optional(4, member) },
  /** Only in the log: what other servers have shown. */
  remembered: { servers: many(2, shownPosition) },

  /** Asks what a server is needed for, as far as the one who is asked knows; topics whose names come behind `after`. */
  'list-parts': { name: one(2, serverNameType), after: one(3, text(200)) },
  /** `topics`: those that have the server as a member, or need what it holds until a change is over. */
  parts: { arbiter: one(2, flag), topics: many(3, topicType), more: one(4, flag) },
  /** Takes a server that is gone for good off the list. */
  forget: { server: one(2, text(32, serverId)) },
  /** Done, now or before. */
  forgot: { name: one(2, serverNameType) },
  /** Only in the log: servers that were forgotten, or came back after that. */
  lives: { servers: many(2, serverLife) },

  /** The answer to a question about the cluster as a whole that cannot be answered, and why. */
  declined: { refusal: one(2, word(refusals)), detail: one(3, text(1000)) },

  // A publisher asks whether a member whose disk was full takes batches again.
  'ask-room': { ...topical },
  room: { ...topical, isThere: one(4, flag) },
} as const

type Shapes = typeof shapes
export type MessageKind = keyof Shapes
export type MessageOf<K extends MessageKind> = K extends MessageKind ? { readonly kind: K } & ValueOf<Shapes[K]> : never
export type Message = { [K in MessageKind]: MessageOf<K> }[MessageKind]

/** Messages that belong to one epoch of one topic. */
export type TopicMessage = Extract<Message, { topic: unknown }>

export type Batch = MessageOf<'batch'>
export type Dependencies = NonNullable<Batch['after']>
/** Up to where of one publisher. */
export type End = Dependencies['own'][number]
export type Template = Pick<MessageOf<'locate'>, 'mode' | 'decider' | 'size' | 'members' | 'membersMin' | 'order'>
export type PhaseTimes = MessageOf<'changed'>['times']
export type Source = MessageOf<'stage'>['sources'][number]
export type ClusterRecord = MessageOf<'join'>['cluster']
export type EngineState = MessageOf<'engines'>['engines'][number]
/** One thing that was found about an engine, and what to do about it. */
export type Finding = EngineState['findings'][number]

export const kinds = Object.keys(shapes) as readonly MessageKind[]

export function isTopical(message: Message): message is TopicMessage {
  return 'topic' in message
}
