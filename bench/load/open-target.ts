import { EpochcastTarget } from './epochcast-target.ts'
import type { Target, TargetSpec } from './target.ts'

/** @throws Error when it cannot be reached */
export async function openTarget(spec: TargetSpec): Promise<Target> {
  return EpochcastTarget.open(spec)
}
