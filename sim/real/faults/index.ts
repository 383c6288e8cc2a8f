/** Every class of faults, in the order in which they run. */
import { fsyncFails, fullDisk, lostDisk, restoredDisk, twoProcesses } from './disks.ts'
import type { FaultClass } from './fault-class.ts'
import { partition, proxied } from './network.ts'
import { powerCutOfAll, powerCutOfLiars, powerCutOfOne } from './power.ts'
import { kill, pause, restart } from './processes.ts'

export const faultClasses: readonly FaultClass[] = [
  kill,
  restart,
  pause,
  powerCutOfOne,
  powerCutOfAll,
  partition,
  proxied,
  fsyncFails,
  fullDisk,
  twoProcesses,
  lostDisk,
  restoredDisk,
  powerCutOfLiars,
]
