// Goal: topics that are read together keep causes first across each other's epochs, and nobody waits for ever. Method: two topics in
// virtual time, clients that answer in the other one, changes and crashes of either; many seeds.
import { describe, expect, it } from 'vitest'
import { checkHistory } from '../../sim/check/history-rules.ts'
import { checkOrders } from '../../sim/check/order-rules.ts'
import { watchRules } from '../../sim/check/server-rules.ts'
import { seededRandom } from '../../sim/seeded-random.ts'
import { World } from '../../sim/world/world.ts'

const topics = ['t', 'u']
const answersMax = 30

function play(seed: number): string[] {
  const random = seededRandom(seed * 104_729 + 3)
  const arrivals = new Map<string, number>()
  const latency = ({ from, to }: { from: string; to: string }): number => {
    const arrival = Math.max(world.now + random.below(5) * 9, arrivals.get(`${from} ${to}`) ?? 0)
    arrivals.set(`${from} ${to}`, arrival)
    return arrival - world.now
  }
  const world: World = new World({ seed, latency })
  const broken: string[] = []
  watchRules(world, (text) => broken.push(text))
  world.bootstrap(['1', '2', '3', '4', '5', 'p'], ['p'])
  const admin = world.client('admin')
  admin.create('t', { mode: 'fault-masking', members: ['1', '2', '3'], order: 'causal' })
  admin.create('u', { mode: 'fault-recovery', members: ['4', '5'], order: random.below(2) === 0 ? 'causal' : 'total' })
  world.tick(15)
  const clients = ['x', 'y', 'z'].map((id) => world.client(id))
  for (const client of clients) client.together(topics, 's')
  let answers = 0
  world.watchers.push((event) => {
    if (event.what !== 'operation' || event.step.kind !== 'delivered' || answers >= answersMax) return
    const { client, topic } = event.operation
    if (random.below(3) > 0) return
    const value = `${client} answers ${answers++}`
    world.queue.after(0, () => world.client(client).add(topic === 't' ? 'u' : 't', value))
  })
  world.tick(15)
  for (let round = 0; round < 10; round++) {
    for (const client of clients)
      if (random.below(2) > 0) client.add(topics[random.below(2)] ?? 't', `${client.id}${round}`)
    world.tick(1 + random.below(4))
    if (round === 3) admin.reconfigure('t', { by: ['5'], changeId: 'r1', epoch: 0, members: ['2', '3', '4'] })
    if (round === 5) admin.reconfigure('u', { by: ['1'], changeId: 'r2', epoch: 0, members: ['5', '1'] })
    if (round === 6) world.server('3').kill()
    if (round === 8) world.server('3').start()
  }
  const isPending = ({ over, kind }: World['operations'][number]) => !over && kind === 'add'
  for (let ticks = 0; ticks < 1500 && world.operations.some(isPending); ticks++) world.tick()
  world.tick(300)
  for (const one of world.operations) if (isPending(one)) broken.push(`${one.kind} ${one.label} hangs`)
  return [...broken, ...checkHistory(world.trace), ...checkOrders(world.trace, { isOver: true })]
}

describe('topics read together', () => {
  it('keep causes first across each other’s epochs', () => {
    for (let seed = 1; seed <= Number(process.env.ORDER_SEEDS ?? 4); seed++) {
      const broken = play(seed)
      expect({ seed, broken: broken.slice(0, 5) }).toEqual({ seed, broken: [] })
    }
  })
})
