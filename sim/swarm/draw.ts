/** One seed draws one plan. Each part has a stream of its own, so that a change in one does not shift the others. */
import type { Decider, Mode } from '../../proto/configuration.ts'
import type { Random } from '../../proto/machine/ports.ts'
import type { Sync } from '../../proto/sync.ts'
import { logUniform, pick, shuffled, streamOf } from './chance.ts'
import { drawFaults } from './draw-faults.ts'
import { drawEngine, drawTopics } from './draw-topics.ts'
import type { FaultId } from './fault-classes.ts'
import { type Delays, type Plan, type PlannedOperation, planFormat } from './plan.ts'

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
const clients = ['x', 'y', 'z']

export interface DrawOptions {
  /** Classes that are never drawn. */
  readonly without?: ReadonlySet<FaultId>
}

export function drawPlan(seed: number, options: DrawOptions = {}): Plan {
  const random = streamOf(seed, 1)
  const mode = pick(random, ['fault-masking', 'fault-masking', 'fault-recovery', 'fault-recovery', 'single'] as const)
  const members = membersFor(random, names, mode)
  const count = Math.min(names.length, members.length + 1 + random.below(4))
  const servers = names.slice(0, Math.max(count, 3))
  const arbiters = shuffled(random, servers).slice(0, random.below(6) === 0 ? 1 : 3)
  const healAt = 400 + random.below(1400)
  const delays = drawDelays(streamOf(seed, 2))
  const membersMin = random.below(3) === 0 ? 2 : 1
  const plain = {
    topic: {
      mode,
      decider: deciderFor(random, mode),
      members,
      membersMin: Math.min(membersMin, members.length),
      order: 'fifo',
    },
    second: null,
    operations: drawOperations(streamOf(seed, 3), servers, healAt),
  } as const
  const ordered = drawTopics(streamOf(seed, 7), plain, { servers, clients, until: healAt })
  const { topic, second, operations: changing, engine } = drawEngine(streamOf(seed, 8), ordered)
  const late = streamOf(seed, 9)
  const asking = drawQuestions(late, changing, servers)
  const replacesDead = late.below(4) === 0
  const operations = drawPatience(streamOf(seed, 10), asking)
  const around = { servers, arbiters, clients, healAt, hasEngine: engine !== 'none' }
  const faults = drawFaults(streamOf(seed, 4), around, options.without ?? new Set())
  const timing = streamOf(seed, 5)
  const drifts = faults.some(({ id }) => id === 'C2')
  const drift: Record<string, number> = {}
  for (const id of servers) drift[id] = drifts ? 0.8 + timing.below(41) / 100 : 1
  const disks = timing.below(4) === 0 ? 'segments' : 'records'
  const sync = drawSync(streamOf(seed, 6), servers)
  return {
    format: planFormat,
    seed,
    servers,
    arbiters,
    topic,
    second,
    engine,
    disks,
    ...(sync !== null && { sync }),
    ...(replacesDead && { replacesDead }),
    // A flush of a real disk takes long enough to die in it.
    delays:
      disks === 'records'
        ? delays
        : {
            ...delays,
            flushLeast: delays.flushLeast + 2,
            flushMost: Math.max(delays.flushMost, delays.flushLeast) + 8,
          },
    drift,
    clock: faults.some(({ id }) => id === 'C3') ? 'strobe' : faults.some(({ id }) => id === 'C1') ? 'jumps' : 'steady',
    operations,
    faults,
    healAt,
    deadForGood: timing.below(3) === 0 ? shuffled(timing, servers).slice(0, 1 + timing.below(2)) : [],
  }
}

/** Some changes are asked for again by their ids, of any server: soon, or when much has happened since. */
function drawQuestions(
  random: Random,
  operations: readonly PlannedOperation[],
  servers: readonly string[],
): PlannedOperation[] {
  const questions = operations.flatMap((one): PlannedOperation[] => {
    if (one.do !== 'reconfigure' || random.below(2) > 0) return []
    const { at, change, topic } = one
    const asked = { at: at + logUniform(random, 10, 1000), client: 'admin2', do: 'ask-again', change } as const
    return [{ ...asked, by: shuffled(random, servers), ...(topic && { topic }) }]
  })
  return [...operations, ...questions].sort((one, other) => one.at - other.at)
}

/** In one world of two, some callers of Adds give up soon. */
function drawPatience(random: Random, operations: readonly PlannedOperation[]): PlannedOperation[] {
  if (random.below(2) === 0) return [...operations]
  return operations.map((one) =>
    one.do === 'add' && random.below(3) === 0 ? { ...one, patience: logUniform(random, 1, 200) } : one,
  )
}

