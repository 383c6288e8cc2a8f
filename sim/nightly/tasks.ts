/** What runs at night, and how much of the night each part may have. */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { corruptEverything } from '../attack/corruption.ts'
import {
  type FuzzOptions,
  type FuzzResult,
  fuzzConfig,
  fuzzFrames,
  fuzzLog,
  fuzzStreams,
} from '../attack/fuzz-bytes.ts'
import { fuzzMachine } from '../attack/fuzz-machine.ts'
import { hasCommand } from '../real/platform.ts'
import { numberOf, project, runScript, simulate, tail } from './commands.ts'
import { type Row, row, skipped, type Task } from './task.ts'

const seedsMax = 1_000_000

const seeds: Task = {
  name: 'seeds',
  share: 0.3,
  leastSeconds: 60,
  run: (seconds) =>
    simulate(
      'simulated histories',
      ['--seeds', String(seedsMax), '--seconds', String(Math.floor(seconds))],
      seconds,
      (report) => {
        const [reached, defined] = [numberOf(report, 'faultsReached'), numberOf(report, 'faultsDefined')]
        const count = numberOf(report, 'seeds')
        return {
          done: `${count} seeds, ${reached} of ${defined} faults reached, ${numberOf(report, 'violations')} violations`,
          isReached: count > 0 && reached === defined,
          reached: { seeds: count },
        }
      },
    ),
}

const mutants: Task = {
  name: 'mutants',
  share: 0.15,
  leastSeconds: 1800,
  run: (seconds) =>
    simulate('planted bugs', ['--mutants'], seconds, (report) => ({
      done: `${numberOf(report, 'found')} of ${numberOf(report, 'planted')} found`,
      isReached: numberOf(report, 'planted') > 0 && numberOf(report, 'found') === numberOf(report, 'planted'),
    })),
}

const explore: Task = {
  name: 'explore',
  share: 0.1,
  leastSeconds: 600,
  run: (seconds) =>
    simulate('exhaustive exploration', ['--explore'], seconds, (report) => ({
      done: `${numberOf(report, 'states').toLocaleString('en-US')} states`,
      isReached: numberOf(report, 'states') > 0,
    })),
}

const model: Task = {
  name: 'model',
  share: 0.1,
  leastSeconds: 1800,
  async run(seconds) {
    const what = 'model of the epoch change'
    if (!hasCommand('spin')) return [skipped(what, 'spin is not installed', null)]
    if (!existsSync(join(project, 'test/model'))) return [skipped(what, 'there is no model in this package')]
    const { code, words } = await runScript('test', ['test/model'], seconds, { EPOCHCAST_NIGHTLY: '1' })
    return [row(what, { done: 'searched by spin', violations: code === 0 ? [] : [tail(words)] })]
  },
}

const real: Task = {
  name: 'real',
  share: 0.25,
  leastSeconds: 300,
  async run(seconds) {
    const times = Math.max(1, Math.floor(seconds / 300))
    const args = ['--times', String(times), '--deadline', String(Math.floor(seconds)), '--json']
    const { report, words } = await runScript('real', args, seconds + 300)
    if (report === null) return [row('real processes', { isReached: false, violations: [tail(words)] })]
    const classes = report.classes as readonly {
      readonly name: string
      readonly family: string
      readonly done: number
      readonly skipped: string | null
      readonly violations: number
      readonly acknowledged: number
      readonly reached: Record<string, number>
    }[]
    return classes.map(({ name, family, done, skipped: why, violations, acknowledged, reached }): Row => {
      const what = `real: ${name}`
      if (why !== null) return skipped(what, why, family)
      const found = violations === 0 ? [] : [`${violations} violations: ${tail(words)}`]
      const text = `${done} times, ${acknowledged} acknowledged`
      return row(what, { family, done: text, isReached: done > 0, violations: found, reached })
    })
  },
}

const corruption: Task = {
  name: 'corruption',
  share: 0.03,
  leastSeconds: 30,
  async run() {
    const { bits, truncations, reads, verdicts, violations } = await corruptEverything({ every: 1 })
    const done = `${bits} bits, ${truncations} lengths, ${reads} reads`
    return [row('damaged data directory', { done, isReached: bits > 0, violations, reached: verdicts })]
  },
}

const fuzzing: Task = {
  name: 'fuzz',
  share: 0.07,
  leastSeconds: 30,
  async run(seconds) {
    const options: FuzzOptions = {
      seed: Math.floor(Math.random() * 2 ** 30),
      casesMax: Number.MAX_SAFE_INTEGER,
      millisecondsMax: (seconds * 1000) / 6,
    }
    const runs: readonly (() => Promise<FuzzResult>)[] = [
      () => fuzzFrames(options),
      () => fuzzStreams(options),
      () => fuzzConfig(options),
      () => fuzzLog(options),
      () => fuzzMachine('client', options),
      () => fuzzMachine('server', options),
    ]
    const rows: Row[] = []
    for (const run of runs) {
      const { target, cases, accepted, refused, violations } = await run()
      const isReached = accepted > 0 && refused > 0
      rows.push(
        row(`fuzz: ${target}`, { done: `${cases} cases`, isReached, violations, reached: { accepted, refused } }),
      )
    }
    return rows
  },
}

export const tasks: readonly Task[] = [corruption, fuzzing, real, seeds, mutants, explore, model]
