// Goal: whatever bytes and messages come from outside are taken or refused by a known code. Method: a slice of the fuzzing that
// `npm run test:nightly` does for long; a violation names its seed.
import { describe, expect, it } from 'vitest'
import { fuzzConfig, fuzzFrames, fuzzLog, fuzzStreams } from '../../../sim/attack/fuzz-bytes.ts'
import { fuzzMachine } from '../../../sim/attack/fuzz-machine.ts'

const slice = (casesMax: number) => ({ seed: 1, casesMax, millisecondsMax: 60_000 })

describe('fuzzing', () => {
  const targets = [
    ['frames', () => fuzzFrames(slice(6_000))],
    ['streams', () => fuzzStreams(slice(1_500))],
    ['config', () => fuzzConfig(slice(400))],
    ['log', () => fuzzLog(slice(300))],
    ['strangers', () => fuzzMachine('client', slice(12))],
    ['servers gone mad', () => fuzzMachine('server', slice(12))],
  ] as const
  for (const [name, run] of targets) {
    it(name, async () => {
      const result = await run()
      expect(result.violations).toEqual([])
      expect(result.accepted).toBeGreaterThan(0)
      expect(result.refused).toBeGreaterThan(0)
    })
  }
})
