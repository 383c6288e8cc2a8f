/**
 * What a seed asks of its topics beyond being durable: orders, early delivery, answers, a second topic, an engine outside of the
 * cluster. A share of the operations that are drawn already is changed, so that a seed costs what it did.
 */
import type { Decider, Order } from '../../proto/configuration.ts'
import { isStamped, offers, orders } from '../../proto/configuration.ts'
import type { Random } from '../../proto/machine/ports.ts'
import { pick, shuffled } from './chance.ts'
import { answerValue } from './order-situations.ts'
import { engineName, type Plan, type PlannedOperation, type PlannedTopic } from './plan.ts'

export type Drawn = Pick<Plan, 'topic' | 'second' | 'operations'>

/** Half of all topics have no stamps. */
const topicOrders: readonly Order[] = ['none', 'fifo', 'fifo', 'fifo', 'causal', 'causal', 'total', 'total']
const secondOneIn = 4

interface Needs {
  readonly servers: readonly string[]
  readonly clients: readonly string[]
  readonly until: number
}

/** Orders and a second topic for what was drawn without them. */
export function drawTopics(random: Random, plain: Drawn, needs: Needs): Drawn {
  const topic = { ...plain.topic, order: pick(random, topicOrders) }
  const second = random.below(secondOneIn) === 0 ? drawSecond(random, needs.servers) : null
  const changed = plain.operations.map((one) => {
    const inSecond = second !== null && one.do !== 'reconfigure' && random.below(3) === 0
    const moved: PlannedOperation = inSecond ? { ...one, topic: 'u' } : one
    return decorated(random, moved, inSecond ? second.order : topic.order)
  })
  const operations = changed.map((one) => (one.do === 'outcome' ? asked(one, changed) : one))
  operations.push(...drawReaders(random, topic, second, needs))
  if (second !== null && random.below(2) === 0) operations.push(drawChange(random, second, needs))
  return { topic, second, operations: operations.sort((one, other) => one.at - other.at) }
}

function drawSecond(random: Random, servers: readonly string[]): PlannedTopic {
  const mode = pick(random, ['fault-masking', 'fault-recovery', 'single'] as const)
  const size = { 'fault-masking': 3, 'fault-recovery': 2, single: 1 }[mode]
  const decider = mode === 'fault-masking' ? 'stakes' : 'engine'
  const order = pick(random, ['fifo', 'causal', 'causal', 'total'] as const)
  return { mode, decider, members: shuffled(random, servers).slice(0, size), membersMin: 1, order }
}

function decorated(random: Random, one: PlannedOperation, order: Order): PlannedOperation {
  if (one.do === 'subscribe') return { ...one, ...drawReading(random, order) }
  if (one.do === 'add' && isStamped(order) && random.below(3) === 0) {
    const { at, client, topic, value } = one
    return { at, client, do: 'answer', value: answerValue(value), ...(topic && { topic }) }
  }
  if (one.do === 'reconfigure' && isStamped(order) && random.below(8) === 0)
    return { ...one, order: pick(random, topicOrders) }
  return one
}

/** Whose outcome is asked for may be in the other topic now, and called otherwise. */
function asked(one: PlannedOperation & { do: 'outcome' }, among: readonly PlannedOperation[]): PlannedOperation {
  const { at, client, of } = one
  for (const { topic, ...other } of among) {
    if (other.do !== 'add' && other.do !== 'answer') continue
    if (other.value === of || other.value === answerValue(of))
      return { at, client, do: 'outcome', of: other.value, ...(topic && { topic }) }
  }
  return one
}

/** What the topic offers, or less. */
function drawReading(random: Random, topicOrder: Order): Pick<PlannedOperation & { do: 'subscribe' }, 'order'> {
  const order =
    random.below(2) === 0
      ? topicOrder
      : pick(
          random,
          orders.filter((less) => offers(topicOrder, less)),
        )
  const isEarly = random.below(3) === 0 && order !== 'total'
  return { order, ...(isEarly && { durability: 'early' }) }
}

/** Somebody reads a topic in its order, and two topics are read together. */
function drawReaders(
  random: Random,
  topic: PlannedTopic,
  second: PlannedTopic | null,
  needs: Needs,
): PlannedOperation[] {
  const readers: PlannedOperation[] = []
  const at = () => random.below(Math.ceil(needs.until / 3))
  const client = () => pick(random, needs.clients)
  if (isStamped(topic.order) && random.below(2) === 0)
    readers.push({ at: at(), client: client(), do: 'subscribe', from: 'start', order: topic.order })
  if (second === null) return readers
  const isTogether = isStamped(topic.order) && isStamped(second.order) && random.below(3) > 0
  const from = random.below(4) === 0 ? 'new' : 'start'
  if (isTogether) readers.push({ at: at(), client: client(), do: 'together', from })
  else readers.push({ at: at(), client: client(), topic: 'u', do: 'subscribe', from, order: second.order })
  return readers
}

function drawChange(random: Random, second: PlannedTopic, { servers, until }: Needs): PlannedOperation {
  const { mode, decider, members } = second
  const next = shuffled(random, servers).slice(0, members.length)
  return {
    at: random.below(until),
    client: 'admin',
    topic: 'u',
    do: 'reconfigure',
    change: 'u0',
    by: shuffled(random, servers),
    members: next,
    mode,
    decider,
    membersMin: 1,
  }
}

const engineOneIn = 6

/** An engine outside of the cluster takes the place of its arbiters, in some epochs. */
export function drawEngine(random: Random, plain: Drawn): Drawn & Pick<Plan, 'engine'> {
  if (random.below(engineOneIn) > 0) return { ...plain, engine: 'none' }
  const engine = random.below(2) === 0 ? 'founding' : 'beside'
  const instead = (decider: Decider): Decider =>
    decider === 'engine' && random.below(3) > 0 ? `engine:${engineName}` : decider
  const { topic, second } = plain
  const operations = plain.operations.map((one) =>
    one.do === 'reconfigure' ? { ...one, decider: instead(one.decider) } : one,
  )
  return {
    topic: { ...topic, decider: instead(topic.decider) },
    second: second === null ? null : { ...second, decider: instead(second.decider) },
    operations,
    engine,
  }
}