/** In one world of eight, some servers flush later than they acknowledge. */
function drawSync(random: Random, servers: readonly string[]): Record<string, Sync> | null {
  if (random.below(8) > 0) return null
  const lax = servers.filter(() => random.below(3) > 0)
  return Object.fromEntries(lax.map((id) => [id, pick(random, ['interval 20', 'interval 300', 'memory'] as const)]))
}

function drawDelays(random: Random): Delays {
  const least = random.below(3)
  const flushLeast = random.below(3)
  return {
    least,
    most: least + random.below(2) * logUniform(random, 1, 40),
    tailOneIn: 0,
    tail: 0,
    flushLeast,
    flushMost: flushLeast + random.below(2) * logUniform(random, 1, 30),
  }
}

function deciderFor(random: Random, mode: Mode): Decider {
  return mode === 'fault-masking' && random.below(3) > 0 ? 'stakes' : 'engine'
}

function membersFor(random: Random, from: readonly string[], mode: Mode, sizeMax = from.length): string[] {
  const sizes: Record<Mode, readonly number[]> = {
    single: [1],
    'fault-recovery': [2, 2, 3],
    'fault-masking': [3, 3, 3, 5, 7],
  }
  const fitting = sizes[mode].filter((size) => size <= Math.min(sizeMax, from.length))
  return from.slice(0, fitting.length === 0 ? 1 : pick(random, fitting))
}

function drawOperations(random: Random, servers: readonly string[], until: number): PlannedOperation[] {
  const operations: PlannedOperation[] = []
  const weights = { add: 4 + random.below(12), get: random.below(6), outcome: random.below(3) }
  const kinds = [
    ...Array.from({ length: weights.add }, () => 'add' as const),
    ...Array.from({ length: weights.get }, () => 'get' as const),
    ...Array.from({ length: weights.outcome }, () => 'outcome' as const),
  ]
  const total = logUniform(random, 6, 40)
  const values: string[] = []
  for (let number = 0; number < total; number++) {
    const at = random.below(until)
    const client = pick(random, clients)
    const kind = pick(random, kinds)
    if (kind === 'add' || values.length === 0) {
      const value = `m${number}`
      values.push(value)
      // A burst rides in one batch, or in as few as the window allows.
      const onEpochEnd = random.below(3) === 0 ? 'settle' : 'republish'
      operations.push({ at, client, do: 'add', value, onEpochEnd })
    } else if (kind === 'get') {
      const level = pick(random, ['linearizable', 'linearizable', 'durable', 'early'] as const)
      operations.push({ at, client, do: 'get', level })
    } else operations.push({ at, client, do: 'outcome', of: pick(random, values) })
  }
  const subscriptions = random.below(3)
  for (let number = 0; number < subscriptions; number++) {
    const from = random.below(4) === 0 ? 'new' : 'start'
    operations.push({ at: random.below(until / 2), client: pick(random, clients), do: 'subscribe', from })
  }
  operations.push(...drawChanges(random, servers, until))
  return operations.sort((one, other) => one.at - other.at)
}

/** No change, some, many at once, or one right after the other. */
function drawChanges(random: Random, servers: readonly string[], until: number): PlannedOperation[] {
  const style = pick(random, ['none', 'some', 'some', 'some', 'concurrent', 'cascade'] as const)
  const count = { none: 0, some: 1 + random.below(3), concurrent: 2 + random.below(4), cascade: 3 + random.below(4) }[
    style
  ]
  const start = random.below(until)
  const operations: PlannedOperation[] = []
  for (let number = 0; number < count; number++) {
    const mode = pick(random, ['fault-masking', 'fault-masking', 'fault-recovery', 'fault-recovery', 'single'] as const)
    const members = membersFor(random, shuffled(random, servers), mode)
    const fits = mode !== 'fault-masking' || members.length >= 3
    const at =
      style === 'some'
        ? random.below(until)
        : style === 'concurrent'
          ? start + random.below(30)
          : start + number * random.below(120)
    // One is asked first; the others, when it stays silent.
    const by = shuffled(random, servers)
    const actual: Mode = fits ? mode : 'single'
    operations.push({
      at,
      client: style === 'concurrent' && number % 2 === 1 ? 'admin2' : 'admin',
      do: 'reconfigure',
      change: `r${number}`,
      by,
      members: fits ? members : members.slice(0, 1),
      mode: actual,
      decider: deciderFor(random, actual),
      membersMin: 1,
    })
  }
  return operations
}
