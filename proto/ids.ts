import { EpochcastError } from './errors.ts'
import { shown } from './shown.ts'

declare const brand: unique symbol
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name }

/** Where a transport reaches an endpoint, e.g. `127.0.0.1:7400`. */
export type Address = Branded<string, 'Address'>
/** One server with one storage, `serverId@storageUUID`: a server that lost its disk is another server. */
export type ServerName = Branded<string, 'ServerName'>
/** A server's name in configuration files and on the command line; survives the loss of its storage. */
export type ServerId = Branded<string, 'ServerId'>
/** UUID of a cluster, made once by its bootstrap. */
export type ClusterId = Branded<string, 'ClusterId'>
/** Name of a topic: dot-separated tokens. */
export type TopicName = Branded<string, 'TopicName'>
/** Number of one configuration's lifetime: 1, 2, 3 … within a topic. 0 is what precedes the first. */
export type Epoch = Branded<number, 'Epoch'>
/** One producer of one client process: 64 random bits as 16 hexadecimal digits, never used again. */
export type PublisherId = Branded<string, 'PublisherId'>
/** Number of a message among its publisher's in one epoch: 1, 2, 3 … without a gap. */
export type Sequence = Branded<number, 'Sequence'>

const serverIdPattern = /^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$/
const topicPattern = /^[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)*$/
const topicLengthMax = 200
const publisherPattern = /^[0-9a-f]{16}$/
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

export function address(text: string): Address {
  if (typeof text === 'string' && text.length > 0 && text.length <= 255) return text as Address
  throw bad(`address ${shown(text)} is empty or too long`)
}

export function serverId(text: string): ServerId {
  if (matches(serverIdPattern, text)) return text as ServerId
  throw bad(`server id ${shown(text)} must be 1 to 32 letters, digits, "-" or "_"`)
}

export function serverName(id: ServerId, storage: string): ServerName {
  if (!matches(uuidPattern, storage)) throw bad(`storage ${shown(storage)} is not a UUID`)
  return `${serverId(id)}@${storage}` as ServerName
}

/** Names that were looked at before: nearly every message of a server carries some, and always the same. */
const goodNames = new Set<string>()
const goodNamesMax = 4096

/** Takes a `serverId@storageUUID` from outside. */
export function parseServerName(text: string): ServerName {
  if (goodNames.has(text)) return text as ServerName
  const at = typeof text === 'string' ? text.indexOf('@') : 0
  if (at < 1) throw bad(`server name ${shown(text)} has no "@"`)
  const name = serverName(text.slice(0, at) as ServerId, text.slice(at + 1))
  if (goodNames.size >= goodNamesMax) goodNames.clear()
  goodNames.add(name)
  return name
}

export function serverIdOf(name: ServerName): ServerId {
  return name.slice(0, name.indexOf('@')) as ServerId
}

export function clusterId(text: string): ClusterId {
  if (matches(uuidPattern, text)) return text as ClusterId
  throw bad(`cluster id ${shown(text)} is not a UUID`)
}

/** Checks a topic's name: tokens of letters, digits, `_`, `-` and `$`, joined by dots, at most 200 characters. */
export function topicName(text: string): TopicName {
  if (matches(topicPattern, text) && text.length <= topicLengthMax) return text as TopicName
  throw bad(
    `topic ${shown(text)} must be dot-separated tokens of letters, digits, "-", "_" (at most ${topicLengthMax} characters)`,
  )
}

export function publisherId(text: string): PublisherId {
  if (matches(publisherPattern, text)) return text as PublisherId
  throw bad(`publisher ${shown(text)} is not 16 hexadecimal digits`)
}

/**
 * Ids of publishers that are no clients: what they store is never given to users, has no position and is not counted. All of
 * them begin with eight times `f`.
 */
export function isSystemPublisher(id: PublisherId): boolean {
  return id.startsWith('ffffffff')
}

/** Under this id the sequencer of an epoch, and nobody else, stores in which order messages come. */
export const sequencerPublisher: PublisherId = 'ffffffffffffffff' as PublisherId

export function epoch(value: number): Epoch {
  if (Number.isSafeInteger(value) && value >= 0) return value as Epoch
  throw bad(`epoch ${shown(value)} is not a natural number`)
}

/** What precedes a topic's first epoch: its decision makes the topic. */
export const beforeFirst: Epoch = epoch(0)

export function sequence(value: number): Sequence {
  if (Number.isSafeInteger(value) && value >= 1) return value as Sequence
  throw bad(`sequence ${shown(value)} is not a positive integer`)
}

export function nextEpoch(of: Epoch): Epoch {
  return epoch(of + 1)
}

export function previousEpoch(of: Epoch): Epoch {
  return epoch(of - 1)
}

/** Identity of one Add. An Add belongs to one epoch for ever; the same content in the next one is another message. */
export interface MessageId {
  readonly epoch: Epoch
  readonly publisher: PublisherId
  readonly sequence: Sequence
}

/** Epochs and sequences count from 1, without zeros in front: an id is written in one way. */
const messageIdPattern = /^([1-9]\d{0,14})-([0-9a-f]{16})-([1-9]\d{0,14})$/

/** `epoch-publisher-sequence`, the form that users see, store and ask about. */
export function formatMessageId(id: MessageId): string {
  return `${id.epoch}-${id.publisher}-${id.sequence}`
}

/** @throws EpochcastError `EC_BAD_ARGUMENT` when the text is not an id that `formatMessageId` wrote */
export function parseMessageId(text: string): MessageId {
  const match = typeof text === 'string' ? messageIdPattern.exec(text) : null
  if (match === null) throw bad(`message id ${shown(text)} is not EPOCH-PUBLISHER-SEQUENCE`)
  return {
    epoch: epoch(Number(match[1])),
    publisher: publisherId(match[2] ?? ''),
    sequence: sequence(Number(match[3])),
  }
}

/** A pattern is asked only about text: it would turn anything else into text first, as `['a']` into `a`. */
function matches(pattern: RegExp, text: unknown): text is string {
  return typeof text === 'string' && pattern.test(text)
}

function bad(message: string): EpochcastError {
  return new EpochcastError('EC_BAD_ARGUMENT', message)
}
