/** Options that several calls share which start servers or make clusters: each by its own total table. */
import { outsideEngine } from '../../proto/decider.ts'
import { type Check, distinct, flag, listOf, text, topic, whole } from '../../proto/door/checks.ts'
import { optionsOf, requiring } from '../../proto/door/options.ts'
import { refusal } from '../../proto/door/refusal.ts'
import { type Address, address as addressOf } from '../../proto/ids.ts'
import { shown } from '../../proto/shown.ts'
import { parseSync, type Sync } from '../../proto/sync.ts'
import type { Template } from '../../proto/wire/messages.ts'
import type { TopicDefaults } from '../finder.ts'
import type { Limits } from '../host.ts'
import { template } from './template.ts'

export const address: Check<Address> = (value) => addressOf(value as string)
export const addresses: Check<readonly Address[]> = listOf(address)
/** Addresses of servers, each once. */
export const serverAddresses: Check<readonly Address[]> = distinct(address)
export const sync: Check<Sync> = (value, what) => parseSync(text(64)(value, what))

const templates: Check<ReadonlyMap<string, Template>> = (value, what) => {
  if (!(value instanceof Map)) throw refusal(`${what} ${shown(value)} is not a Map`, 'a template by each topic')
  return new Map(Array.from(value, ([name, one]) => [topic(name, what), template(one, what)]))
}

const topicDefaults = requiring<TopicDefaults, 'autoCreate' | 'template'>(
  'defaults',
  { autoCreate: flag, template, topics: templates },
  ['autoCreate', 'template'],
)
export const defaults: Check<TopicDefaults> = (value) => topicDefaults(value)

/** @throws EpochcastError `EC_BAD_ARGUMENT` where a new topic would be decided about by an engine that is not there */
export function checkEngines({ template: usual, topics }: TopicDefaults, ids: readonly string[]): void {
  for (const { decider } of [usual, ...(topics?.values() ?? [])]) {
    const id = decider === undefined ? undefined : outsideEngine(decider)?.id
    if (id === undefined || ids.includes(id)) continue
    const known = ids.length === 0 ? 'name it under engines' : `there are ${ids.join(', ')}`
    throw refusal(`no engine is called ${id}`, known)
  }
}

const [ticks, bytes] = [whole(1), whole(1)]
const numbers = optionsOf<Partial<Limits>>('limits', {
  ...{ publishersMax: whole(1), pullBytes: bytes, pullBytesMax: bytes },
  ...{ requestTicks: ticks, reportTicks: ticks, takeoverTicks: ticks, resendTicks: ticks, graceTicks: whole(0) },
  ...{ stageTicks: ticks, planTicks: ticks, clientTicks: ticks, sequencerTicks: ticks },
  ...{ recoveryReplaceTicks: whole(0), maskingReplaceTicks: whole(0) },
})
export const limits: Check<Partial<Limits>> = (value) => numbers(value)
