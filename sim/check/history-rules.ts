/**
 * What clients together must have seen, whatever happened: definitions 1 and 3 of the paper, one truth about every outcome,
 * nothing that nobody sent, nothing twice.
 */
import { type Epoch, formatMessageId, type MessageId, previousEpoch } from '../../proto/ids.ts'
import { countOf, endOf, type MessageSet } from '../../proto/message-set.ts'
import { messagesOf } from '../world/client-node.ts'
import type { WorldEvent } from '../world/events.ts'
import type { Operation, Step } from '../world/operations.ts'

interface Seen {
  readonly at: number
  readonly operation: Operation
  readonly step: Step
}

/** @returns one line for every rule that does not hold */
export function checkHistory(trace: readonly WorldEvent[]): string[] {
  const broken: string[] = []
  const seen: Seen[] = trace.flatMap((event, at) =>
    event.what === 'operation' ? [{ at, operation: event.operation, step: event.step }] : [],
  )
  const closings = closingsOf(trace)
  checkDurability(seen, broken)
  checkVirtualSynchrony(seen, closings, broken)
  checkOutcomes(seen, closings, broken)
  checkSubscriptions(seen, closings, broken)
  checkIntegrity(trace, seen, broken)
  return broken
}

/** Definition 1: a Get returns everything that was durable when it began. */
function checkDurability(seen: readonly Seen[], broken: string[]): void {
  const durable = new Map<string, { readonly topic: string; readonly epoch: number; readonly at: number }>()
  const began = new Map<Operation, number>()
  const note = (topic: string, id: MessageId, at: number) => {
    const key = `${topic} ${formatMessageId(id)}`
    if (!durable.has(key)) durable.set(key, { topic, epoch: id.epoch, at })
  }
  for (const { at, operation, step } of seen) {
    const { topic } = operation
    if (step.kind === 'invoked') began.set(operation, at)
    if (step.kind === 'added' && step.status !== 'dropped') note(topic, step.id, at)
    if (step.kind === 'delivered' && step.early !== true) note(topic, step.given.id, at)
    if (step.kind === 'confirmed') note(topic, step.id, at)
    if (step.kind !== 'got' || operation.level !== 'linearizable') continue
    const given = new Set(step.given.map(({ id }) => `${topic} ${formatMessageId(id)}`))
    for (const [key, known] of durable) {
      if (known.topic !== topic || known.at > (began.get(operation) ?? 0) || known.epoch < step.floor) continue
      if (!given.has(key)) broken.push(`I1: a Get of ${operation.client} lacks ${key}, durable before it began`)
    }
    for (const { id } of step.given) note(topic, id, at)
  }
}

/** Definition 3: of an epoch that is over, every Get in a later one returns the closing set and nothing else. */
function checkVirtualSynchrony(seen: readonly Seen[], closings: Closings, broken: string[]): void {
  for (const { operation, step } of seen) {
    if (step.kind !== 'got') continue
    for (const [key, closing] of closings) {
      const [topic, epoch] = splitKey(key)
      if (topic !== operation.topic || epoch >= step.epoch || epoch < step.floor) continue
      const given = step.given.filter(({ id }) => id.epoch === epoch)
      if (given.some(({ id }) => !isIn(closing, id)))
        broken.push(`I2: a Get of ${operation.client} returns what epoch ${epoch} dropped`)
      if (given.length !== countOf(closing))
        broken.push(`I2: a Get of ${operation.client} lacks messages of epoch ${epoch}`)
    }
  }
}

/** Whatever was said about a message is true for ever. */
function checkOutcomes(seen: readonly Seen[], closings: Closings, broken: string[]): void {
  for (const { operation, step } of seen) {
    if (step.kind !== 'added') continue
    const closing = closings.get(`${operation.topic} ${step.id.epoch}`)
    if (closing === undefined) continue
    if (isIn(closing, step.id) !== (step.status !== 'dropped'))
      broken.push(`I3: ${operation.client} was told ${step.status} of ${operation.label}, and it is not so`)
  }
}

