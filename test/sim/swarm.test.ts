// Goal: whole clusters under faults keep every rule; one seed is one history; and what breaks a rule is found again, made small
// and drawn.
// Method: some seeds from a fixed one, one of them twice; a plan with a disk that forgets the last record that it had flushed.
import { describe, expect, it } from 'vitest'
import { mermaidDiagram, tellStory, textDiagram } from '../../sim/swarm/diagram.ts'
import { drawPlan } from '../../sim/swarm/draw.ts'
import { faultClasses, faultIds } from '../../sim/swarm/fault-classes.ts'
import type { Plan } from '../../sim/swarm/plan.ts'
import { formatPlanFile, parsePlanFile } from '../../sim/swarm/plan-file.ts'
import { runPlan, runSeed } from '../../sim/swarm/run.ts'
import { failureOf } from '../../sim/swarm/share.ts'
import { shrink } from '../../sim/swarm/shrink.ts'
import type { World } from '../../sim/world/world.ts'
import { isLong } from '../volume.ts'

const firstSeed = 1_000_000
/** The long run plays them all, to see which faults they reach together. */
const shares = isLong ? 5 : 1
const seedsPerShare = 40

describe('seeds', () => {
  const reached = new Set<string>()
  for (let share = 0; share < shares; share++) {
    const from = firstSeed + share * seedsPerShare
    it(`${from} to ${from + seedsPerShare - 1} keep every rule`, async () => {
      for (let seed = from; seed < from + seedsPerShare; seed++) {
        const verdict = await runSeed(seed)
        expect(failureOf(verdict)).toBe(null)
        for (const id of verdict.reached.keys()) reached.add(id)
      }
    })
  }

  it.runIf(isLong)('reach the common classes of faults', () => {
    const rare = [
      'P5b',
      'D1',
      'D2',
      'D3',
      'D4',
      'D8b',
      'R5',
      'R14',
      'R15',
      'R21',
      'N11',
      'P4',
      'E2',
      'E3',
      'E4',
      'E5',
      'S4',
      'S8',
      'D11',
      'D12',
      'D13',
    ]
    const missed = faultIds.filter((id) => !reached.has(id) && !rare.includes(id))
    expect(missed.map((id) => `${id}: ${faultClasses[id].text}`)).toEqual([])
  })

  it('are one history each, with either kind of disk', async () => {
    const kinds = new Set<string>()
    for (let seed = firstSeed; kinds.size < 2; seed++) {
      const { plan, digest } = await runSeed(seed, { digest: true })
      if (kinds.has(plan.disks)) continue
      kinds.add(plan.disks)
      const again = await runSeed(seed, { digest: true })
      expect(again.digest).toBe(digest)
    }
  })

  it('draw the same plan for good', () => {
    const plan = drawPlan(firstSeed)
    expect(drawPlan(firstSeed)).toEqual(plan)
    expect(parsePlanFile(formatPlanFile({ plan, rule: 'I1', version: '0' })).plan).toEqual(plan)
  })
})

describe('a plan that breaks a rule', () => {
  const broken: Plan = {
    ...drawPlan(firstSeed + 7),
    servers: ['a', 'b', 'c', 'd', 'e'],
    arbiters: ['c', 'd', 'e'],
    topic: { mode: 'single', decider: 'engine', members: ['a'], membersMin: 1, order: 'fifo' },
    second: null,
    engine: 'none',
    disks: 'records',
    drift: {},
    clock: 'steady',
    faults: [
      { id: 'N1', when: { at: 0 }, targets: [], lasts: 400, oneIn: 50 },
      { id: 'N8', when: { at: 300 }, targets: ['x'], lasts: 20 },
      { id: 'P1', when: { at: 200 }, targets: ['a'], lasts: 50 },
    ],
    operations: [
      { at: 10, client: 'x', do: 'add', value: 'm1', onEpochEnd: 'republish' },
      { at: 60, client: 'y', do: 'add', value: 'm2', onEpochEnd: 'republish' },
      { at: 90, client: 'z', do: 'get', level: 'linearizable' },
      { at: 120, client: 'y', do: 'add', value: 'm3', onEpochEnd: 'settle' },
    ],
    healAt: 400,
    deadForGood: [],
  }

  const forgetful = {
    prepare: (world: World) => {
      const { disk } = world.server('a')
      if (disk === null) return
      const crash = disk.crash.bind(disk)
      disk.crash = (power) => crash(power).slice(0, -1)
    },
  }

  it('is made small, and still breaks the same rule', async () => {
    expect((await runPlan(broken)).violations).toEqual([])
    expect((await runPlan(broken, forgetful)).violations.map(({ rule }) => rule)).toContain('I8')
    const { plan, runs } = await shrink(broken, 'I8', { ...forgetful, runsMax: 100 })
    expect(runs).toBeGreaterThan(3)
    // The death stays; so may what kept others from finding out that the log had ended too early.
    expect(plan.faults.map(({ id }) => id)).toContain('P1')
    expect(plan.operations.length + plan.faults.length).toBeLessThanOrEqual(7)
    expect((await runPlan(plan, forgetful)).violations.map(({ rule }) => rule)).toContain('I8')
  })

  it('is drawn as text and as a Mermaid diagram', async () => {
    const story = await tellStory(broken)
    expect(textDiagram(story)).toMatch(/x -> a batch \w+ 1-1 epoch 1/)
    expect(textDiagram(story)).toMatch(/reader get linearizable: \{m1,m2,m3,last/)
    const lines = mermaidDiagram(story).split('\n')
    expect(lines[0]).toBe('sequenceDiagram')
    expect(lines.some((line) => /^ {2}x->>a: \d+ ms: batch/.test(line))).toBe(true)
  })
})
