/** One story that every sweep tells again with another disturbance: publish, subscribe, change twice, and read it all. */
import type { Decider, Mode } from '../../proto/configuration.ts'
import { outsideEngine } from '../../proto/decider.ts'
import { checkHistory } from '../../sim/check/history-rules.ts'
import { watchRules } from '../../sim/check/server-rules.ts'
import type { Operation } from '../../sim/world/operations.ts'
import { World, type WorldOptions } from '../../sim/world/world.ts'

export interface Variant {
  readonly name: string
  readonly mode: Mode
  readonly decider: Decider
  /** Of the first, the second and the third epoch. */
  readonly members: readonly [readonly string[], readonly string[], readonly string[]]
}

export const variants: readonly Variant[] = [
  {
    name: 'fault-masking by stakes',
    mode: 'fault-masking',
    decider: 'stakes',
    members: [
      ['1', '2', '3'],
      ['4', '5', '6'],
      ['3', '4', '1'],
    ],
  },
  {
    name: 'fault-masking by engine',
    mode: 'fault-masking',
    decider: 'engine',
    members: [
      ['1', '2', '3'],
      ['3', '4', '5'],
      ['1', '2', '6'],
    ],
  },
  {
    name: 'fault-recovery',
    mode: 'fault-recovery',
    decider: 'engine',
    members: [
      ['1', '2'],
      ['2', '3'],
      ['4', '5'],
    ],
  },
  { name: 'single', mode: 'single', decider: 'engine', members: [['1'], ['2'], ['1']] },
]

/** An engine outside of the cluster decides. */
export const outsideVariants: readonly Variant[] = [
  {
    name: 'fault-recovery by an engine outside',
    mode: 'fault-recovery',
    decider: 'engine:main',
    members: [
      ['1', '2'],
      ['2', '3'],
      ['4', '5'],
    ],
  },
  {
    name: 'fault-masking by an engine outside',
    mode: 'fault-masking',
    decider: 'engine:main',
    members: [
      ['1', '2', '3'],
      ['3', '4', '5'],
      ['1', '2', '6'],
    ],
  },
]

export const coordinator = '7'
const arbiters = ['5', '6', 'p']
const servers = ['1', '2', '3', '4', ...arbiters, coordinator]
const topic = 't'

export interface Ending {
  readonly world: World
  /** Rules that did not hold; empty when all did. */
  readonly broken: readonly string[]
  /** What everybody reads in the end. */
  readonly values: readonly string[]
  readonly epoch: number
}

/** @param disturb called when the first epoch is open, before anything is published */
export function tell(variant: Variant, disturb: (world: World) => void, options: Partial<WorldOptions> = {}): Ending {
  const world = new World({ seed: 7, ...options })
  const broken: string[] = []
  watchRules(world, (text) => broken.push(text))
  world.watchers.push((event) => {
    if (event.what === 'fatal') broken.push(`server ${event.server} stopped: ${event.error}`)
  })
  const { mode, decider } = variant
  const outside = outsideEngine(decider)
  if (outside !== null) world.addEngine(outside.id)
  world.bootstrap(servers, arbiters)
  const [first, second, third] = variant.members
  world.client('admin').create(topic, { mode, decider, members: [...first] })
  world.tick(2)
  const [x, y] = [world.client('x'), world.client('y')]
  y.subscribe(topic, 's')
  world.tick(2)
  disturb(world)
  x.add(topic, 'a')
  y.add(topic, 'b')
  world.tick(3)
  x.add(topic, 'c')
  y.get(topic)
  change(world, 'r1', second)
  world.tick(1)
  y.add(topic, 'd')
  settle(world, 2)
  change(world, 'r2', third)
  settle(world, 3)
  x.add(topic, 'e')
  settle(world, 3)
  const reads = [world.client('z').get(topic), y.get(topic)]
  settle(world, 3)
  for (const operation of world.operations) if (isPending(operation)) broken.push(`${nameOf(operation)} hangs`)
  broken.push(...checkHistory(world.trace))
  const values = reads.map(valuesOf)
  if (values[0] !== values[1]) broken.push(`one reads ${values[0]}, another ${values[1]}`)
  return { world, broken, values: values[0]?.split(' ') ?? [], epoch: epochOf(reads[0]) }
}

function change(world: World, changeId: string, members: readonly string[]): Operation {
  const by = [coordinator]
  return world.client('admin').reconfigure(topic, { by, changeId, epoch: 0, members })
}

/** Whoever crashed is there again after a while, and what was held or lost comes no more. */
function settle(world: World, epoch: number): void {
  go(world, epoch, 60)
  recover(world)
  go(world, epoch, 400)
}

/** Lets time pass until everything has ended and this epoch is served. */
function go(world: World, epoch: number, ticksMax: number): void {
  world.runQuiet()
  for (let ticks = 0; ticks < ticksMax; ticks++) {
    const isServed = [...world.servers.values()].some(({ machine }) =>
      machine?.topics.some((replica) => (replica.serving?.epoch ?? 0) >= epoch),
    )
    if (isServed && !world.operations.some(isPending)) return
    world.tick()
  }
}

function recover(world: World): void {
  world.network.clearRules()
  world.network.release()
  world.network.heal()
  for (const server of world.servers.values()) {
    server.releaseFlushes()
    server.start()
  }
}

/** The story goes on with the next epoch, whether or not whoever asked for it hears of it. */
function isPending({ over, kind }: Operation): boolean {
  return !over && kind !== 'subscribe' && kind !== 'reconfigure'
}

function nameOf({ kind, client, label }: Operation): string {
  return `${kind} ${label} of ${client}`
}

function valuesOf(operation: Operation): string {
  const got = operation.steps.find((step) => step.kind === 'got')
  return got?.kind === 'got'
    ? got.given
        .map(({ value }) => value)
        .sort()
        .join(' ')
    : ''
}

function epochOf(operation: Operation | undefined): number {
  const got = operation?.steps.find((step) => step.kind === 'got')
  return got?.kind === 'got' ? got.epoch : 0
}
