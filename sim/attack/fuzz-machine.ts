/**
 * Valid messages in random order and with random content, to servers that are at work. From a stranger, who is no server: no
 * server may stop, and no rule may break for others, who go on publishing and changing meanwhile. From a server that has gone mad:
 * others may stop, but only by name (a rule of the protocol does not hold), never by an accident of the program.
 */
import type { Configuration, Member } from '../../proto/configuration.ts'
import { EpochcastError, InvariantViolation } from '../../proto/errors.ts'
import { type Epoch, publisherId } from '../../proto/ids.ts'
import { hexDigits, type Random } from '../../proto/machine/ports.ts'
import { kinds, type Message, type MessageKind } from '../../proto/wire/messages.ts'
import { checkHistory } from '../check/history-rules.ts'
import { watchRules } from '../check/server-rules.ts'
import { World } from '../world/world.ts'
import { type FuzzOptions, type FuzzResult, fuzz } from './fuzz-bytes.ts'
import { MessageGenerator, natural, pick } from './generate.ts'

const ids = ['a', 'b', 'c', 'd', 'e'] as const
const topic = 't'
const stepsMax = 120
/** How many messages a stranger sends in one step. */
const burstMax = 6

/**
 * What a stranger may try, also under the name of a server. It does not take the address of one: whoever does is believed where no
 * certificates are asked for. Bytes under the id of another publisher are that publisher's alone.
 */
const strangersKinds: readonly MessageKind[] = kinds

export function fuzzMachine(role: 'client' | 'server', options: FuzzOptions): Promise<FuzzResult> {
  const target = role === 'client' ? 'strangers' : 'servers gone mad'
  return fuzz(target, (random, result) => oneWorld(role, random, result), options)
}

function oneWorld(role: 'client' | 'server', random: Random, result: FuzzResult): void {
  const world = new World({
    seed: random.below(2 ** 31),
    latency: () => random.below(4),
    flushTime: () => random.below(3),
  })
  const broken: string[] = []
  const stopped: unknown[] = []
  world.watchers.push((event) => {
    if (event.what === 'fatal') stopped.push(event.error)
  })
  if (role === 'client') watchRules(world, (text) => broken.push(text))
  world.bootstrap(ids, ['a', 'b', 'c'])
  const client = world.client('x')
  client.create(topic, { members: ['a', 'b', 'c'], mode: pick(random, ['fault-masking', 'fault-recovery']) })
  world.tick(10)
  const generator = new MessageGenerator(random, meaningsIn(world, role))
  for (let step = 0; step < stepsMax; step++) {
    if (step % 5 === 0) client.add(topic, `value ${step}`, 'republish')
    if (step % 40 === 20) {
      const epoch = client.epochOf(topic) ?? 1
      client.reconfigure(topic, {
        by: ['d'],
        changeId: `own-${step}`,
        epoch,
        members: pick(random, [
          ['a', 'b', 'c'],
          ['c', 'd', 'e'],
        ]),
      })
    }
    for (let count = random.below(burstMax); count > 0; count--) {
      send(world, role, generator.message(strangersKinds), pick(random, ids), random)
      result.accepted++
    }
    if (role === 'server') for (const id of ids) if (!world.server(id).alive) world.server(id).start()
    world.runUntil(world.now + 10)
  }
  for (const error of stopped) {
    const isNamed = error instanceof InvariantViolation || error instanceof EpochcastError
    if (role === 'client' || !isNamed) throw error
    result.refused++
  }
  if (role === 'server') return
  result.refused++
  finish(world, broken)
}

/** Everybody else comes to an end as if there had been nobody. */
function finish(world: World, broken: string[]): void {
  const client = world.client('x')
  const last = client.add(topic, 'last', 'republish')
  for (
    let ticks = 0;
    ticks < 2_000 && !world.operations.every(({ over, client: of }) => over || of !== 'x');
    ticks += 20
  ) {
    world.tick(20)
  }
  if (!last.over) throw new Error('a publish does not end any more')
  const get = client.get(topic)
  for (let ticks = 0; ticks < 2_000 && !get.over; ticks += 20) world.tick(20)
  if (!get.over) throw new Error('a Get does not end any more')
  // What strangers published themselves is nobody's history.
  const rules = [...broken, ...checkHistory(world.trace)]
  if (rules.length > 0) throw new Error(rules.slice(0, 5).join('\n'))
}

function send(world: World, role: 'client' | 'server', message: Message, to: string, random: Random): void {
  const name = random.below(2) === 0 ? 'mallory' : world.server(pick(random, ids)).name
  if (role === 'client') world.inject('mallory', to, message, world.cluster?.id ?? '', name)
  else world.inject('e', to, message, world.cluster?.id ?? '', world.server('e').name)
}

/** Names, epochs and configurations that exist, most of the time. */
function meaningsIn(world: World, role: 'client' | 'server') {
  const publisher = () => publisherId('feedfacefeedface')
  const members = (): Member[] => ids.map((id) => world.server(id).member)
  const newest = (): Configuration | null => {
    let found: Configuration | null = null
    for (const { machine } of world.servers.values()) {
      const configuration = machine?.topics.find(({ state }) => state.topic === topic)?.state.newest ?? null
      if (configuration !== null && configuration.epoch >= (found?.epoch ?? 0)) found = configuration
    }
    return found
  }
  const around = (random: Random): Epoch =>
    Math.max(0, (newest()?.epoch ?? 1) + pick(random, [-1, 0, 0, 0, 0, 1, 2])) as Epoch
  return {
    topic: (random: Random) => (random.below(8) === 0 ? 'other' : topic),
    epoch: around,
    publisher: (random: Random) => (random.below(3) === 0 ? hexDigits(random, 16) : publisher()),
    first: (random: Random) => 1 + random.below(5),
    last: (random: Random) => 1 + random.below(8),
    round: natural,
    coordinator: (random: Random) => pick(random, members()).name,
    Configuration: (random: Random) => ({ ...newest(), epoch: around(random) }),
    ...(role === 'server' && { Member: (random: Random) => pick(random, members()) }),
  }
}
