/** Every class of faults, in the order in which they run. */
import type { FaultClass } from './fault-class.ts'
import { powerCutOfAll, powerCutOfLiars, powerCutOfOne } from './power.ts'
import { kill, pause, restart } from './processes.ts'

export const faultClasses: readonly FaultClass[] = [kill, restart, pause, powerCutOfOne, powerCutOfAll, powerCutOfLiars]
