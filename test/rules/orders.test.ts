// Goal: no order and no durability changes what an epoch change means, and each order keeps what it promises (F1 to F6).
// Method: the matrix order x durability x mode x way of change, in virtual time, with frames that overtake each other; clients
// publish in answer to what they are given, so that there are causes and effects. Many seeds.
import { describe, expect, it } from 'vitest'
import type { Durability } from '../../client-sdk/operations/reading.ts'
import type { Decider, Mode, Order } from '../../proto/configuration.ts'
import { checkHistory } from '../../sim/check/history-rules.ts'
import { checkOrders } from '../../sim/check/order-rules.ts'
import { watchRules } from '../../sim/check/server-rules.ts'
import { seededRandom } from '../../sim/seeded-random.ts'
import { World } from '../../sim/world/world.ts'
import { share } from '../volume.ts'

const shapes: readonly { mode: Mode; decider: Decider; members: readonly string[]; next: readonly string[] }[] = [
  { mode: 'fault-masking', decider: 'stakes', members: ['1', '2', '3'], next: ['3', '4', '5'] },
  { mode: 'fault-masking', decider: 'engine', members: ['1', '2', '3'], next: ['4', '5', '1'] },
  { mode: 'fault-recovery', decider: 'engine', members: ['1', '2'], next: ['2', '4'] },
  { mode: 'single', decider: 'engine', members: ['1'], next: ['2'] },
]
const readings: readonly [Order, Order, Durability][] = [
  ['none', 'none', 'durable'],
  ['fifo', 'fifo', 'durable'],
  ['fifo', 'fifo', 'early'],
  ['causal', 'causal', 'durable'],
  ['causal', 'causal', 'early'],
  ['causal', 'fifo', 'durable'],
  ['total', 'total', 'durable'],
  ['total', 'causal', 'early'],
]
const changes = ['none', 'members', 'same', 'crash', 'client'] as const
type Way = (typeof changes)[number]

interface Case {
  readonly seed: number
  readonly shape: (typeof shapes)[number]
  readonly topicOrder: Order
  readonly order: Order
  readonly durability: Durability
  readonly way: Way
}

const topic = 't'
const roundsMax = 12

/** @returns what does not hold */
function play({ seed, shape, topicOrder, order, durability, way }: Case): string[] {
  const random = seededRandom(seed * 7919 + 17)
  const arrivals = new Map<string, number>()
  // Frames of one link rarely overtake each other, those of several links all the time.
  const latency = ({ from, to }: { from: string; to: string }): number => {
    const arrival = world.now + random.below(4) * 7
    if (random.below(50) === 0) return arrival - world.now
    const link = `${from} ${to}`
    const ordered = Math.max(arrival, arrivals.get(link) ?? 0)
    arrivals.set(link, ordered)
    return ordered - world.now
  }
  const world: World = new World({ seed, latency, flushTime: () => random.below(2) * 3 })
  const broken: string[] = []
  watchRules(world, (text) => broken.push(text))
  world.watchers.push((event) => {
    if (event.what === 'fatal') broken.push(`server ${event.server} stopped: ${event.error}`)
  })
  world.bootstrap(['1', '2', '3', '4', '5', 'p'], ['p'])
  const { mode, decider, members } = shape
  world.client('admin').create(topic, { mode, decider, members: [...members], order: topicOrder })
  world.tick(10)
  const clients = ['x', 'y', 'z'].map((id) => world.client(id))
  for (const client of clients) client.subscribe(topic, 's', 'start', order, durability)
  world.client('w').subscribe(topic, 'weak', 'start', 'fifo')
  answer(world, random)
  world.tick(10)
  for (let round = 0; round < roundsMax; round++) {
    for (const client of clients) if (random.below(3) > 0) client.add(topic, `${client.id}${round}`)
    world.tick(1 + random.below(3))
    if (round === 4) world.client('v').subscribe(topic, 'new', 'new', order, durability)
    if (round === 5) disturb(world, way, shape)
    if (round === 8) recover(world)
  }
  recover(world)
  const before = world.operations.filter(({ kind }) => kind === 'add').length
  for (let ticks = 0; ticks < 1500 && world.operations.some(isPending); ticks++) world.tick()
  for (const client of clients) client.add(topic, `${client.id} last`)
  for (let ticks = 0; ticks < 1500 && world.operations.some(isPending); ticks++) world.tick()
  world.tick(300)
  for (const one of world.operations) if (isPending(one)) broken.push(`${one.kind} ${one.label} of ${one.client} hangs`)
  if (before === 0) broken.push('nothing was published')
  return [...broken, ...checkHistory(world.trace), ...checkOrders(world.trace, { isOver: true })]
}

/** Clients publish when they are given something, sometimes: that has a cause then. */
function answer(world: World, random: { below(bound: number): number }): void {
  let count = 0
  world.watchers.push((event) => {
    if (event.what !== 'operation' || event.step.kind !== 'delivered' || event.operation.label !== 's') return
    if (count >= 40 || random.below(4) > 0) return
    const { client } = event.operation
    const value = `${client} answers ${count++}`
    world.queue.after(0, () => world.clients.get(client)?.add(topic, value))
  })
}

function disturb(world: World, way: Way, { next, members }: Case['shape']): void {
  const request = { by: ['5'], changeId: 'r1', epoch: 0 }
  if (way === 'members') world.client('admin').reconfigure(topic, { ...request, members: [...next] })
  if (way === 'same') world.client('admin').reconfigure(topic, request)
  // The first member orders the messages of the first epoch.
  if (way === 'crash') world.server(members[0] ?? '1').kill()
  if (way === 'client') world.killClient('y')
}

function recover(world: World): void {
  for (const server of world.servers.values()) server.start()
}

function isPending({ over, kind, client }: World['operations'][number]): boolean {
  return !over && kind !== 'subscribe' && kind !== 'reconfigure' && client !== 'y'
}

describe('orders over every kind of epoch change', () => {
  const cases = shapes.flatMap((shape) => readings.map((reading) => ({ shape, reading })))
  // Five has no divisor in common with the eight readings: all of them and all shapes are among every fifth.
  for (const { shape, reading } of share(cases, 5)) {
    const [topicOrder, order, durability] = reading
    it(`${shape.mode} by ${shape.decider}: ${order} ${durability} of ${topicOrder}`, () => {
      const seeds = Number(process.env.ORDER_SEEDS ?? 1)
      for (const way of changes) {
        for (let seed = 1; seed <= seeds; seed++) {
          const broken = play({ seed, shape, topicOrder, order, durability, way })
          expect({ way, seed, broken: broken.slice(0, 5) }).toEqual({ way, seed, broken: [] })
        }
      }
    })
  }
})
