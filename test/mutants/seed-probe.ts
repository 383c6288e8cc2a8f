/** A seed of the simulator as a probe. */

import { seededRandom } from '../../sim/seeded-random.ts'
import { tell, variants } from '../rules/story.ts'
import { type Finding, findingOf } from './finding.ts'

export function probeSeed(seed: number): readonly Finding[] {
  void seed, tell, variants, seededRandom, findingOf
  return []
}
