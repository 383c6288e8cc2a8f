/** Which faults a seed has, how often, and where: half of them at any time, half at points of the protocol. */
import type { Random } from '../../proto/machine/ports.ts'
import { logUniform, pick, shuffled } from './chance.ts'
import { type FaultId, faultClasses, faultIds } from './fault-classes.ts'
import type { PlannedFault, Trigger } from './plan.ts'

export interface Surroundings {
  readonly servers: readonly string[]
  readonly arbiters: readonly string[]
  readonly clients: readonly string[]
  readonly healAt: number
  /** There is an engine outside of the cluster. */
  readonly hasEngine: boolean
}

/** Frames of a server that something hangs on. */
const replies = [
  'stored',
  'held',
  'wedged',
  'accepted',
  'staged',
  'start',
  'started',
  'arbiter-promised',
  'arbiter-accepted',
]
const steps = ['inquire', 'preload', 'wedge', 'stage', 'accept', 'changed', 'progress', 'note', 'working']
const engineSteps = ['wedge', 'stage', 'arbiter-prepare', 'arbiter-accept', 'decided', 'changed', 'note']
const outsideSteps = [...engineSteps, 'engine-propose', 'engine-propose', 'engine-read']
const anything = [
  ...new Set([...replies, ...steps, ...engineSteps, 'enabled', 'pull', 'pulled', 'report', 'moved', 'batch']),
]

/** Once a seed has it: how many of it there are at most. */
const times: Partial<Record<FaultId, number>> = {
  N12: 4,
  P1: 4,
  N10: 4,
  R20: 4,
  R6: 2,
  R7: 2,
  P2: 3,
  P3: 3,
  D10: 2,
  P12: 2,
}
/** Rates and settings that hold for the whole run, or that nobody passes a point of. */
const whole = new Set<FaultId>(['N1', 'N2', 'N3', 'N4', 'N9', 'C1', 'C2', 'C3'])

export function drawFaults(random: Random, around: Surroundings, without: ReadonlySet<FaultId>): PlannedFault[] {
  const faults: PlannedFault[] = []
  for (const id of faultIds) {
    if (!faultClasses[id].drawn || (ofEngines.has(id) && !around.hasEngine)) continue
    // Each class is off in half of the seeds; drawn also where it is left out, so that the others stay what they are.
    const count = random.below(2) === 0 ? 0 : 1 + random.below(whole.has(id) ? 1 : (times[id] ?? 1))
    for (let number = 0; number < count; number++) {
      const fault = drawFault(random, id, around)
      // The severest come less often: otherwise little else would happen.
      const isKept = !rare.has(id) || random.below(3) === 0
      if (isKept && !without.has(id)) faults.push(fault)
    }
  }
  return faults
}

const ofEngines = new Set<FaultId>(['E2', 'E3', 'E4', 'E5'])
const rare = new Set<FaultId>(['P4', 'P5', 'N11', 'D4', 'D8', 'P8', 'R8', 'P6', 'P11', 'D11', 'D12', 'D13'])

function drawFault(random: Random, id: FaultId, around: Surroundings): PlannedFault {
  const { healAt } = around
  const targets = targetsOf(random, id, around)
  const lasts = logUniform(random, 20, id === 'P9' ? 200 : 1500)
  const when = whole.has(id) ? { at: 0 } : whenOf(random, id, around)
  const isRate = id === 'N1' || id === 'N2' || id === 'N3' || id === 'N4' || id === 'R8'
  const oneIn = isRate ? logUniform(random, id === 'N1' ? 3 : 4, 100) : 0
  const copyAt =
    id === 'P6' || id === 'D13' ? random.below('at' in when ? Math.max(1, when.at) : Math.ceil(healAt / 2)) : null
  return {
    id,
    when,
    targets,
    lasts: whole.has(id) ? healAt : lasts,
    ...(oneIn > 0 && { oneIn }),
    ...(copyAt !== null && { copyAt }),
    ...(id === 'P11' && { cycles: 1 + random.below(6) }),
  }
}

function whenOf(random: Random, id: FaultId, { healAt, hasEngine }: Surroundings): Trigger {
  const at = random.below(healAt)
  const moment = pick(random, ['before', 'after'] as const)
  const count = logUniform(random, 1, 12)
  switch (id) {
    case 'P2':
      return { point: { moment: 'after', what: 'send', kind: pick(random, replies) }, count }
    case 'P3':
      return random.below(2) === 0
        ? { point: { moment: 'before', what: 'send', kind: pick(random, replies) }, count }
        : { point: { moment: 'after', what: 'flush' }, count: count * 2 }
    case 'P12':
      return { point: { moment: 'after', what: 'send', kind: 'staged' }, count: logUniform(random, 1, 4) }
    case 'R6':
      return { point: { moment, what: 'send', kind: pick(random, steps) }, count }
    case 'R7':
      return { point: { moment, what: 'send', kind: pick(random, hasEngine ? outsideSteps : engineSteps) }, count }
    default:
      return random.below(2) === 0 ? { at } : pointOf(random, moment, count)
  }
}

function pointOf(random: Random, moment: 'before' | 'after', count: number): Trigger {
  const what = pick(random, ['send', 'send', 'persist', 'flush'] as const)
  if (what === 'send') return { point: { moment, what, kind: pick(random, anything) }, count }
  if (what === 'persist') return { point: { moment, what, kind: pick(random, ['batch', 'staged', 'protocol']) }, count }
  return { point: { moment, what }, count: count * 2 }
}

/** Empty: whoever passes the point, or whoever it is drawn for when it comes. */
function targetsOf(random: Random, id: FaultId, { servers, arbiters, clients }: Surroundings): string[] {
  const everybody = [...servers, ...clients]
  switch (id) {
    case 'N5':
      return shuffled(random, everybody).slice(0, 1 + random.below(everybody.length - 1))
    case 'N6':
    case 'N7':
    case 'N10':
    case 'N11':
    case 'R20':
      return shuffled(random, everybody).slice(0, 2)
    case 'N8':
      return [pick(random, everybody)]
    case 'P10':
      return [pick(random, clients)]
    case 'R8':
      return [...arbiters]
    case 'P2':
    case 'P3':
    case 'P11':
    case 'P12':
    case 'R6':
    case 'R7':
      return []
    default:
      return random.below(2) === 0 ? [pick(random, servers)] : []
  }
}
