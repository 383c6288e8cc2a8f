/** The checks of `epochcast doctor`, in the order in which their lines are shown. */
import type { Check } from './check.ts'
import { deciders } from './deciders.ts'
import { engines } from './engines.ts'
import { health } from './health.ts'
import { servers } from './servers.ts'
import { syncs } from './syncs.ts'

export const checks: readonly Check[] = [servers, engines, health, syncs, deciders]
