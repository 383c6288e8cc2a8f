/** Every rule over one history: of a simulation, or of real processes. */
import { checkClosings } from './closing.ts'
import { checkDecisions } from './decisions.ts'
import { checkDurability } from './durability.ts'
import type { History, Violation } from './history.ts'
import { type Broken, type Indexed, indexHistory } from './indexed.ts'
import { checkIntegrity } from './integrity.ts'
import { checkLiveness } from './liveness.ts'
import { checkOutcomes } from './outcomes.ts'
import { checkPromises } from './promises.ts'
import { checkRefusedAdds } from './refused-adds.ts'
import { checkSubscriptions } from './subscriptions.ts'
import { checkSynchrony } from './synchrony.ts'

/** Rules and what they check, in the order of `docs/invariants.md`. */
const checks: readonly ((indexed: Indexed, broken: Broken) => void)[] = [
  checkDurability,
  checkSynchrony,
  checkOutcomes,
  checkRefusedAdds,
  checkDecisions,
  checkClosings,
  checkPromises,
  checkIntegrity,
  checkSubscriptions,
  checkLiveness,
]

/** @returns one entry for every time that a rule does not hold, in the order of the history */
export function checkHistory(history: History): Violation[] {
  const violations: Violation[] = []
  const broken: Broken = (rule, i, text) => violations.push({ rule, i, text })
  const indexed = indexHistory(history)
  for (const check of checks) check(indexed, broken)
  return violations.sort((one, other) => one.i - other.i)
}