/** Of every epoch that it saw the end of, a subscriber was given the closing set, once, before the end. */
function checkSubscriptions(seen: readonly Seen[], closings: Closings, broken: string[]): void {
  const given = new Map<Operation, Set<string>>()
  const ended = new Map<Operation, number>()
  for (const { operation, step } of seen) {
    if (operation.kind !== 'subscribe') continue
    const ids = given.get(operation) ?? new Set<string>()
    given.set(operation, ids)
    const name = operation.label
    if (step.kind === 'delivered') {
      const id = formatMessageId(step.given.id)
      if (ids.has(id)) broken.push(`F4: ${name} was given ${id} twice`)
      ids.add(id)
      if (step.given.id.epoch <= (ended.get(operation) ?? 0)) broken.push(`F6: ${name} was given ${id} after its epoch`)
      const closing = closings.get(`${operation.topic} ${step.given.id.epoch}`)
      if (closing !== undefined && !isIn(closing, step.given.id) && step.early !== true)
        broken.push(`I3: ${name} was given ${id}, which was dropped`)
    }
    if (step.kind === 'retracted') {
      ids.delete(formatMessageId(step.id))
      const closing = closings.get(`${operation.topic} ${step.id.epoch}`)
      if (closing !== undefined && isIn(closing, step.id))
        broken.push(`I3: ${name} was told that ${formatMessageId(step.id)} was dropped, and it is not so`)
    }
    if (step.kind !== 'epoch') continue
    const epoch = previousEpoch(step.decision.next.epoch)
    ended.set(operation, epoch)
    const count = [...ids].filter((id) => id.startsWith(`${epoch}-`)).length
    if (count !== countOf(step.decision.closing) && isFromStart(operation, seen))
      broken.push(`F6: ${name} was given ${count} messages of epoch ${epoch}`)
  }
}

function isFromStart(operation: Operation, seen: readonly Seen[]): boolean {
  // One that begins with what is new lacks the beginning of its first epoch.
  return (
    !seen.some((one) => one.operation === operation && one.step.kind === 'gap') && !operation.label.startsWith('new')
  )
}

/** Nobody is given what nobody sent, and nothing twice in one answer. */
function checkIntegrity(trace: readonly WorldEvent[], seen: readonly Seen[], broken: string[]): void {
  const sent = new Map<string, string>()
  for (const event of trace) {
    if (event.what !== 'send' || event.parcel.kind !== 'batch') continue
    const { message } = event.parcel
    if (message.kind !== 'batch') continue
    for (const { id, value } of messagesOf(message)) {
      const key = `${message.topic} ${formatMessageId(id)}`
      const known = sent.get(key)
      if (known !== undefined && known !== value) broken.push(`I11: ${key} has two values`)
      sent.set(key, value)
    }
  }
  for (const { operation, step } of seen) {
    const given = step.kind === 'got' ? step.given : step.kind === 'delivered' ? [step.given] : []
    if (new Set(given.map(({ id }) => formatMessageId(id))).size !== given.length)
      broken.push(`I11: a Get of ${operation.client} returns something twice`)
    for (const { id, value } of given) {
      if (sent.get(`${operation.topic} ${formatMessageId(id)}`) !== value)
        broken.push(`I11: ${operation.client} was given ${value}, which nobody sent`)
    }
  }
}

type Closings = ReadonlyMap<string, MessageSet>

/** Closing sets of all epochs that were opened over. */
function closingsOf(trace: readonly WorldEvent[]): Closings {
  const closings = new Map<string, MessageSet>()
  for (const event of trace) {
    if (event.what !== 'operation') continue
    const { step, operation } = event
    const decision = step.kind === 'changed' ? step.message.decision : step.kind === 'epoch' ? step.decision : null
    if (decision !== null) closings.set(`${operation.topic} ${previousEpoch(decision.next.epoch)}`, decision.closing)
  }
  return closings
}

function splitKey(key: string): [string, Epoch] {
  const at = key.lastIndexOf(' ')
  return [key.slice(0, at), Number(key.slice(at + 1)) as Epoch]
}

function isIn(set: MessageSet, id: MessageId): boolean {
  return id.sequence <= endOf(set, id.publisher)
}
