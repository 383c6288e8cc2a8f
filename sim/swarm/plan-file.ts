/** Plans as files: what a failing seed was reduced to, to be run again anywhere. */
import type { Plan } from './plan.ts'
import { planFormat } from './plan.ts'

export interface PlanFile {
  readonly plan: Plan
  /** The rule that it breaks. */
  readonly rule: string
  readonly version: string
}

export function formatPlanFile(file: PlanFile): string {
  return `${JSON.stringify(file, null, 1)}\n`
}

/** @throws Error that says what is wrong with it */
export function parsePlanFile(text: string): PlanFile {
  let file: unknown
  try {
    file = JSON.parse(text)
  } catch (error) {
    throw new Error(`it is not JSON: ${error instanceof Error ? error.message : error}`)
  }
  if (typeof file !== 'object' || file === null || !('plan' in file) || !('rule' in file))
    throw new Error('it has no plan and no rule')
  const { plan } = file as PlanFile
  if (plan?.format !== planFormat) throw new Error(`its format is ${plan?.format}, not ${planFormat}`)
  for (const key of ['servers', 'arbiters', 'operations', 'faults', 'deadForGood'] as const)
    if (!Array.isArray(plan[key])) throw new Error(`its ${key} are missing`)
  return file as PlanFile
}
