/** Fields and words that messages of several protocols share. */
import { many, one, optional, text, uint } from '../fields.ts'
import { deciderType, epochType, modeType, orderType, topicType } from '../types.ts'

/** In every message that belongs to one epoch of one topic; a message of another epoch is refused by name, never mapped. */
export const topical = { topic: one(2, topicType), epoch: one(3, epochType) }

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
  'other-version',
] as const
export type Refusal = (typeof refusals)[number]

export const getLevels = ['linearizable', 'durable', 'early'] as const
export type GetLevel = (typeof getLevels)[number]

/** What a topic is to be when a request creates or changes it. */
export const template = {
  mode: optional(4, modeType),
  decider: optional(20, deciderType),
  size: optional(6, uint()),
  members: many(7, text(32)),
  membersMin: optional(8, uint()),
  order: optional(9, orderType),
}
