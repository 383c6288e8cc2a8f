import type { Mutant } from './mutant.ts'
import { admissionMutants } from './table/admission.ts'
import { callMutants } from './table/calls.ts'
import { decisionMutants } from './table/decisions.ts'
import { epochChangeMutants } from './table/epoch-change.ts'
import { groupMutants } from './table/groups.ts'
import { logMutants } from './table/log.ts'
import { membershipMutants } from './table/membership.ts'
import { operationMutants } from './table/operations.ts'
import { orderMutants } from './table/orders.ts'
import { timerMutants } from './table/timers.ts'

/** Every planted bug. */
export const mutants: readonly Mutant[] = [
  ...operationMutants,
  ...callMutants,
  ...admissionMutants,
  ...epochChangeMutants,
  ...decisionMutants,
  ...logMutants,
  ...orderMutants,
  ...membershipMutants,
  ...timerMutants,
  ...groupMutants,
]
