/** A seed of the simulator as a probe. */
import { runSeed } from '../../sim/swarm/run.ts'
import type { Finding } from './finding.ts'

export async function probeSeed(seed: number): Promise<readonly Finding[]> {
  const { violations } = await runSeed(seed)
  return violations.map(({ rule, text }) => ({ check: rule, text }))
}
